//! How operations end: the provider's part is proved, the stack is protected as its release asks for, and the
//! application was heard to be well. Until then nothing counts as done (DESIGN §3, law 2).

use super::Inner;
use super::advance::{Answer, class_of, token_of};
use super::artifact::Artifact;
use super::errors::Trouble;
use super::events::{self, StackEvent};
use super::health::{self, Proved};
use super::judge::{End, Step};
use super::protection::Wanted;
use super::reasons;
use super::sighting::Sighting;
use super::status::Action;
use super::work::Turn;
use crate::Change;
use domain::process::{OperationKind, Outcome};
use domain::{Digest, OperationId};
use std::collections::BTreeMap;

impl Inner {
    /// Ends an operation as it was judged; one that succeeded may have to be waited for.
    pub async fn close(&self, turn: &mut Turn<'_>, end: End, events: &[StackEvent]) {
        let (name, kind) = (&turn.work.name, turn.work.kind);
        let outcome = match end {
            End::Succeeded { seen: Some(seen) } if kind != OperationKind::Delete => {
                return self.succeed(turn, &seen, seen.marks.digest.clone(), None, events).await;
            }
            End::Succeeded { .. } => Outcome::Succeeded { digest: None, outputs: BTreeMap::new() },
            End::Failed { left, running } => reasons::failed(kind, &left, events, &token_of(turn), running),
            End::Vanished => reasons::vanished(name),
            End::Foreign => reasons::foreign(name),
            End::Ask(question) => reasons::asked(question, name),
        };
        self.end(turn, outcome, events);
    }

    /// The provider compared the stack with what was asked and found no difference: that is what it runs.
    pub async fn unchanged(&self, turn: &mut Turn<'_>, change: &Change, wanted: Wanted) -> Answer {
        let class = class_of(change.kind);
        let mut seen = match self.calls.describe(class, &turn.work.name).await {
            Ok(Some(seen)) if seen.status.is_live() && seen.status.row().update != Action::Wait => seen,
            Ok(_) => return Answer::Look,
            Err(trouble) => {
                self.trouble(turn, &trouble);
                return Answer::Rest;
            }
        };
        self.memory.note_begun(&turn.work.name, seen.updated);
        // The refused update has not taken its tags with it either.
        seen.marks.protected = wanted.termination.or(seen.marks.protected);
        if let Some(Ok(artifact)) = change.to.as_ref().map(|goal| Artifact::parse(&goal.artifact)) {
            seen.marks.door = artifact.door;
        }
        let digest = change.to.as_ref().map(|goal| goal.configuration.digest.clone());
        self.succeed(turn, &seen, digest, wanted.policy.as_deref(), &[]).await;
        Answer::Rest
    }

    /// The provider is done: what is left is the stack's protection, with a policy that no update has taken along,
    /// and to hear whether its application is well.
    async fn succeed(
        &self,
        turn: &mut Turn<'_>,
        seen: &Sighting,
        digest: Option<Digest>,
        policy: Option<&str>,
        events: &[StackEvent],
    ) {
        match self.protect(class_of(turn.work.kind), seen, policy).await {
            Ok(()) => {}
            Err(trouble @ (Trouble::Denied(_) | Trouble::Refused(_))) => {
                let outcome = reasons::unprotected(&turn.work.name, &trouble, digest);
                return self.end(turn, outcome, events);
            }
            // The next look comes here again.
            Err(trouble) => return self.trouble(turn, &trouble),
        }
        let found = match seen.marks.door.find(&seen.outputs) {
            Ok(found) => found,
            Err(reason) => {
                return self.end(turn, Outcome::Failed { reason, retryable: false, running: digest }, events);
            }
        };
        let mut outputs = seen.outputs.clone();
        if let Some(address) = found.address {
            outputs.insert(domain::stack::ADDRESS.to_owned(), address);
        }
        let Some((url, within)) = found.health else {
            return self.end(turn, Outcome::Succeeded { digest, outputs }, events);
        };
        self.tell(turn, events);
        self.say(
            turn,
            format!("CloudFormation: {}; asks {url} whether the application is well", seen.status),
        );
        turn.work.step = Step::Proved;
        let proved = Proved { digest, outputs, url, within };
        tokio::spawn(health::hear(self.me.clone(), turn.work.token, proved));
    }

    /// Ends an operation that was waited for; `false` while somebody else works on it.
    pub fn end_waited(&self, token: OperationId, outcome: &Outcome) -> bool {
        let Some(mut turn) = self.memory.take_known(token) else { return false };
        self.end(&mut turn, outcome.clone(), &[]);
        true
    }

    /// Ends the operation, which tells whoever waits for it.
    pub fn end(&self, turn: &mut Turn<'_>, outcome: Outcome, events: &[StackEvent]) {
        self.tell(turn, events);
        turn.work.ended = Some(outcome);
        self.ears().forget(turn.work.token);
        self.ended(turn.work.token);
    }

    /// Tells what the stack's events say of the operation.
    fn tell(&self, turn: &Turn<'_>, events: &[StackEvent]) {
        for event in events::of_operation(events, &turn.work.token.to_string()) {
            let line = event.line();
            if !self.ears().line_told(turn.work.token, &line) {
                self.say_at(turn, event.at, line);
            }
        }
    }
}
