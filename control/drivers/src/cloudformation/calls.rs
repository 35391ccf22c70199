//! The calls to CloudFormation. Every one passes through the budget, and the SDK's own retries are off: a call
//! that changes something is never repeated before its effect was looked for (DESIGN §3, law 7).

use super::budget::Class;
use super::errors::{self, Trouble};
use super::events::StackEvent;
use super::gate::Gate;
use super::protection::Wanted;
use super::sighting::Sighting;
use super::template::{Declared, Template};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack, Tag};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How often a reading call is made before the provider counts as not answering.
pub(super) const READS: u32 = 5;
/// Pages of events that are read back to an operation's beginning.
const PAGES: usize = 10;

/// What a create or an update sends.
#[derive(Clone, PartialEq, Debug)]
pub struct Wish {
    /// The stack's name at the provider.
    pub name: String,
    /// `ClientRequestToken`.
    pub token: String,
    /// The template's address, or else its body.
    pub url: Option<String>,
    /// The template itself.
    pub body: Option<String>,
    /// What it may do.
    pub capabilities: Vec<String>,
    /// Its parameters.
    pub parameters: Vec<(String, String)>,
    /// The stack's tags.
    pub tags: Vec<(&'static str, String)>,
    /// Tags of others that the stack has and keeps.
    pub kept: Vec<(String, String)>,
    /// The role that CloudFormation works with.
    pub role: Option<String>,
    /// How it is protected.
    pub protection: Wanted,
    /// The topics that hear of its events; none leaves them as they are.
    pub topics: Vec<String>,
}

/// What was found of our own stacks and of those that were looked for, by name.
pub struct Sweep {
    /// What was found.
    pub found: HashMap<String, Sighting>,
    /// How many calls it took.
    pub pages: usize,
}

/// The provider, in one account and region.
pub struct Calls {
    pub(super) client: Client,
    /// The budget.
    pub gate: Gate,
}

impl Calls {
    pub const fn new(client: Client, gate: Gate) -> Self {
        Self { client, gate }
    }

    /// Begins to make a stack; returns its id.
    pub async fn create(&self, class: Class, wish: &Wish) -> Result<String, Trouble> {
        let request = self
            .client
            .create_stack()
            .stack_name(&wish.name)
            .client_request_token(&wish.token)
            .set_template_url(wish.url.clone())
            .set_template_body(wish.body.clone())
            .set_capabilities(Some(capabilities(wish)))
            .set_parameters(Some(parameters(wish)))
            .set_tags(Some(tags(wish)))
            .set_role_arn(wish.role.clone())
            .set_notification_arns(topics(wish))
            .set_enable_termination_protection(wish.protection.termination)
            .set_stack_policy_body(wish.protection.policy.clone());
        let answer = self.once(class, || request.clone().send()).await?;
        Ok(answer.stack_id.unwrap_or_default())
    }

    /// Begins to update a stack; returns its id.
    pub async fn update(&self, class: Class, wish: &Wish) -> Result<String, Trouble> {
        let request = self
            .client
            .update_stack()
            .stack_name(&wish.name)
            .client_request_token(&wish.token)
            .set_template_url(wish.url.clone())
            .set_template_body(wish.body.clone())
            .set_capabilities(Some(capabilities(wish)))
            .set_parameters(Some(parameters(wish)))
            .set_tags(Some(tags(wish)))
            .set_role_arn(wish.role.clone())
            .set_notification_arns(topics(wish))
            .set_stack_policy_body(wish.protection.policy.clone());
        let answer = self.once(class, || request.clone().send()).await?;
        Ok(answer.stack_id.unwrap_or_default())
    }

    /// Begins to delete the stack with this id.
    pub async fn delete(&self, class: Class, id: &str, token: &str) -> Result<(), Trouble> {
        let request = self.client.delete_stack().stack_name(id).client_request_token(token);
        self.once(class, || request.clone().send()).await.map(drop)
    }

    /// Protects the stack with this id from being deleted, or does not any more. The same again changes nothing.
    pub async fn protect(&self, class: Class, id: &str, on: bool) -> Result<(), Trouble> {
        let request =
            self.client.update_termination_protection().stack_name(id).enable_termination_protection(on);
        self.read(class, || request.clone().send()).await.map(drop)
    }

    /// Gives a stack a policy. The same again changes nothing.
    pub async fn set_policy(&self, class: Class, id: &str, policy: &str) -> Result<(), Trouble> {
        let request = self.client.set_stack_policy().stack_name(id).stack_policy_body(policy);
        self.read(class, || request.clone().send()).await.map(drop)
    }

    /// Lets a stack finish going back.
    pub async fn continue_rollback(&self, class: Class, id: &str, token: &str) -> Result<(), Trouble> {
        let request = self.client.continue_update_rollback().stack_name(id).client_request_token(token);
        self.once(class, || request.clone().send()).await.map(drop)
    }

    /// One stack, by name or id; `None` if there is none.
    pub async fn describe(&self, class: Class, stack: &str) -> Result<Option<Sighting>, Trouble> {
        let request = self.client.describe_stacks().stack_name(stack);
        match self.read(class, || request.clone().send()).await {
            Ok(answer) => Ok(answer.stacks().first().map(Sighting::of)),
            Err(Trouble::Missing) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Pages through all stacks until those of these names were found (`None`: to the end).
    ///
    /// A stack that comes or goes between two pages may be passed over: who is not found is described by name
    /// before anything is concluded.
    pub async fn sweep(&self, names: Option<&HashSet<String>>) -> Result<Sweep, Trouble> {
        let mut sweep = Sweep { found: HashMap::new(), pages: 0 };
        let mut missing = names.map(HashSet::len);
        let mut next: Option<String> = None;
        loop {
            let request = self.client.describe_stacks().set_next_token(next.clone());
            let answer = self.read(Class::Sweep, || request.clone().send()).await?;
            sweep.pages += 1;
            for sighting in answer.stacks().iter().map(Sighting::of) {
                let wanted = names.is_some_and(|names| names.contains(&sighting.name));
                if !wanted && sighting.marks.stack.is_none() {
                    continue;
                }
                let is_new = sweep.found.insert(sighting.name.clone(), sighting).is_none();
                if wanted && is_new {
                    missing = missing.map(|n| n - 1);
                }
            }
            next = answer.next_token.filter(|token| !token.is_empty());
            if next.is_none() || missing == Some(0) {
                return Ok(sweep);
            }
        }
    }

    /// A page of all stacks as the provider lists them, and where the next one begins.
    pub async fn page(&self, next: Option<String>) -> Result<(Vec<Stack>, Option<String>), Trouble> {
        let request = self.client.describe_stacks().set_next_token(next);
        let answer = self.read(Class::Sweep, || request.clone().send()).await?;
        Ok((answer.stacks.unwrap_or_default(), answer.next_token.filter(|token| !token.is_empty())))
    }

    /// A stack's events, newest first, as far back as `is_enough` asks for.
    pub async fn events(
        &self,
        class: Class,
        stack: &str,
        is_enough: impl Fn(&[StackEvent]) -> bool,
    ) -> Result<Vec<StackEvent>, Trouble> {
        let mut events = vec![];
        let mut next: Option<String> = None;
        for _ in 0..PAGES {
            let request = self.client.describe_stack_events().stack_name(stack).set_next_token(next.clone());
            let answer = match self.read(class, || request.clone().send()).await {
                Err(Trouble::Missing) => return Ok(events),
                other => other?,
            };
            events.extend(answer.stack_events().iter().map(StackEvent::of));
            next = answer.next_token.filter(|token| !token.is_empty());
            if next.is_none() || is_enough(&events) {
                break;
            }
        }
        Ok(events)
    }

    /// What the template at an address declares.
    pub async fn template(&self, class: Class, url: &str) -> Result<Template, Trouble> {
        let request = self.client.get_template_summary().template_url(url);
        let answer = self.read(class, || request.clone().send()).await?;
        let declared = answer.parameters().iter().filter_map(|p| {
            let constraints = p.parameter_constraints();
            let allowed = constraints.map(|c| c.allowed_values().to_vec()).unwrap_or_default();
            let default = p.default_value().map(str::to_owned);
            let has_default = default.is_some();
            Some((p.parameter_key()?.to_owned(), Declared { has_default, default, allowed }))
        });
        // The summary says nothing of outputs.
        Ok(Template { parameters: declared.collect(), outputs: None })
    }

    /// A call that changes something: repeated only when it was throttled, which means that it was not accepted.
    pub(super) async fn once<T, E, F>(&self, class: Class, call: impl Fn() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        loop {
            self.gate.pass(class).await;
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => match errors::of(&error) {
                    Trouble::Throttled => {
                        tracing::debug!(?class, "the provider throttles; waiting for the budget");
                        self.gate.throttled();
                    }
                    other => return Err(other),
                },
            }
        }
    }

    /// A call that may be repeated at will: it is, a few times, when it was not answered.
    pub(super) async fn read<T, E, F>(&self, class: Class, call: impl Fn() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let mut tried = 0;
        loop {
            match self.once(class, &call).await {
                Err(Trouble::Unknown(what)) => {
                    tried += 1;
                    if tried == READS {
                        return Err(Trouble::Unknown(what));
                    }
                    tokio::time::sleep(Duration::from_millis(100 << tried)).await;
                }
                other => return other,
            }
        }
    }
}

pub(super) fn topics(wish: &Wish) -> Option<Vec<String>> {
    (!wish.topics.is_empty()).then(|| wish.topics.clone())
}

pub(super) fn capabilities(wish: &Wish) -> Vec<Capability> {
    wish.capabilities.iter().map(|c| Capability::from(c.as_str())).collect()
}

pub(super) fn parameters(wish: &Wish) -> Vec<Parameter> {
    let one = |(key, value): &(String, String)| {
        Parameter::builder().parameter_key(key).parameter_value(value).build()
    };
    wish.parameters.iter().map(one).collect()
}

pub(super) fn tags(wish: &Wish) -> Vec<Tag> {
    let kept = wish.kept.iter().map(|(key, value)| (key.as_str(), value));
    let all = wish.tags.iter().map(|(key, value)| (*key, value)).chain(kept);
    all.map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}
