//! What a stack's folder says: one file, replaced whole, synced before anything is done about it.

use super::log;
use super::process::Instance;
use crate::{Change, Goal, Served};
use domain::process::{OperationKind, Outcome};
use domain::{OperationId, Reason};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the folder says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    /// What runs and shall run.
    pub current: Option<Instance>,
    /// What ran before `current` and has yet to be stopped.
    #[serde(default)]
    pub former: Option<Instance>,
    /// What is being done.
    pub operation: Option<Job>,
    /// What was done last, newest at the end.
    pub done: Vec<(OperationId, Outcome)>,
}

/// A change as it is kept until it is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub token: OperationId,
    pub name: String,
    pub kind: OperationKind,
    pub to: Option<Wanted>,
}

/// What a stack shall run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub artifact: serde_json::Value,
    pub tier: String,
    pub model: String,
    pub parameters: std::collections::BTreeMap<String, serde_json::Value>,
    pub digest: String,
    pub tenants: Vec<Served>,
}

impl From<&Change> for Job {
    fn from(change: &Change) -> Self {
        Self {
            token: change.token,
            name: change.name.clone(),
            kind: change.kind,
            to: change.to.as_ref().map(wanted),
        }
    }
}

fn wanted(goal: &Goal) -> Wanted {
    let json = |value: &domain::parameter::Value| serde_json::to_value(value).unwrap_or_default();
    Wanted {
        artifact: goal.artifact.clone(),
        tier: goal.tier.clone(),
        model: goal.model.clone(),
        parameters: goal.configuration.parameters.iter().map(|(k, v)| (k.clone(), json(v))).collect(),
        digest: goal.configuration.digest.0.clone(),
        tenants: goal.tenants.clone(),
    }
}

impl Saved {
    pub(super) fn ended(&self, token: OperationId) -> Option<Outcome> {
        self.done.iter().find(|(done, _)| *done == token).map(|(_, outcome)| outcome.clone())
    }
}

/// A stack, as its work shares it.
pub(super) type Stack = Arc<tokio::sync::Mutex<StackState>>;

/// A stack in memory.
pub(super) struct StackState {
    pub folder: PathBuf,
    pub saved: Saved,
    /// Instances that are being started.
    pub starting: BTreeSet<String>,
    /// What `saved` says is not on disk: the supervisor tries again.
    pub unsaved: bool,
    pub restarts: Restarts,
}

/// How a stack's restarts go.
#[derive(Default)]
pub(super) struct Restarts {
    /// The one that is under way, and what calls it off: an operation has the last word.
    pub under_way: Option<(CancellationToken, JoinHandle<()>)>,
    /// How many in a row.
    pub count: u32,
    /// When the next may begin; at once where there was none.
    pub due: Option<Instant>,
    /// The code of the reason that was said last for the stack's being down.
    pub said: Option<Cow<'static, str>>,
    /// It did not run when the driver opened, as after any end in good order: no news unless it fails.
    pub at_opening: bool,
}

impl StackState {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            saved: Saved::default(),
            starting: BTreeSet::new(),
            unsaved: false,
            restarts: Restarts::default(),
        }
    }

    /// Changes what is kept: on disk first, then in memory. A write that failed has changed nothing, so that
    /// the same step can be done again.
    pub(super) fn keep(&mut self, change: impl FnOnce(&mut Saved)) -> Result<(), Reason> {
        let before = self.saved.clone();
        change(&mut self.saved);
        self.save().inspect_err(|_| self.saved = before)
    }

    /// Writes what is kept.
    pub(super) fn save(&mut self) -> Result<(), Reason> {
        let json = serde_json::to_vec(&self.saved).unwrap_or_default();
        self.write("state.json", &json)?;
        self.unsaved = false;
        Ok(())
    }

    /// Ends the operation with its outcome. The outcome is true even where it cannot be written at once.
    pub(super) fn finish(&mut self, token: OperationId, outcome: Outcome) -> Result<(), Reason> {
        self.saved.operation = None;
        self.saved.done.push((token, outcome));
        let too_many = self.saved.done.len().saturating_sub(20);
        self.saved.done.drain(..too_many);
        self.unsaved = true;
        self.save()
    }

    /// The file that an instance was started with. The folder may have moved since.
    pub(super) fn config(&self, instance: &Instance) -> PathBuf {
        self.folder.join(instance.config_file())
    }

    pub(super) fn remove_config(&self, instance: &Instance) {
        let _ = std::fs::remove_file(self.config(instance));
    }

    /// Removes what a driver that was killed had made for instances that are on no record.
    pub(super) fn sweep(&self) {
        let kept: Vec<_> = [&self.saved.current, &self.saved.former]
            .into_iter()
            .flatten()
            .map(Instance::config_file)
            .collect();
        for file in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.trim_start_matches('.').starts_with("config-") && !kept.contains(&name) {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }

    /// Puts an instance on the lease before it is started.
    pub(super) fn begin(&mut self, id: &str) -> Result<(), Reason> {
        self.starting.insert(id.to_owned());
        self.write("lease", self.lease().as_bytes()).inspect_err(|_| _ = self.starting.remove(id))
    }

    /// Ends the start of an instance: from now on it is on the lease only as what runs.
    pub(super) fn end(&mut self, id: &str) {
        self.starting.remove(id);
        self.write_lease();
    }

    pub(super) fn write_lease(&self) {
        if let Err(reason) = self.write("lease", self.lease().as_bytes()) {
            tracing::warn!(%reason, "a lease cannot be written; what should end lives on until it can");
        }
    }

    /// What runs and what is being started, a line each. Everything else ends by itself.
    fn lease(&self) -> String {
        let current = self.saved.current.as_ref().map(|i| &i.id);
        current.into_iter().chain(&self.starting).map(|id| format!("{id}\n")).collect()
    }

    /// Bounds the log, unless a start counts on where its own lines begin.
    pub(super) fn shorten_log(&self) {
        if self.starting.is_empty()
            && let Err(error) = log::shorten(&self.folder.join(log::NAME))
        {
            tracing::warn!(%error, folder = %self.folder.display(), "a log cannot be shortened");
        }
    }

    pub(super) fn write_tenants(&self, tenants: &[Served]) -> Result<(), Reason> {
        self.write("tenants.json", &serde_json::to_vec(tenants).unwrap_or_default())
    }

    /// The tenants that an operation names, where nobody was named before: whom a stack serves may have changed
    /// since the operation was prepared, and then [`crate::Driver::serve`] has said so.
    pub(super) fn write_first_tenants(&self, tenants: &[Served]) -> Result<(), Reason> {
        if self.folder.join("tenants.json").exists() {
            return Ok(());
        }
        self.write_tenants(tenants)
    }

    pub(super) fn first_tenant(&self) -> Option<String> {
        let text = std::fs::read(self.folder.join("tenants.json")).ok()?;
        let tenants: Vec<Served> = serde_json::from_slice(&text).ok()?;
        tenants.into_iter().next().map(|t| t.slug)
    }

    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<(), Reason> {
        let replace = || -> std::io::Result<()> {
            std::fs::create_dir_all(&self.folder)?;
            let temporary = self.folder.join(format!(".{name}.new"));
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            std::fs::rename(temporary, self.folder.join(name))
        };
        replace().map_err(|e| {
            Reason::new("data_folder", format!("the folder {} cannot be written: {e}", self.folder.display()))
        })
    }
}

/// What a folder says; `None` where it is not a stack's. One that cannot be read must not be taken for none: its
/// stack would be made a second time.
pub(super) fn load(folder: &Path) -> Result<Option<Saved>, Reason> {
    use std::io::ErrorKind;
    let file = folder.join("state.json");
    let unreadable = |e: &dyn std::fmt::Display| {
        Reason::new("data_folder", format!("{} cannot be read ({e}); restore or remove it", file.display()))
    };
    let text = match std::fs::read(&file) {
        Ok(text) => text,
        // A folder that something else made, or no folder at all.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(unreadable(&e)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|e| unreadable(&e))
}
