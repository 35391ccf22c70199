//! What an update would change in a stack, told before it is made.
//!
//! A change set is made with exactly what the update would send, read, and always taken away again. What a
//! former process left behind is found by its name.

use super::budget::Class;
use super::calls::READS;
use super::changeset::Compared;
use super::errors::Trouble;
use super::{Inner, reasons};
use crate::Change;
use aws_sdk_cloudformation::types as sdk;
use domain::Reason;
use domain::preview::{Action, Replacement, ResourceChange, StackDiff};
use domain::stack::own_name;
use futures::StreamExt as _;
use std::sync::PoisonError;

/// How all change sets of previews begin.
const PREFIX: &str = "tidegate-preview-";
/// How many stacks at once: the budget is the limit, this one only bounds what is in memory.
const AT_ONCE: usize = 8;

impl Inner {
    /// What each of these updates would change, in the order asked.
    pub async fn preview(&self, changes: &[Change]) -> Vec<Result<StackDiff, Reason>> {
        let each: Vec<_> = changes.iter().map(|change| self.preview_one(change)).collect();
        futures::stream::iter(each).buffered(AT_ONCE).collect().await
    }

    async fn preview_one(&self, change: &Change) -> Result<StackDiff, Reason> {
        let name = self.name(&change.name);
        let mut wish = match self.wish(Class::Sweep, change, &name).await {
            Ok(wish) => wish,
            Err(Some(reason)) => return Err(reason),
            Err(None) => {
                return Err(not_now(
                    &reasons::silent("the template's parameters could not be read").sentence,
                ));
            }
        };
        if own_name(&change.name).is_some() {
            // The update looks first, too, and keeps the tags of others.
            let seen = self.calls.describe(Class::Sweep, &name).await.map_err(|t| refused(&t, &name))?;
            wish.kept = seen.map(|seen| seen.others).unwrap_or_default();
        }
        let set = format!("{PREFIX}{}", change.token);
        self.tidy(&name).await;
        let mut made = self.calls.compare(Class::Sweep, &wish, &set, None).await;
        for _ in 1..READS {
            if !matches!(made, Err(Trouble::Exists | Trouble::Unknown(_))) {
                break;
            }
            // It was left behind, or made without an answer: it is not known of what. Taken away and made anew, it is
            // like a question, and may be asked as often.
            self.forget(&name, &set).await;
            made = self.calls.compare(Class::Sweep, &wish, &set, None).await;
        }
        if let Err(trouble) = made {
            self.forget(&name, &set).await;
            return Err(refused(&trouble, &name));
        }
        let compared = self.calls.compared(Class::Sweep, &name, &set).await;
        self.forget(&name, &set).await;
        match compared {
            Ok(Compared::Changes(changes)) => {
                Ok(StackDiff::new(changes.iter().filter_map(resource).collect()))
            }
            Ok(Compared::Nothing) => Ok(StackDiff::default()),
            Ok(Compared::Failed(why)) => Err(Reason::new(
                "preview_failed",
                format!(
                    "CloudFormation cannot compare it: {}; the update would likely fail too",
                    why.trim_end_matches('.')
                ),
            )),
            Ok(Compared::Slow) => Err(not_now("CloudFormation did not finish comparing it in time")),
            Err(trouble) => Err(refused(&trouble, &name)),
        }
    }

    /// Takes away what former previews left on a stack; once in this process, or after a failure.
    async fn tidy(&self, stack: &str) {
        if !self.tidied.lock().unwrap_or_else(PoisonError::into_inner).insert(stack.to_owned()) {
            return;
        }
        match self.calls.change_sets(Class::Sweep, stack, PREFIX).await {
            Ok(left) => {
                for set in left {
                    self.forget(stack, &set).await;
                }
            }
            Err(trouble) => {
                tracing::debug!(?trouble, stack, "what previews left behind cannot be looked for now");
                self.untidy(stack);
            }
        }
    }

    async fn forget(&self, stack: &str, set: &str) {
        if let Err(trouble) = self.calls.forget(Class::Sweep, stack, set).await {
            tracing::warn!(
                ?trouble,
                stack,
                set,
                "a change set stays; the next preview of the stack takes it away"
            );
            self.untidy(stack);
        }
    }

    fn untidy(&self, stack: &str) {
        self.tidied.lock().unwrap_or_else(PoisonError::into_inner).remove(stack);
    }
}

/// One change, unless it is of tags alone: our own marks change with every update, and nothing else does with them.
fn resource(change: &sdk::Change) -> Option<ResourceChange> {
    let change = change.resource_change()?;
    let action = match change.action() {
        Some(sdk::ChangeAction::Add) => Action::Add,
        Some(sdk::ChangeAction::Remove) => Action::Remove,
        Some(sdk::ChangeAction::Import) => Action::Import,
        Some(sdk::ChangeAction::Modify) => Action::Modify,
        // What this version does not know may be anything.
        _ => Action::Dynamic,
    };
    let replacement = match change.replacement() {
        Some(sdk::Replacement::True) => Replacement::Yes,
        Some(sdk::Replacement::Conditional) => Replacement::Conditional,
        Some(sdk::Replacement::False) | None => Replacement::No,
        Some(_) => Replacement::Conditional,
    };
    let scope = change.scope();
    let tags_alone = !scope.is_empty() && scope.iter().all(|s| *s == sdk::ResourceAttribute::Tags);
    if action == Action::Modify && replacement == Replacement::No && tags_alone {
        return None;
    }
    let name = change.logical_resource_id().unwrap_or("?");
    Some(ResourceChange::new(action, name, change.resource_type().unwrap_or("?"), replacement))
}

fn refused(trouble: &Trouble, name: &str) -> Reason {
    match trouble {
        Trouble::Missing => Reason::new(
            "stack_missing",
            format!("the stack {name} is not in CloudFormation any more; create it again or remove it here"),
        ),
        Trouble::Busy(_) => Reason::new(
            "stack_busy",
            format!(
                "the stack {name} is in a state in which nothing can be compared; preview it again later"
            ),
        ),
        Trouble::Unknown(what) => not_now(&format!("CloudFormation does not answer ({what})")),
        other => reasons::refused(other, name).0,
    }
}

fn not_now(why: &str) -> Reason {
    Reason::new("preview_unanswered", format!("{why}; preview it again"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn modify(scope: &[sdk::ResourceAttribute], replacement: sdk::Replacement) -> Option<ResourceChange> {
        let change = sdk::ResourceChange::builder()
            .action(sdk::ChangeAction::Modify)
            .logical_resource_id("Orders")
            .resource_type("AWS::DynamoDB::Table")
            .replacement(replacement)
            .set_scope(Some(scope.to_vec()))
            .build();
        resource(&sdk::Change::builder().resource_change(change).build())
    }

    #[test]
    fn a_change_of_our_own_marks_alone_is_none() {
        use sdk::{Replacement as R, ResourceAttribute::*};
        assert_eq!(modify(&[Tags], R::False), None);
        assert!(modify(&[Tags, Properties], R::False).is_some());
        assert!(modify(&[], R::False).is_some(), "where it is not said, it counts");
        assert_eq!(modify(&[Tags], R::True).unwrap().replacement, Replacement::Yes);
    }

    #[test]
    fn what_is_not_known_is_not_taken_for_harmless() {
        use sdk::ResourceAttribute::Properties;
        let unknown = modify(&[Properties], sdk::Replacement::from("Perhaps")).unwrap();
        assert!(unknown.replacement == Replacement::Conditional && unknown.danger().is_some());
    }
}
