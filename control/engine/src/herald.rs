//! Passes on what is heard of commits: to the process that was appended to, to whoever waits for a place, and to the
//! engine where nobody here runs it. One listener for all of them: of hundreds, each would wake for what concerns one.

use domain::ProcessId;
use domain::process::ProcessKind;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use store::{Hint, PLACES};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;

/// See the module.
#[derive(Default)]
pub(crate) struct Herald {
    runners: Mutex<BTreeMap<ProcessId, Arc<Notify>>>,
    /// A process that nobody runs here was appended to, or may have been.
    pub(crate) others: Notify,
    /// Changes when places may be free.
    places: watch::Sender<()>,
}

impl Herald {
    /// What is heard of a process from now on; to be asked for before its log is read.
    pub(crate) fn of(&self, id: ProcessId) -> Arc<Notify> {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
    }

    /// Nobody here runs the process any more.
    pub(crate) fn forget(&self, id: ProcessId) {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Tells when places may be free.
    pub(crate) fn places(&self) -> watch::Receiver<()> {
        self.places.subscribe()
    }

    /// Passes on until the engine ends, or the store is gone with its hints: what is not heard is found by the sweeps.
    pub(crate) async fn follow(&self, mut hints: broadcast::Receiver<Hint>, shutdown: CancellationToken) {
        use broadcast::error::RecvError;
        loop {
            match shutdown.run_until_cancelled(hints.recv()).await {
                Some(Ok(hint)) => self.pass_on(&hint),
                Some(Err(RecvError::Lagged(_))) => self.everything(),
                None | Some(Err(RecvError::Closed)) => return,
            }
        }
    }

    fn pass_on(&self, hint: &Hint) {
        if hint.streams.is_empty() {
            return self.everything();
        }
        let runners = self.runners.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in &hint.streams {
            if stream == PLACES {
                self.places.send_replace(());
            } else if let Some(id) = process(stream).filter(|id| hint.by != Some(*id)) {
                runners.get(&id).map_or(&self.others, |runner| runner).notify_one();
            }
        }
    }

    /// Anything may have happened.
    fn everything(&self) {
        for runner in self.runners.lock().unwrap_or_else(PoisonError::into_inner).values() {
            runner.notify_one();
        }
        self.others.notify_one();
        self.places.send_replace(());
    }
}

/// The process whose stream this is.
fn process(stream: &str) -> Option<ProcessId> {
    let (kind, id) = stream.split_once('/')?;
    kind.parse::<ProcessKind>().ok()?;
    id.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn hint(streams: &[&str], by: Option<ProcessId>) -> Hint {
        Hint { streams: streams.iter().map(|s| (*s).to_owned()).collect(), by }
    }

    fn was_told(of: &Notify) -> bool {
        of.notified().now_or_never().is_some()
    }

    #[test]
    fn a_hint_goes_to_whom_it_concerns() {
        let (one, two) = (ProcessId(uuid::Uuid::from_u128(1)), ProcessId(uuid::Uuid::from_u128(2)));
        let herald = Herald::default();
        let (first, second, places) = (herald.of(one), herald.of(two), herald.places());
        let told = || (was_told(&first), was_told(&second), was_told(&herald.others));
        let stream = store::stream(ProcessKind::Onboarding, one);
        herald.pass_on(&hint(&[&stream, "mail", "tenant/acme"], None));
        assert_eq!(told(), (true, false, false));
        herald.pass_on(&hint(&[&stream], Some(one)));
        assert_eq!(told(), (false, false, false), "whoever runs it wrote it");
        herald.pass_on(&hint(&[&stream], Some(two)));
        assert_eq!(told(), (true, false, false), "another runner wrote it");
        assert!(places.has_changed().is_ok_and(|changed| !changed));
        herald.pass_on(&hint(&[PLACES], None));
        assert!(places.has_changed().is_ok_and(|changed| changed));
        herald.forget(one);
        herald.pass_on(&hint(&[&stream], None));
        assert_eq!(told(), (false, false, true), "nobody here runs it");
        herald.pass_on(&hint(&[], None));
        assert_eq!(told(), (false, true, true), "anything may have happened");
    }
}
