//! What an approver was shown of the changes that follow: part of what the answer is bound to.
//!
//! A preview that becomes another one changes what is bound, so that answers given before count no more
//! (DESIGN §3, law 6). Without a preview, the plan alone is bound.

use super::{Event, Rollout, WaveState};
use crate::operation::Run;
use crate::preview::{self, Request, WavePreview};
use crate::{Reason, Span, Timestamp};

/// How long a gate waits, beyond its bake, for the preview of what follows before it asks without one.
pub const PATIENCE: Span = Span::minutes(10);

/// The preview of a wave's changes, as the log remembers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Of which stacks, from and to what.
    pub key: String,
    /// Of what was found.
    pub digest: String,
    /// What was found, in one sentence.
    pub sentence: String,
    /// How many stacks can lose data.
    pub endangered: u32,
    /// When it was recorded.
    pub at: Timestamp,
}

impl Rollout {
    /// The wave that begins when the gate after `wave` passes: the next one that somebody is in.
    #[must_use]
    pub fn wave_after(&self, wave: usize) -> Option<usize> {
        (wave + 1..self.plan.waves.len()).find(|next| !self.plan.waves[*next].steps.is_empty())
    }

    /// What a preview of a wave is to compare now; `None` if none of its steps can be compared.
    #[must_use]
    pub fn preview_request(&self, wave: usize) -> Option<Request> {
        let (planned, state) = (self.plan.waves.get(wave)?, self.waves.get(wave)?);
        let waiting = planned.steps.iter().zip(&state.steps);
        let waiting = waiting.filter(|(_, s)| matches!(s.run, Run::Waiting { .. })).map(|(step, _)| step);
        preview::request(waiting, &self.plan.configurations)
    }

    /// What an answer to the gate after `wave` must name: the plan, and the preview of what follows if there is one.
    #[must_use]
    pub fn binding(&self, wave: usize) -> String {
        let shown =
            self.wave_after(wave).and_then(|next| Some((next, self.waves.get(next)?.shown.as_ref()?)));
        match shown {
            Some((next, shown)) => {
                self.plan.hash_with(&format!("previewed {next} {} {}", shown.key, shown.digest))
            }
            None => self.plan.hash.clone(),
        }
    }

    /// What an answer given now must name.
    #[must_use]
    pub fn present_binding(&self) -> String {
        self.current_wave().map_or_else(|| self.plan.hash.clone(), |wave| self.binding(wave))
    }

    /// The wave whose preview the gate after `wave` still waits for.
    #[must_use]
    pub fn awaited_preview(&self, wave: usize) -> Option<usize> {
        self.plan.waves.get(wave)?.spec.gate.approval.as_ref()?;
        let next = self.wave_after(wave)?;
        let request = self.preview_request(next)?;
        let known = self.waves[next].shown.as_ref().is_some_and(|shown| shown.key == request.key);
        (!known).then_some(next)
    }
}

/// What a finished preview is to the rollout: an event, unless it says nothing new.
pub(super) fn previewed(rollout: &Rollout, key: &str, found: &WavePreview) -> Result<Vec<Event>, Reason> {
    let waves = rollout.waves.iter().enumerate();
    let mut pending = waves.filter(|(_, w)| matches!(w.state, WaveState::Pending)).map(|(i, _)| i);
    let wave = pending.find(|wave| rollout.preview_request(*wave).is_some_and(|r| r.key == key));
    let Some(wave) = wave else {
        return Err(Reason::new("preview_stale", "the wave has changed since its preview was asked for"));
    };
    let digest = found.digest();
    if rollout.waves[wave].shown.as_ref().is_some_and(|s| s.key == key && s.digest == digest) {
        return Ok(vec![]);
    }
    let endangered = u32::try_from(found.endangered()).unwrap_or(u32::MAX);
    Ok(vec![Event::Previewed { wave, key: key.to_owned(), digest, sentence: found.sentence(), endangered }])
}
