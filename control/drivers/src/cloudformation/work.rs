//! The operations that this driver works on, in memory.
//!
//! All of it may be forgotten: what matters stands in the stacks' tags and events, and is read from there after a
//! restart (DESIGN §3, law 7).

use super::judge::Step;
use crate::Change;
use domain::process::{OperationKind, Outcome};
use domain::{OperationId, StackId, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many operations are remembered before those that ended are forgotten.
const REMEMBERED: usize = 20_000;

/// One operation.
#[derive(Clone, Debug)]
pub struct Work {
    /// Its token.
    pub token: OperationId,
    /// The stack's name at the provider.
    pub name: String,
    /// What it does.
    pub kind: OperationKind,
    /// What was asked; `None` if it was found at the provider after a restart.
    pub change: Option<Change>,
    /// Whether resources that have drifted are put back with it.
    pub heal: bool,
    /// How far it has come.
    pub step: Step,
    /// How it ended.
    pub ended: Option<Outcome>,
    /// The last line that was said of it.
    pub said: String,
}

impl Work {
    /// Which stack, if that is known.
    pub fn stack(&self) -> Option<StackId> {
        self.change.as_ref().map(|c| c.stack)
    }
}

#[derive(Default)]
struct Slot {
    work: Option<Work>,
    taken: bool,
    /// When it last changed hands: what was seen before that is old.
    stamp: u64,
}

/// All of them.
#[derive(Default)]
pub struct Memory {
    slots: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: HashMap<OperationId, Slot>,
    stamps: u64,
    /// When a stack's last operation began, by the provider's clock.
    begun: HashMap<String, Timestamp>,
}

/// An operation in flight, as a look finds it.
pub struct InFlight {
    /// Its token.
    pub token: OperationId,
    /// Its stack's name.
    pub name: String,
    /// See [`Memory::take_unchanged`].
    pub stamp: u64,
    /// Since when the provider has it.
    pub sent: Option<Timestamp>,
    /// Whether the provider has it, so that events tell of it.
    pub tells: bool,
}

impl Memory {
    /// The right to work on the operation; `None` while somebody else does. `new` is asked if it is not known.
    pub fn take(&self, token: OperationId, new: impl FnOnce() -> Work) -> Option<Turn<'_>> {
        let mut state = self.lock();
        if state.slots.len() > REMEMBERED {
            state.slots.retain(|_, slot| slot.taken || slot.work.as_ref().is_some_and(|w| w.ended.is_none()));
        }
        let slot = state.slots.entry(token).or_default();
        if slot.taken {
            return None;
        }
        slot.taken = true;
        let work = slot.work.get_or_insert_with(new).clone();
        Some(Turn { memory: self, work, forgotten: false })
    }

    /// As [`Memory::take`], but only an operation that is known.
    pub fn take_known(&self, token: OperationId) -> Option<Turn<'_>> {
        let mut state = self.lock();
        let slot = state.slots.get_mut(&token).filter(|slot| !slot.taken)?;
        let work = slot.work.clone()?;
        slot.taken = true;
        Some(Turn { memory: self, work, forgotten: false })
    }

    /// The right to work on an operation, unless it changed hands since.
    pub fn take_unchanged(&self, seen: &InFlight) -> Option<Turn<'_>> {
        let mut state = self.lock();
        let slot = state.slots.get_mut(&seen.token)?;
        if slot.taken || slot.stamp != seen.stamp {
            return None;
        }
        let work = slot.work.clone()?;
        slot.taken = true;
        Some(Turn { memory: self, work, forgotten: false })
    }

    /// The operation as it is known; while somebody works on it, as it was before.
    pub fn get(&self, token: OperationId) -> Option<Work> {
        self.lock().slots.get(&token).and_then(|slot| slot.work.clone())
    }

    /// Those that the provider has not ended and that nobody works on.
    pub fn in_flight(&self) -> Vec<InFlight> {
        let state = self.lock();
        let idle = state.slots.iter().filter(|(_, slot)| !slot.taken);
        idle.filter_map(|(token, slot)| {
            let work = slot.work.as_ref().filter(|w| w.ended.is_none() && w.step != Step::Proved)?;
            Some(InFlight {
                token: *token,
                name: work.name.clone(),
                stamp: slot.stamp,
                sent: work.step.sent_at(),
                tells: work.step.tells(),
            })
        })
        .collect()
    }

    /// Those that the provider has not ended, at the stack of this name.
    pub fn at_stack(&self, name: &str) -> Vec<Work> {
        let state = self.lock();
        let works = state.slots.values().filter_map(|slot| slot.work.as_ref());
        works.filter(|w| w.name == name && w.ended.is_none() && w.step != Step::Proved).cloned().collect()
    }

    /// Notes when a stack's last operation began.
    pub fn note_begun(&self, name: &str, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.lock().begun.insert(name.to_owned(), at);
        }
    }

    /// When the stack's last operation began, as far as it was seen.
    pub fn begun(&self, name: &str) -> Option<Timestamp> {
        self.lock().begun.get(name).copied()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to work on an operation. What was changed is kept when it ends, however it ends.
pub struct Turn<'a> {
    memory: &'a Memory,
    /// The operation.
    pub work: Work,
    /// Whether it is to be forgotten.
    pub forgotten: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.memory.lock();
        state.stamps += 1;
        let stamp = state.stamps;
        if self.forgotten {
            state.slots.remove(&self.work.token);
        } else if let Some(slot) = state.slots.get_mut(&self.work.token) {
            *slot = Slot { work: Some(self.work.clone()), taken: false, stamp };
        }
    }
}
