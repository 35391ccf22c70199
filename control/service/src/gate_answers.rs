//! Answers to gates that come through a queue: the same decision as a click (law 6 of DESIGN §3).

use crate::access::hash_token;
use crate::intake::{Answer, Taken, handled_meanwhile, note};
use crate::{Error, Result, Service};
use domain::access::Permission;
use domain::process::Process as _;
use domain::rollout::{Command, Rollout, Verdict};
use domain::{Actor, Reason};
use store::{AnswerTo, Receipt, Running};

impl Service {
    /// Answers the gate that the token is for. What does not count is handled too, and stands in the record.
    pub(crate) async fn answer_gate(&self, receipt: &Receipt, answer: Answer) -> Result<Taken> {
        let verdict: Verdict = answer.decision.parse().map_err(|e: domain::Invalid| e.within("decision"))?;
        let bounded = |text: &str, field: &str, most| {
            domain::fields::bounded_text(text, most).map_err(|e| Error::from(e.within(field)))
        };
        let (by, comment) = (bounded(&answer.by, "by", 200)?, bounded(&answer.comment, "comment", 500)?);
        if by.is_empty() {
            return Err(Error::field("by", "is empty; say who decided, best by their e-mail address"));
        }
        if verdict == Verdict::Reject && comment.is_empty() {
            return Err(Error::field("comment", "is empty; say why it is rejected"));
        }
        for _ in 0..20 {
            let Some(to) = self.store.answer_to(&hash_token(&answer.token)).await? else {
                return Err(Error::field("token", "is none that Tidegate gave; take it from gate.opened"));
            };
            let actor = match self.speaker(&to, &by).await? {
                Ok(actor) => actor,
                Err(reason) => return self.refuse_answer(receipt, &to, &by, reason).await,
            };
            let Some(mut running) = Running::<Rollout>::load(&self.store, to.rollout).await? else {
                return Err(Error::not_found("the rollout"));
            };
            let now = self.now();
            let plan_hash = to.plan_hash.clone();
            let command = Command::Decide { wave: to.wave, verdict, comment: comment.clone(), plan_hash };
            let decided = running.process.command(&actor, command, now).and_then(|events| match spent(&to) {
                Some(reason) => Err(reason),
                None => Ok(events),
            });
            let events = match decided {
                Ok(events) => events,
                Err(reason) => return self.refuse_answer(receipt, &to, &by, reason).await,
            };
            let mut tx = self.store.begin_in_turn().await?;
            note(&mut tx, Some(receipt)).await?;
            if !tx.use_token(to.id, now).await? {
                continue;
            }
            match running.append_in(&mut tx, to.rollout, &actor, &events, now).await {
                Ok(()) => {
                    tx.commit().await?;
                    return Ok(Taken::Handled);
                }
                Err(error) if error.conflict().is_some() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::refused("busy", "the rollout changes too fast just now"))
    }

    /// Who speaks through the queue. Somebody on record has their own rights and groups; of others, the queue
    /// vouches for those that it may speak for.
    async fn speaker(&self, to: &AnswerTo, by: &str) -> Result<std::result::Result<Actor, Reason>> {
        let counts = self.queues.setup.answers_count_for.as_ref();
        let counting: Vec<_> =
            to.groups.iter().filter(|group| counts.is_some_and(|c| c.takes(group.as_deref()))).collect();
        if counting.is_empty() {
            let name = |group: &Option<String>| {
                group.as_ref().map_or_else(|| "anyone".to_owned(), |g| format!("the group “{g}”"))
            };
            let asked = to.groups.iter().map(name).collect::<Vec<_>>().join(" and ");
            let sentence = format!(
                "answers through a queue do not count for a gate that asks {asked}; answers_count_for in the \
                 set-up file says for which they do"
            );
            return Ok(Err(Reason::new("answers_not_permitted", sentence)));
        }
        let mut actor = Actor::queue(by, &[Permission::Decide]);
        match self.store.user_by_email(&by.to_lowercase()).await? {
            Some(user) if user.disabled || !user.role.permissions().contains(&Permission::Decide) => {
                let sentence = format!("{by} is on record here and may not decide gates");
                return Ok(Err(Reason::new("may_not_decide", sentence)));
            }
            Some(user) => {
                actor.user = Some(user.id);
                actor.groups = user.groups;
            }
            None => actor.groups = counting.into_iter().flatten().cloned().collect(),
        }
        Ok(Ok(actor))
    }

    /// Notes that an answer does not count. The rollout's own log is not touched: nothing happened to it.
    async fn refuse_answer(
        &self,
        receipt: &Receipt,
        to: &AnswerTo,
        by: &str,
        reason: Reason,
    ) -> Result<Taken> {
        let mut tx = self.store.begin_in_turn().await?;
        if !tx.handled(receipt, Some(&reason)).await? {
            return Err(handled_meanwhile());
        }
        let sentence = format!(
            "{by} answered the gate of wave {} through a queue, which does not count: {}",
            to.wave + 1,
            reason.sentence
        );
        let event = self.event("answer_refused", sentence, &reason);
        let actor = Actor::queue(by, &[]);
        let subject = Some(to.rollout.to_string());
        tx.record(&format!("queue/{}", receipt.queue), subject, &actor, event).await?;
        tx.commit().await?;
        Ok(Taken::Refused(reason))
    }
}

/// Why a token counts no more, although the gate still asks for the plan that it was given for.
fn spent(to: &AnswerTo) -> Option<Reason> {
    if to.answered_at.is_some() {
        let sentence = "this token was used already; the next approval needs the next message's";
        return Some(Reason::new("token_used", sentence));
    }
    let sentence = "the gate was announced anew since; answer with the token of the newest message";
    to.superseded.then(|| Reason::new("token_superseded", sentence))
}
