//! One view for each rollout that somebody looks at: kept fresh once, however many listen.

use axum::response::sse::Event;
use domain::rollout::Rollout;
use domain::timeline::Timeline;
use domain::{Actor, ProcessId};
use service::Service;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Running, stream};
use tokio::sync::broadcast;

/// See the module.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<HashMap<ProcessId, Channel>>>);

/// A rollout's view, and what changes in it.
#[derive(Clone)]
pub struct Channel {
    pub view: Arc<Mutex<Timeline>>,
    patches: broadcast::Sender<Arc<Change>>,
}

/// A change as it is sent.
pub struct Change {
    pub from: i64,
    pub seq: i64,
    pub json: String,
}

/// The whole view as an event.
pub fn whole(view: &Timeline) -> Event {
    let json = serde_json::to_string(view).unwrap_or_default();
    Event::default().event("view").id(view.seq.to_string()).data(json)
}

impl Hub {
    /// Joins those who listen. Listening begins before the view is read: nothing falls in between.
    pub async fn channel(
        &self,
        service: &Service,
        actor: &Actor,
        id: ProcessId,
    ) -> service::Result<(Channel, broadcast::Receiver<Arc<Change>>)> {
        // Under the lock, so that a view which is about to be given up is seen to have a listener.
        if let Some(channel) = self.lock().get(&id) {
            return Ok((channel.clone(), channel.patches.subscribe()));
        }
        let hints = service.store().subscribe();
        let running = service.rollout_state(actor, id).await?;
        let view = service.timeline_of(&running).await?;
        let (patches, listener) = broadcast::channel(256);
        let channel = Channel { view: Arc::new(Mutex::new(view)), patches };
        let mut all = self.lock();
        if let Some(earlier) = all.get(&id) {
            return Ok((earlier.clone(), earlier.patches.subscribe()));
        }
        all.insert(id, channel.clone());
        drop(all);
        let running = Arc::unwrap_or_clone(running);
        tokio::spawn(self.clone().follow(service.clone(), running, hints, channel.clone()));
        Ok((channel, listener))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProcessId, Channel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a view up unless somebody listens.
    fn give_up(&self, id: ProcessId, channel: &Channel) -> bool {
        let mut all = self.lock();
        let unheard = channel.patches.receiver_count() == 0;
        if unheard {
            all.remove(&id);
        }
        unheard
    }

    /// Keeps a view fresh for as long as somebody listens.
    async fn follow(
        self,
        service: Service,
        mut running: Running<Rollout>,
        mut hints: broadcast::Receiver<store::Hint>,
        channel: Channel,
    ) {
        let id = running.process.id;
        let name = stream(domain::process::ProcessKind::Rollout, id);
        let mut idle = 0;
        loop {
            let heard = tokio::time::timeout(Duration::from_secs(5), hints.recv()).await;
            idle = if channel.patches.receiver_count() == 0 { idle + 1 } else { 0 };
            if idle > 2 && self.give_up(id, &channel) {
                return;
            }
            match heard {
                Ok(Ok(hint)) if !hint.may_concern(|stream| stream == name) => continue,
                Ok(Err(broadcast::error::RecvError::Closed)) => break,
                Ok(_) | Err(_) => {}
            }
            if let Err(error) = running.catch_up(service.store(), id).await {
                tracing::warn!(%error, "a live view waits: the log cannot be read");
                continue;
            }
            let before = channel.view.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if running.seq == before.seq {
                continue;
            }
            let mut fresh = Timeline::of(&running.process, running.seq, service.now());
            fresh.activity = if tells(&before, &fresh) {
                match service.timeline_of(&running).await {
                    Ok(whole) => whole.activity,
                    Err(_) => before.activity.clone(),
                }
            } else {
                before.activity.clone()
            };
            let patch = fresh.since(&before);
            let change = Change {
                from: patch.from,
                seq: patch.head.seq,
                json: serde_json::to_string(&patch).unwrap_or_default(),
            };
            // Sent under the lock: whoever reads the view next has not missed it.
            let mut view = channel.view.lock().unwrap_or_else(PoisonError::into_inner);
            *view = fresh;
            let _ = channel.patches.send(Arc::new(change));
        }
        self.lock().remove(&id);
    }
}

/// Whether between two views something happened that the list of what happened names: most changes are
/// operations that go as they should, and for those the log is not read.
fn tells(before: &Timeline, after: &Timeline) -> bool {
    let waves = |view: &Timeline| {
        let all = view.waves.iter().map(|w| {
            let chips = w.gate.iter().filter(|c| c.values.is_empty()).cloned().collect::<Vec<_>>();
            let left_out = w.counts.iter().find(|(state, _)| state == "skipped").map(|(_, n)| *n);
            (w.state.clone(), w.asking, chips, left_out)
        });
        all.collect::<Vec<_>>()
    };
    (&before.status, before.failed, &before.plan_hash, &before.failures, &before.steering)
        != (&after.status, after.failed, &after.plan_hash, &after.failures, &after.steering)
        || waves(before) != waves(after)
}
