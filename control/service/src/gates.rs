//! Gates as people meet them: who can decide what now, and the inbox that is made of it.

use crate::{Result, Service};
use domain::process::Process as _;
use domain::rollout::{Command, Decision, Gate, Rollout, Verdict, WaveState};
use domain::{Actor, Timestamp};
use std::sync::Arc;
use store::{OpenGate, Running};

/// How a person stands to a gate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// They can decide now.
    Asked {
        /// Why they can only reject.
        only_reject: Option<String>,
    },
    /// They have decided, and the gate still waits for others.
    Answered {
        /// What they said.
        verdict: Verdict,
        /// How many approvals are still missing.
        missing: u32,
    },
    /// It asks others.
    Others(String),
    /// It does not ask yet.
    NotYet(String),
    /// It is over; the sentence says how it went.
    Over(String),
}

impl Standing {
    /// Why this person cannot approve now, as a sentence; `None` if they can.
    #[must_use]
    pub fn obstacle(self) -> Option<String> {
        match self {
            Self::Asked { only_reject } => only_reject,
            Self::Answered { .. } => Some("you have decided this gate already".to_owned()),
            Self::Others(why) | Self::NotYet(why) | Self::Over(why) => Some(why),
        }
    }
}

/// Gates that ask now.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// Those that this person can decide, newest first.
    pub yours: Vec<OpenGate>,
    /// Those that wait for others, with the reason.
    pub others: Vec<(OpenGate, String)>,
}

impl Service {
    /// The gates that ask now: first what this person can decide.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn inbox(&self, actor: &Actor) -> Result<Inbox> {
        let mut inbox = Inbox::default();
        actor.require(domain::access::Permission::View)?;
        let asking = self.asking.get(&self.store, self.asking()).await?;
        for (gate, running) in asking.iter() {
            let gate = gate.clone();
            match standing(&running.process, actor, gate.wave, self.now()) {
                Standing::Asked { only_reject: None } => inbox.yours.push(gate),
                Standing::Asked { only_reject: Some(why) } => inbox.others.push((gate, why)),
                Standing::Answered { .. } => {
                    inbox.others.push((gate, "you have decided; it waits for somebody else".to_owned()));
                }
                Standing::Others(why) | Standing::NotYet(why) => inbox.others.push((gate, why)),
                Standing::Over(_) => {}
            }
        }
        Ok(inbox)
    }

    async fn asking(&self) -> Result<Vec<(OpenGate, Arc<Running<Rollout>>)>> {
        let mut asking = vec![];
        for gate in self.store.asking_gates().await? {
            if let Some(running) = self.recent.get(&self.store, gate.rollout).await? {
                asking.push((gate, running));
            }
        }
        Ok(asking)
    }
}

/// How `actor` stands to the gate after `wave`, by asking the rollout itself.
pub(crate) fn standing(rollout: &Rollout, actor: &Actor, wave: usize, now: Timestamp) -> Standing {
    let ask = |verdict| {
        let plan_hash = rollout.binding(wave);
        let command = Command::Decide { wave, verdict, comment: String::new(), plan_hash };
        rollout.command(actor, command, now).err()
    };
    let Some(state) = rollout.waves.get(wave).map(|w| &w.state) else {
        return Standing::Over("There is no such wave.".to_owned());
    };
    match state {
        WaveState::Passed { gate, .. } => {
            let said = gate.as_ref().map(decisions).unwrap_or_default();
            return Standing::Over(format!("This gate was passed. {said}").trim_end().to_owned());
        }
        WaveState::Failed { reason, .. } => {
            return Standing::Over(format!("This gate did not open: {}.", reason.sentence));
        }
        WaveState::Skipped => return Standing::Over("Nobody is in this wave, so it has no gate.".to_owned()),
        WaveState::Gated(_) | WaveState::Pending | WaveState::Running { .. } if rollout.has_ended() => {
            return Standing::Over("The rollout has ended, and this gate was not needed.".to_owned());
        }
        WaveState::Gated(gate) => {
            // A yes to a former plan is none to this one.
            let counts = |d: &&Decision| d.verdict == Verdict::Reject || d.plan_hash == rollout.binding(wave);
            let theirs = |d: &&Decision| d.by.user.is_some() && d.by.user == actor.user;
            let mine = gate.decisions.iter().rfind(|d| theirs(d) && counts(d));
            if let Some(mine) = mine {
                return Standing::Answered {
                    verdict: mine.verdict,
                    missing: rollout.missing_approvals(wave),
                };
            }
        }
        WaveState::Pending | WaveState::Running { .. } => {}
    }
    match (ask(Verdict::Approve), ask(Verdict::Reject)) {
        (None, _) => Standing::Asked { only_reject: None },
        (Some(why), None) => Standing::Asked { only_reject: Some(why.sentence) },
        (Some(why), Some(_)) => match &*why.code {
            "gate_not_open" | "still_baking" => Standing::NotYet(why.sentence),
            "gate_decided" | "approval_expired" | "rollout_ended" => Standing::Over(why.sentence),
            _ => Standing::Others(why.sentence),
        },
    }
}

fn decisions(gate: &Gate) -> String {
    let all = gate.decisions.iter().map(|d| {
        let verb = if d.verdict == Verdict::Approve { "approved" } else { "rejected" };
        let why = if d.comment.is_empty() { String::new() } else { format!(": “{}”", d.comment) };
        format!("{} {verb} it{why}.", d.by.name)
    });
    all.collect::<Vec<_>>().join(" ")
}
