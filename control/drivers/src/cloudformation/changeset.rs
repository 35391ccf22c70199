//! Change sets: how CloudFormation tells beforehand what an update would do, and how it puts back what has
//! drifted.

use super::budget::Class;
use super::calls::{Calls, Wish, capabilities, parameters, tags, topics};
use super::errors::Trouble;
use aws_sdk_cloudformation::types::{Change, ChangeSetStatus, ChangeSetType, DeploymentMode};
use std::time::Duration;

/// Pages of changes, of change sets: more mean that the provider does not come to an end.
const PAGES: usize = 100;
/// How often a change set is looked at before it counts as one that never ends; with the pauses, ten minutes.
const LOOKS: u32 = 70;

/// What became of a change set.
pub enum Compared {
    /// These changes.
    Changes(Vec<Change>),
    /// The stack is what was asked for already.
    Nothing,
    /// It could not be made.
    Failed(String),
    /// It never ended.
    Slow,
}

impl Calls {
    /// Begins to compare a stack with what an update would send; returns the stack's id.
    pub async fn compare(
        &self,
        class: Class,
        wish: &Wish,
        set: &str,
        mode: Option<DeploymentMode>,
    ) -> Result<String, Trouble> {
        let request = self
            .client
            .create_change_set()
            .stack_name(&wish.name)
            .change_set_name(set)
            .change_set_type(ChangeSetType::Update)
            .set_deployment_mode(mode)
            .set_template_url(wish.url.clone())
            .set_template_body(wish.body.clone())
            .set_capabilities(Some(capabilities(wish)))
            .set_parameters(Some(parameters(wish)))
            .set_tags(Some(tags(wish)))
            .set_notification_arns(topics(wish))
            .set_role_arn(wish.role.clone());
        let answer = self.once(class, || request.clone().send()).await?;
        Ok(answer.stack_id.unwrap_or_default())
    }

    /// Waits for the end of a comparison and reads all of it.
    pub async fn compared(&self, class: Class, stack: &str, set: &str) -> Result<Compared, Trouble> {
        let mut changes: Vec<Change> = vec![];
        let mut next: Option<String> = None;
        let mut pages = 0;
        let mut looks = 0;
        loop {
            let request = self.client.describe_change_set().stack_name(stack).change_set_name(set);
            let request = request.set_next_token(next.clone());
            let answer = self.read(class, || request.clone().send()).await?;
            match answer.status() {
                Some(ChangeSetStatus::CreateComplete) => {
                    changes.extend_from_slice(answer.changes());
                    pages += 1;
                    next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
                    if next.is_none() || pages == PAGES {
                        return Ok(Compared::Changes(changes));
                    }
                }
                Some(ChangeSetStatus::Failed) => {
                    let why = answer.status_reason().unwrap_or("no reason was given");
                    let nothing = is_nothing(why);
                    return Ok(if nothing { Compared::Nothing } else { Compared::Failed(why.to_owned()) });
                }
                _ => {
                    looks += 1;
                    if looks == LOOKS {
                        return Ok(Compared::Slow);
                    }
                    let pause = Duration::from_millis(500 << looks.min(4)).max(Duration::from_secs(1));
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Takes a change set away; one that is gone already is well.
    pub async fn forget(&self, class: Class, stack: &str, set: &str) -> Result<(), Trouble> {
        let request = self.client.delete_change_set().stack_name(stack).change_set_name(set);
        // Taking away twice is the same as once, so it may be repeated like a question.
        match self.read(class, || request.clone().send()).await {
            Ok(_) | Err(Trouble::Missing) => Ok(()),
            Err(Trouble::Refused(told)) if told.contains("ChangeSetNotFound") => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// The names of a stack's change sets that begin with `prefix`.
    pub async fn change_sets(&self, class: Class, stack: &str, prefix: &str) -> Result<Vec<String>, Trouble> {
        let mut found = vec![];
        let mut next: Option<String> = None;
        for _ in 0..PAGES {
            let request = self.client.list_change_sets().stack_name(stack).set_next_token(next);
            let answer = self.read(class, || request.clone().send()).await?;
            let names = answer.summaries().iter().filter_map(|s| s.change_set_name());
            found.extend(names.filter(|name| name.starts_with(prefix)).map(str::to_owned));
            next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Begins an update that also puts back what was changed or deleted behind the stack's back: an ordinary
    /// update leaves a resource alone whose template did not change, so it is compared with what is really there.
    /// Returns the stack's id.
    pub async fn revert(&self, class: Class, wish: &Wish) -> Result<String, Trouble> {
        let set = format!("tidegate-repair-{}", wish.token);
        let id = match self.compare(class, wish, &set, Some(DeploymentMode::RevertDrift)).await {
            Err(Trouble::Exists) => {
                // Left by an attempt that did not come to its end: the stack may be another one by now.
                self.forget(class, &wish.name, &set).await?;
                self.compare(class, wish, &set, Some(DeploymentMode::RevertDrift)).await?
            }
            other => other?,
        };
        let compared = match (self.compared(class, &wish.name, &set).await, &wish.protection.policy) {
            // A change set cannot take a policy along.
            (Ok(Compared::Changes(changes)), Some(policy)) => {
                self.set_policy(class, &id, policy).await.map(|()| Compared::Changes(changes))
            }
            (compared, _) => compared,
        };
        let refused = match compared {
            Ok(Compared::Changes(_)) => {
                let request = self
                    .client
                    .execute_change_set()
                    .stack_name(&wish.name)
                    .change_set_name(&set)
                    .client_request_token(&wish.token);
                match self.once(class, || request.clone().send()).await {
                    // From here on the change set is the record of what was done.
                    Ok(_) => return Ok(id),
                    // Whether it has begun is found out by the stack's own events.
                    Err(unknown @ Trouble::Unknown(_)) => return Err(unknown),
                    Err(other) => other,
                }
            }
            Ok(Compared::Nothing) => Trouble::NoUpdates,
            Ok(Compared::Failed(why)) => Trouble::Refused(why),
            Ok(Compared::Slow) => Trouble::Refused("the comparison for the repair did not end".to_owned()),
            // Nothing has begun, whatever became of the question.
            Err(Trouble::Unknown(why)) => {
                Trouble::Refused(format!("the repair could not be prepared: {why}"))
            }
            Err(other) => other,
        };
        if let Err(trouble) = self.forget(class, &wish.name, &set).await {
            tracing::warn!(?trouble, stack = wish.name, set, "a change set stays");
        }
        Err(refused)
    }
}

/// Whether a change set failed because there was nothing to change.
fn is_nothing(why: &str) -> bool {
    why.contains("didn't contain changes") || why.contains("No updates are to be performed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_change_is_told_in_both_wordings() {
        assert!(is_nothing(
            "The submitted information didn't contain changes. Submit different information."
        ));
        assert!(is_nothing("No updates are to be performed."));
        assert!(!is_nothing("Parameters: [Env] must have values"));
    }
}
