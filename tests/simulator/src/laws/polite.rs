//! Law 10: events before polling, one call for many, and never without end.

use super::{Kept, Law};
use crate::provider::Asked;
use crate::scene::Scene;
use domain::OperationId;
use std::collections::{BTreeMap, VecDeque};

/// The span that is looked at, in milliseconds.
const SPAN: i64 = 10_000;
/// Looks at one operation within it: two servers, each every two seconds, with some for those that begin anew and for
/// answers that got lost.
const LOOKS: usize = 24;

/// Between news an operation is looked at every two seconds, not more often.
#[derive(Default)]
pub struct Polite {
    looks: BTreeMap<OperationId, VecDeque<i64>>,
    news: BTreeMap<OperationId, usize>,
}

impl Law for Polite {
    fn text(&self) -> (u8, &'static str) {
        (
            10,
            "Never beyond the API-rate budget of an account and region; events before polling; one call for many stacks \
             before many calls.",
        )
    }

    fn asked(&mut self, at: i64, host: &str, asked: &Asked, _scene: &Scene) -> Kept {
        match asked {
            Asked::Told { token } => *self.news.entry(*token).or_default() += 1,
            Asked::Observed { tokens } => {
                for token in tokens {
                    let looks = self.looks.entry(*token).or_default();
                    looks.push_back(at);
                    while looks.front().is_some_and(|first| at - first > SPAN) {
                        looks.pop_front();
                    }
                    let may = LOOKS + 2 * self.news.get(token).copied().unwrap_or(0);
                    if looks.len() > may {
                        return Err(format!("{host} looked at {token} {} times in 10 s", looks.len()));
                    }
                }
            }
            Asked::Submitted { .. } | Asked::Repeated { .. } | Asked::Ended { .. } => {}
        }
        Ok(())
    }
}
