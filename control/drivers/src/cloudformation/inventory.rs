//! The stacks of an account and region, whoever made them: what an import looks at. Nothing is changed here.

use super::artifact::{Artifact, Source};
use super::budget::Class;
use super::sighting::Sighting;
use super::status::{Action, Status};
use super::{Inner, parameters, reasons};
use crate::Goal;
use aws_sdk_cloudformation::types::Stack;
use domain::import::{Expected, FoundStack, Standing};
use domain::{Invalid, Reason};
use std::collections::BTreeMap;

impl Inner {
    /// Pages through all stacks, at the pace of a sweep. Those inside other stacks are left out: the stack around
    /// them updates them.
    pub async fn inventory(&self) -> Result<Vec<FoundStack>, Reason> {
        let mut found: BTreeMap<String, FoundStack> = BTreeMap::new();
        let (mut next, mut pages) = (None, 0);
        loop {
            let page = self.calls.page(next).await;
            self.note_reached(&page);
            let (stacks, more) = page.map_err(|trouble| reasons::refused(&trouble, "").0)?;
            pages += 1;
            for stack in stacks.iter().filter(|s| s.parent_id().is_none()) {
                let stack = one(stack);
                if stack.status != Status::DeleteComplete.to_string() {
                    found.insert(stack.name.clone(), stack);
                }
            }
            next = more;
            if next.is_none() {
                self.note_pages(pages);
                return Ok(found.into_values().collect());
            }
        }
    }

    /// What an update to `goal` would give each of the template's parameters.
    pub async fn expected(&self, goal: &Goal, stack: &str) -> Result<BTreeMap<String, Expected>, Reason> {
        let wrong = |invalid: Invalid| Reason::new("bad_artifact", invalid.sentence());
        let artifact = Artifact::parse(&goal.artifact).map_err(wrong)?;
        let template = match &artifact.source {
            Source::Body(_, template) => template.clone(),
            Source::Url(url) => self.template(Class::Sweep, url).await.map_err(|reason| {
                let unread = || Reason::new("template_unread", "the release's template cannot be read now");
                reason.unwrap_or_else(unread)
            })?,
        };
        parameters::expected(&artifact, &template, goal, stack)
    }
}

fn one(stack: &Stack) -> FoundStack {
    let seen = Sighting::of(stack);
    let tags = stack.tags().iter().filter_map(|t| Some((t.key()?.to_owned(), t.value()?.to_owned())));
    let parameters = stack.parameters().iter();
    let parameters = parameters.filter_map(|p| {
        // The value behind a parameter of the parameter store is not what an update sends.
        Some((p.parameter_key()?.to_owned(), p.parameter_value()?.to_owned()))
    });
    FoundStack {
        // arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/ID
        region: seen.id.split(':').nth(3).unwrap_or_default().to_owned(),
        status: seen.status.to_string(),
        standing: standing(&seen.status),
        tags: tags.collect(),
        parameters: parameters.collect(),
        owner: seen.marks.stack,
        id: seen.id,
        name: seen.name,
        outputs: seen.outputs,
    }
}

/// What a status means for a stack that nobody here has touched yet.
fn standing(status: &Status) -> Standing {
    match status.row().update {
        Action::Update if status.is_live() => Standing::Steady,
        Action::Wait => Standing::Busy,
        Action::Update
        | Action::Create
        | Action::Delete
        | Action::ContinueRollback
        | Action::DeleteAndRecreate
        | Action::Succeed
        | Action::AskPerson(_) => Standing::Broken,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_is_whole_and_at_rest_can_be_taken_over() {
        for (word, wanted) in [
            ("CREATE_COMPLETE", Standing::Steady),
            ("UPDATE_COMPLETE", Standing::Steady),
            ("UPDATE_ROLLBACK_COMPLETE", Standing::Steady),
            ("IMPORT_COMPLETE", Standing::Steady),
            ("UPDATE_IN_PROGRESS", Standing::Busy),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Standing::Busy),
            ("SOMETHING_NEW", Standing::Busy),
            ("ROLLBACK_COMPLETE", Standing::Broken),
            ("UPDATE_ROLLBACK_FAILED", Standing::Broken),
            ("UPDATE_FAILED", Standing::Broken),
            ("REVIEW_IN_PROGRESS", Standing::Broken),
        ] {
            assert_eq!(standing(&word.parse().unwrap()), wanted, "{word}");
        }
    }
}
