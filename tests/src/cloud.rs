//! AWS for a test: the emulator, a proxy before it that breaks calls, and a set-up file that leads there.

use emulator::{Emulator, Proxy};
use std::path::{Path, PathBuf};

/// An emulated account in `eu-west-1`.
pub struct Cloud {
    /// Made by others.
    pub emulator: Emulator,
    /// What the server is led to.
    pub proxy: Proxy,
}

impl Cloud {
    /// On free ports.
    pub async fn start() -> Self {
        let emulator = tokio::task::spawn_blocking(Emulator::start).await.unwrap();
        let proxy = Proxy::before(emulator.address).await;
        Self { emulator, proxy }
    }

    /// Where the server finds AWS.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.proxy.address)
    }

    /// A set-up file with one target `cloudformation/eu` for every region and tier with an ample budget, and what else
    /// is written.
    #[must_use]
    pub fn setup(&self, folder: &Path, more: &str) -> PathBuf {
        self.setup_at(200.0, folder, more)
    }

    /// The same with a rate budget in calls per second.
    #[must_use]
    pub fn setup_at(&self, per_second: f64, folder: &Path, more: &str) -> PathBuf {
        let path = folder.join("setup.toml");
        let endpoint = self.endpoint();
        let text = format!(
            "[[target]]\ndriver = 'cloudformation'\nname = 'eu'\nregion = 'eu-west-1'\nendpoint = '{endpoint}'\n\
             prefix = 'tg-'\ncalls_per_second = {per_second}\n{more}\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }
}
