//! A PostgreSQL cluster of the tests' own: in a folder that goes away, on a free port, ended with the tests.

use crate::packages;
use crate::steps::say;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs until it is dropped.
pub struct Cluster {
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    root: bool,
}

impl Cluster {
    /// Installs PostgreSQL if it is missing, and starts a cluster.
    pub fn start() -> Result<Self> {
        packages::debian(binaries().is_some(), &["postgresql"])?;
        let bin = binaries()
            .context("PostgreSQL was installed, but its initdb is not under /usr/lib/postgresql")?;
        let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0"));
        let folder = std::env::temp_dir().join(format!("tidegate-postgres-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let cluster = Self { bin, folder, port, root };
        say(&format!("Starting PostgreSQL for the tests on port {port}"));
        if root {
            // PostgreSQL refuses to run as root.
            let owned = Command::new("chown").arg("postgres").arg(&cluster.folder).status()?;
            if !owned.success() {
                bail!("the system user postgres is missing; install PostgreSQL from your distribution");
            }
        }
        let data = cluster.folder.join("data");
        cluster.tool(
            "initdb",
            &["-D", &text(&data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"],
        )?;
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -c unix_socket_directories={}",
            text(&cluster.folder)
        );
        let log = text(&cluster.folder.join("log"));
        cluster
            .tool("pg_ctl", &["-D", &text(&data), "-w", "-t", "60", "-l", &log, "-o", &options, "start"])?;
        Ok(cluster)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn tool(&self, name: &str, args: &[&str]) -> Result<()> {
        let program = self.bin.join(name);
        let mut command = if self.root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let output = command.args(args).current_dir("/").stdout(std::process::Stdio::null()).status()?;
        if !output.success() {
            bail!("{name} failed; see {}", self.folder.join("log").display());
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = text(&self.folder.join("data"));
        let _ = self.tool("pg_ctl", &["-D", &data, "-w", "-m", "immediate", "stop"]);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn binaries() -> Option<PathBuf> {
    let mut versions: Vec<_> =
        std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|e| e.path().join("bin")).collect();
    versions.sort();
    versions.into_iter().rev().find(|bin| bin.join("initdb").exists())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
