//! What a stack will run once it catches up, beside what it runs now: shown before a person lets it.

use crate::{Result, Service};
use domain::configuration::{ParameterChange, parameter_changes};
use domain::stack::Stack;

/// What catching up changes of one stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ahead {
    /// The version that it runs, and the one that it goes to, where they differ.
    pub versions: Option<(String, String)>,
    /// Parameters that change.
    pub changes: Vec<ParameterChange>,
    /// The open rollout, which says what stacks should run until it has ended.
    pub open: Option<String>,
}

impl Service {
    /// What catching up changes of a stack; `None` where it runs what it should.
    pub(crate) async fn ahead(&self, stack: &Stack) -> Result<Option<Ahead>> {
        let Some(actual) = &stack.actual else { return Ok(None) };
        let Some(to) = self.store.desired_configuration(stack.id).await? else { return Ok(None) };
        if to.digest == actual.digest {
            return Ok(None);
        }
        let versions =
            (to.version != actual.version).then(|| (actual.version.to_string(), to.version.to_string()));
        let open = self.store.open_rollout().await?.map(|open| open.summary.title);
        Ok(Some(Ahead { versions, changes: parameter_changes(Some(actual), &to), open }))
    }
}
