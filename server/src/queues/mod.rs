//! The queues' doors: gates go out, messages and tasks come in, decisions on tasks go back.
//!
//! One consumer for each queue and server; among replicas SQS divides the messages. What a consumer takes is handled in
//! the database before it is deleted from its queue, and known there if it comes again (law 7 of DESIGN §3).

mod announcer;
mod consumer;
mod teller;

use crate::setup::QueuesSetup;
use announcer::Announcer;
use aws::{Queue, QueueTrouble, Tasks};
use consumer::Consumer;
use domain::{Reason, Span};
use service::{QueueRole, Service};
use std::time::Duration;
use store::Hint;
use teller::Teller;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Begins to read and write the queues that are set up.
pub async fn open(
    setup: &QueuesSetup,
    service: &Service,
    base: &str,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) {
    let config = setup.account.account().config().await;
    for (role, url) in setup.urls() {
        let queue = Queue::at(&config, url);
        let (service, shutdown) = (service.clone(), shutdown.clone());
        match role {
            QueueRole::Gates => {
                let announcer = Announcer { queue, base: base.to_owned(), service };
                tasks.spawn(announcer.run(shutdown));
            }
            QueueRole::Intake | QueueRole::Answers | QueueRole::TaskGates => {
                tasks.spawn(Consumer { role, queue, service }.run(shutdown));
            }
        }
    }
    // Also without its queue: what was decided before it was taken out of the set-up is told still.
    let teller = Teller { tasks: Tasks::new(&config), service: service.clone() };
    tasks.spawn(teller.run(shutdown.clone()));
}

/// What went wrong with a queue, with the remedy.
fn reason(trouble: &QueueTrouble) -> Reason {
    let (code, remedy) = match trouble {
        QueueTrouble::Missing(_) => ("queue_missing", "make it, or correct its address in the set-up file"),
        QueueTrouble::Denied(_) => ("queue_denied", "renew the credentials, or let them use the queue"),
        QueueTrouble::Refused(_) => ("queue_refused", "look at the queue's settings"),
        QueueTrouble::Silent(_) => ("queue_silent", "it is tried again by itself"),
    };
    Reason::new(code, format!("{trouble}; {remedy}"))
}

/// How long to wait after `failures` in a row: 1 s, twice as long each time, at most `most`.
fn pause(failures: u32, most: Span) -> Span {
    let doubled = 1_i64.checked_shl(failures.saturating_sub(1).min(30)).unwrap_or(i64::MAX);
    Span::seconds(doubled).min(most)
}

fn duration(span: Span) -> Duration {
    Duration::from_millis(u64::try_from(span.0).unwrap_or(0))
}

/// Wakes up when something of a kind was committed, after `rest` at the latest, or when the server ends.
async fn wait(hints: &mut Receiver<Hint>, kind: &str, rest: Duration, shutdown: &CancellationToken) {
    let mut rest = std::pin::pin!(tokio::time::sleep(rest));
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = &mut rest => return,
            hint = hints.recv() => match hint {
                Ok(hint) if hint.may_concern(|s| s == kind) => return,
                Ok(_) => {}
                Err(_) => return,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let most = Span::minutes(1);
        let all: Vec<_> = [1, 2, 3, 7, 40, u32::MAX].map(|n| pause(n, most)).into();
        assert_eq!(all, [1, 2, 4, 60, 60, 60].map(Span::seconds));
    }
}
