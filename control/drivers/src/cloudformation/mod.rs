//! The `cloudformation` driver: a stack is an AWS CloudFormation stack in one account and region.
//!
//! Nothing that matters is kept here. A stack's tags name the operation that wrote it last, its events carry the
//! operation's token, and the driver's memory only saves calls: after `kill -9` everything is read again.
//!
//! How it is put together: [`status`] is the table of what to do in which status, [`judge`] decides the next
//! move, `advance` makes it, `watch` looks at many stacks with few calls, and every call waits for [`budget`].

mod advance;
mod artifact;
pub mod budget;
mod calls;
mod changeset;
mod connect;
mod door;
mod drift;
mod driver;
mod ears;
mod ending;
pub mod errors;
mod events;
mod gate;
mod health;
mod inventory;
mod judge;
mod listen;
mod notice;
mod parameters;
mod preview;
mod protection;
mod reasons;
mod schedule;
mod sighting;
pub mod status;
mod tags;
mod template;
mod watch;
mod wish;
mod work;

pub use connect::Settings;

use crate::DriverEvent;
use artifact::{Artifact, Source};
use aws::Queue;
use domain::stack::own_name;
use domain::{Invalid, OperationId, Reason, Timestamp};
use ears::Ears;
use schedule::Schedule;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use template::Template;
use tokio::sync::{Notify, broadcast};
use tokio_util::task::AbortOnDropHandle;
use work::Turn;

/// See the module.
#[derive(Clone)]
pub struct Cloudformation {
    inner: Arc<Inner>,
}

struct Inner {
    /// Itself, for what works on without its callers.
    me: Weak<Self>,
    settings: Settings,
    calls: calls::Calls,
    memory: work::Memory,
    asker: health::Asker,
    schedule: Mutex<Schedule>,
    /// What the queue of stack events brought.
    ears: Mutex<Ears>,
    /// Ends with the driver.
    listening: OnceLock<AbortOnDropHandle<()>>,
    /// When every stack in flight was last looked at.
    swept: Mutex<Timestamp>,
    /// How many pages the last sweep had: beyond as many stacks a sweep is cheaper than a call each.
    pages: Mutex<usize>,
    templates: Mutex<HashMap<String, Template>>,
    /// Stacks that were looked through for change sets that a preview left behind.
    tidied: Mutex<HashSet<String>>,
    /// What gates were last told.
    glance: tokio::sync::Mutex<Option<(Timestamp, Arc<watch::Looked>)>>,
    /// Why the last look at stacks failed.
    trouble: Mutex<Option<Reason>>,
    events: broadcast::Sender<DriverEvent>,
    changed: Arc<Notify>,
}

impl Cloudformation {
    /// Connects to CloudFormation; nothing is called yet.
    pub async fn connect(settings: Settings) -> Self {
        let client = connect::client(&settings).await;
        let gate = gate::Gate::new(settings.limits);
        let (events, _) = broadcast::channel(4096);
        let changed = Arc::new(Notify::new());
        let inner = Arc::new_cyclic(|me| Inner {
            me: me.clone(),
            calls: calls::Calls::new(client, gate),
            memory: work::Memory::default(),
            asker: health::Asker::new(),
            schedule: Mutex::new(Schedule::new(now())),
            ears: Mutex::default(),
            listening: OnceLock::new(),
            swept: Mutex::new(now()),
            pages: Mutex::new(3),
            templates: Mutex::default(),
            tidied: Mutex::default(),
            glance: tokio::sync::Mutex::default(),
            trouble: Mutex::default(),
            events,
            changed: changed.clone(),
            settings,
        });
        tokio::spawn(watch::watch(Arc::downgrade(&inner), changed));
        if let Some(url) = inner.settings.events_queue.clone() {
            let account = &inner.settings.account;
            let queue = Queue::at(&account.config().await, &url);
            let listening = listen::listen(Arc::downgrade(&inner), queue, account.patience);
            let _ = inner.listening.set(AbortOnDropHandle::new(tokio::spawn(listening)));
        }
        Self { inner }
    }

    /// Looks at every stack of the account once and says how many are Tidegate's. Worth its few calls before a
    /// rollout after a restart: each stack that was seen before saves a call.
    ///
    /// # Errors
    /// CloudFormation cannot be asked.
    pub async fn survey(&self) -> Result<usize, Reason> {
        self.inner.survey().await.map_err(|trouble| reasons::refused(&trouble, "").0)
    }

    /// Checks what a release brings against the parameters that a tier has: what nothing would fill is named.
    /// A template that is given by its address is read for that.
    ///
    /// # Errors
    /// The parameters that do not fit, by name; or CloudFormation cannot read the template.
    pub async fn check_parameters(
        &self,
        artifact: &serde_json::Value,
        tier: &BTreeSet<String>,
    ) -> Result<(), Invalid> {
        let artifact = Artifact::parse(artifact)?;
        match &artifact.source {
            Source::Body(_, template) => artifact.check(template, tier),
            Source::Url(url) => {
                // Whoever corrects what is at the address registers it again: what was read before does not count.
                let read = self.inner.calls.template(budget::Class::Rollout, url).await;
                let template = read.map_err(|trouble| {
                    Invalid::new("template_url", reasons::refused(&trouble, url).0.sentence)
                })?;
                self.inner.know_template(url, &template);
                artifact.check(&template, tier)
            }
        }
    }
}

impl Inner {
    /// The stack's name at the provider: with the target's prefix, but where others made it.
    fn name(&self, stack: &str) -> String {
        match own_name(stack) {
            Some(own) => own.to_owned(),
            None => format!("{}{stack}", self.settings.prefix),
        }
    }

    fn pages(&self) -> usize {
        *self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_pages(&self, pages: usize) {
        *self.pages.lock().unwrap_or_else(PoisonError::into_inner) = pages.max(1);
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ears(&self) -> MutexGuard<'_, Ears> {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether the account could be looked at.
    fn note_reached<T>(&self, result: &Result<T, errors::Trouble>) {
        let trouble = result.as_ref().err().map(|trouble| reasons::refused(trouble, "").0);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn sent(&self) {
        self.schedule().sent(now());
        self.ears().sent();
    }

    fn known_template(&self, url: &str) -> Option<Template> {
        self.templates.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned()
    }

    fn know_template(&self, url: &str, template: &Template) {
        let mut templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        templates.insert(url.to_owned(), template.clone());
    }

    /// Says a line of progress, unless it was the last one already.
    fn say(&self, turn: &mut Turn<'_>, line: String) {
        if turn.work.said != line {
            turn.work.said.clone_from(&line);
            self.say_at(turn, now(), line);
        }
    }

    fn say_at(&self, turn: &Turn<'_>, at: Timestamp, line: String) {
        let _ = self.events.send(DriverEvent::Progress { token: turn.work.token, at, line });
    }

    fn ended(&self, token: OperationId) {
        let _ = self.events.send(DriverEvent::Ended { token });
    }
}

impl Drop for Inner {
    /// Whoever watches looks up and finds that the driver is gone.
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
