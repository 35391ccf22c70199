//! Which way a plan leads, beside its target: forward, back from a rollout that has ended, or past one that another
//! release overtakes.

use crate::{ProcessId, StackId};
use serde::{Deserialize, Serialize};

/// What a rollback takes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything that the rollout changed.
    Rollout,
    /// A wave, from 0, and what came after it: later waves rest on its gate.
    Wave(usize),
    /// One stack.
    Stack(StackId),
}

/// A rollout, as another one's plan names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Former {
    /// Which.
    pub rollout: ProcessId,
    /// What it was called.
    pub title: String,
}

/// A way back from a rollout that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Back {
    /// From which.
    pub from: Former,
    /// How much of it.
    pub scope: Scope,
}

/// Which way a plan leads.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Course {
    /// Where it leads back: newest wave first, past freezes, and never back again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Back>,
    /// The rollout that it took over from; stacks on its version go straight to the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<Former>,
    /// What it moves, as sentences name it: `1.4.0`, `Basic r3`; empty for the target's version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub moves: String,
}

impl Course {
    /// Whether it leads forward in the usual way, which is not worth storing.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all that the target says is live once it has succeeded: not where only some stacks go back.
    #[must_use]
    pub fn makes_live(&self) -> bool {
        self.back.as_ref().is_none_or(|back| back.scope == Scope::Rollout)
    }
}
