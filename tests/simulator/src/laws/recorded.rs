//! Law 9: who did what, when, from where and why, append-only.

use super::{Kept, Law};
use crate::provider::Asked;
use crate::scene::{Logged, Scene};
use domain::rollout::Event;

/// Positions grow, everybody has a name and a door, and what people decided is theirs.
#[derive(Default)]
pub struct Recorded {
    position: i64,
}

impl Law for Recorded {
    fn text(&self) -> (u8, &'static str) {
        (9, "Who did what, when, from where and why, append-only.")
    }

    fn logged(&mut self, event: &Logged, _scene: &Scene) -> Kept {
        if event.position <= self.position {
            return Err(format!("position {} was given after {}", event.position, self.position));
        }
        self.position = event.position;
        if event.actor.name.trim().is_empty() {
            return Err(format!("nobody did {} of {}", event.kind, event.stream));
        }
        let Some((_, what)) = &event.rollout else { return Ok(()) };
        let by = match what {
            Event::Decided { by, .. }
            | Event::Paused { by, .. }
            | Event::Resumed { by }
            | Event::Retried { by, .. } => by,
            _ => return Ok(()),
        };
        if by.user != event.actor.user || by.name != event.actor.name || by.channel != event.actor.channel {
            return Err(format!("{} is said to have done what {} did", by.name, event.actor.name));
        }
        Ok(())
    }

    fn asked(&mut self, _at: i64, _host: &str, asked: &Asked, _scene: &Scene) -> Kept {
        match asked {
            Asked::Submitted { recorded: false, token, .. } => {
                Err(format!("{token} began, and the record does not know"))
            }
            Asked::Submitted { .. }
            | Asked::Repeated { .. }
            | Asked::Observed { .. }
            | Asked::Ended { .. }
            | Asked::Told { .. } => Ok(()),
        }
    }
}
