//! The tenants whom the instance serves, read anew when their file is replaced.

use crate::Tenant;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

pub struct Tenants {
    file: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The clock of a file system is too coarse to tell two writes, but each makes another file.
    version: Option<(SystemTime, u64)>,
    tenants: Arc<Vec<Tenant>>,
}

impl Tenants {
    pub fn new(file: PathBuf) -> Self {
        Self { file, known: Mutex::default() }
    }

    /// The tenant with this subdomain.
    pub fn find(&self, slug: &str) -> Option<Tenant> {
        self.now().iter().find(|t| t.slug == slug).cloned()
    }

    fn now(&self) -> Arc<Vec<Tenant>> {
        let version = std::fs::metadata(&self.file).and_then(|m| Ok((m.modified()?, m.ino()))).ok();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.version != version || version.is_none() {
            let read = std::fs::read(&self.file).ok().and_then(|b| serde_json::from_slice(&b).ok());
            if let Some(tenants) = read {
                *known = Known { version, tenants: Arc::new(tenants) };
            }
        }
        known.tenants.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Tenants;
    use std::path::Path;

    #[test]
    fn two_lists_of_the_same_moment_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tenants.json");
        let tenants = Tenants::new(file.clone());
        assert!(tenants.find("acme").is_none(), "there is no list yet");
        replace(&file, r#"[{"slug":"acme","name":"Acme"}]"#);
        assert_eq!(tenants.find("acme").unwrap().name, "Acme");
        replace(&file, r#"[{"slug":"beta","name":"Beta"}]"#);
        assert!(tenants.find("acme").is_none());
        assert_eq!(tenants.find("beta").unwrap().name, "Beta");
    }

    /// Replaces the file as the driver does, always at the same time.
    fn replace(file: &Path, text: &str) {
        let new = file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::File::options().write(true).open(&new).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        std::fs::rename(new, file).unwrap();
    }
}
