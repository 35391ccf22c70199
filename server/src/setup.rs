//! The set-up file: the targets that stacks are made in, the queues that Tidegate listens to, and where checks of gates
//! are measured.

mod hooks;

pub use hooks::HookSetup;

use crate::check_setup::{CheckHookSetup, ChecksSetup, PrometheusSetup, sources};
use anyhow::{Context as _, Result, bail};
use aws::{Account, Role};
use axum::http::Uri;
use domain::access::parse_group;
use domain::release::DriverKind;
use domain::stack::StackTarget;
use domain::{Region, Span};
use drivers::cloudformation::Settings;
use drivers::cloudformation::budget::Limits;
use engine::Sources;
use serde::Deserialize;
use service::{CountsFor, QueueRole, QueueSetup};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

/// The file as it is written.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// In the order in which they are asked for a place.
    #[serde(default, rename = "target")]
    pub targets: Vec<TargetSetup>,
    /// Messages to and from other systems.
    pub queues: Option<QueuesSetup>,
    /// What this installation does itself at steps of sagas, in the order in which it is called.
    #[serde(default, rename = "hook")]
    pub hooks: Vec<HookSetup>,
    /// What gates may ask for numbers.
    #[serde(default)]
    pub prometheus: Vec<PrometheusSetup>,
    /// What gates may ask whether all is well.
    #[serde(default, rename = "check_hook")]
    pub check_hooks: Vec<CheckHookSetup>,
    /// What holds for checks in general.
    #[serde(default)]
    pub checks: ChecksSetup,
}

/// One target.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct TargetSetup {
    /// `local` or `cloudformation`.
    pub driver: DriverKind,
    /// Its name on stacks.
    #[serde(default)]
    pub name: String,
    /// The regions whose tenants it takes.
    #[serde(default)]
    pub regions: Vec<Region>,
    /// The tiers whose tenants it takes.
    #[serde(default)]
    pub tiers: Vec<String>,
    /// How the account is reached.
    #[serde(flatten)]
    pub account: AccountSetup,
    /// The role that CloudFormation itself works with.
    pub service_role: Option<String>,
    /// What goes before each stack's name.
    #[serde(default)]
    pub prefix: String,
    /// The URL of the SQS queue that stack events come through.
    pub events_queue: Option<String>,
    /// The SNS topics that CloudFormation tells of each stack's events.
    #[serde(default)]
    pub notification_arns: Vec<String>,
    /// The rate budget.
    pub calls_per_second: Option<f64>,
    /// Calls at once after a pause.
    pub burst: Option<f64>,
    /// How often stacks are checked for drift, like `24h`; or `off`.
    pub drift_every: Option<String>,
}

/// How an account is reached.
#[derive(Deserialize, Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AccountSetup {
    /// AWS's name of the region.
    pub region: Option<String>,
    /// Another address than AWS's own.
    pub endpoint: Option<String>,
    /// A role to assume.
    pub role: Option<String>,
    /// What its trust policy asks for.
    pub external_id: Option<String>,
}

impl AccountSetup {
    /// What clients are made of.
    pub fn account(&self) -> Account {
        Account {
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            role: self.role.clone().map(|arn| Role {
                arn,
                external_id: self.external_id.clone(),
                endpoint: self.endpoint.clone(),
            }),
            credentials: None,
            patience: Duration::from_secs(30),
        }
    }

    fn check(&self) -> Result<()> {
        if self.external_id.is_some() && self.role.is_none() {
            bail!("external_id: is for a role; add the role, or leave it out");
        }
        self.role.as_deref().map_or(Ok(()), check_role)
    }

    /// The account that its role is in.
    fn number(&self) -> Option<&str> {
        self.role.as_deref().and_then(|arn| arn.split(':').nth(4))
    }

    /// Whose rate budget its calls are taken from: other roles of an account share it.
    fn bucket(&self) -> (Option<&str>, Option<&str>, Option<&str>) {
        (self.number(), self.region.as_deref(), self.endpoint.as_deref())
    }

    /// Where it leads, for people.
    pub fn place(&self) -> String {
        let region = self.region.as_deref().unwrap_or("the usual region");
        let account = self.number();
        match (account, &self.endpoint) {
            (Some(account), None) => format!("AWS account {account} in {region}"),
            (None, None) => format!("AWS in {region}"),
            (Some(account), Some(at)) => format!("account {account} in {region} at {at}"),
            (None, Some(at)) => format!("{region} at {at}"),
        }
    }
}

fn check_role(role: &str) -> Result<()> {
    if !role.starts_with("arn:") {
        bail!("role: “{role}” is not the ARN of a role; write it like arn:aws:iam::123456789012:role/name");
    }
    Ok(())
}

impl TargetSetup {
    /// Its name on stacks.
    pub fn target(&self) -> StackTarget {
        StackTarget { driver: self.driver, name: self.name.clone() }
    }

    /// What the driver of CloudFormation is set up with.
    pub fn settings(&self) -> Settings {
        let usual = Settings::default().limits;
        let per_second = self.calls_per_second.unwrap_or(usual.per_second);
        Settings {
            account: self.account.account(),
            service_role: self.service_role.clone(),
            prefix: self.prefix.clone(),
            events_queue: self.events_queue.clone(),
            notification_arns: self.notification_arns.clone(),
            limits: Limits { per_second, burst: self.burst.unwrap_or_else(|| usual.burst.max(per_second)) },
        }
    }

    /// How often its stacks are checked for drift; `None` for never. Once a day if nothing is said.
    pub fn drift_every(&self) -> Option<Span> {
        match (self.driver, self.drift_every.as_deref()) {
            (DriverKind::Local | DriverKind::Gitops, _) | (_, Some("off")) => None,
            (DriverKind::Cloudformation, None) => Some(Span::days(1)),
            (DriverKind::Cloudformation, Some(text)) => text.parse().ok(),
        }
    }

    fn check(&self) -> Result<()> {
        match self.drift_every.as_deref().map(|text| (text, text.parse::<Span>())) {
            None | Some(("off", _)) => {}
            Some(_) if self.driver != DriverKind::Cloudformation => {
                bail!("drift_every: only stacks of CloudFormation can drift; leave it out")
            }
            Some((_, Ok(every))) if (Span::minutes(10)..=Span::days(90)).contains(&every) => {}
            Some((text, _)) => {
                bail!("drift_every: “{text}” is not off, or a time from 10m to 90d; write it like 24h")
            }
        }
        self.target()
            .to_string()
            .parse::<StackTarget>()
            .map_err(|e| anyhow::anyhow!("name: it {}", e.sentence()))?;
        let positive = |name: &str, value: Option<f64>, least: f64| match value {
            Some(n) if !(least..=1000.0).contains(&n) => bail!("{name}: must be from {least} to 1000"),
            _ => Ok(()),
        };
        positive("calls_per_second", self.calls_per_second, 0.1)?;
        positive("burst", self.burst, 1.0)?;
        self.account.check()?;
        self.service_role.as_deref().map_or(Ok(()), check_role)?;
        if let Some(url) = self.events_queue.as_ref()
            && (url.parse::<http::Uri>().is_err() || !url.starts_with("http"))
        {
            bail!("events_queue: “{url}” is not the URL of a queue; copy it from SQS");
        }
        if let Some(arn) = self.notification_arns.iter().find(|arn| !arn.starts_with("arn:")) {
            bail!("notification_arns: “{arn}” is not the ARN of a topic; copy it from SNS");
        }
        // CloudFormation's own limit.
        if self.notification_arns.len() > 5 {
            bail!("notification_arns: are more than 5; CloudFormation takes no more");
        }
        match self.driver {
            DriverKind::Local
                if !self.name.is_empty()
                    || self.account != AccountSetup::default()
                    || self.events_queue.is_some()
                    || !self.notification_arns.is_empty() =>
            {
                bail!("driver: local is this machine; leave out name, region, endpoint, role and queues")
            }
            DriverKind::Cloudformation if self.name.is_empty() => {
                bail!("name: is missing; give the target a name like eu-prod, which never changes")
            }
            DriverKind::Gitops => bail!("driver: gitops is not there yet; use local or cloudformation"),
            DriverKind::Local | DriverKind::Cloudformation => Ok(()),
        }
    }
}

impl Setup {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("--setup {} cannot be read", path.display()))?;
        let setup: Self =
            toml::from_str(&text).with_context(|| format!("--setup {} is not right", path.display()))?;
        setup.check().with_context(|| format!("--setup {} is not right", path.display()))?;
        Ok(setup)
    }

    /// Where checks of gates are measured.
    pub fn sources(&self) -> Result<Sources> {
        sources(&self.prometheus, &self.check_hooks, &self.checks)
    }

    fn check(&self) -> Result<()> {
        self.sources()?;
        let (mut names, mut accounts, mut events) = (HashSet::new(), HashSet::new(), HashSet::new());
        for (n, target) in self.targets.iter().enumerate() {
            let at = || format!("target {} ({})", n + 1, target.target());
            target.check().with_context(at)?;
            if !names.insert(target.target()) {
                bail!("{}: another target has that name; give each its own", at());
            }
            if target.events_queue.as_ref().is_some_and(|url| !events.insert(url)) {
                bail!(
                    "{}: events_queue: another target reads it, and they would take each other's events; give \
                       each its own",
                    at()
                );
            }
            if target.driver == DriverKind::Cloudformation && !accounts.insert(target.account.bucket()) {
                bail!(
                    "{}: another target leads to the same account and region, and they would not know of each \
                       other's calls; make them one",
                    at()
                );
            }
        }
        hooks::check(&self.hooks)?;
        self.queues.as_ref().map_or(Ok(()), |queues| queues.check().context("queues"))
    }
}

/// The queues of SQS that Tidegate speaks through, all in one account and region.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct QueuesSetup {
    /// How the account is reached.
    #[serde(flatten)]
    pub account: AccountSetup,
    /// Where gates that ask are announced.
    pub gates: Option<String>,
    /// Where sign-ups and releases come from, and answers that have no queue of their own.
    pub intake: Option<String>,
    /// Where answers to gates come from: a queue of its own lets fewer send to it.
    pub answers: Option<String>,
    /// Where pipelines of Step Functions ask for a decision.
    pub task_gates: Option<String>,
    /// `any`, or the groups whose gates an answer through a queue counts for; none if it is left out.
    pub answers_count_for: Option<CountsForSetup>,
}

/// For which gates answers count, as it is written.
#[derive(Deserialize, Debug)]
#[serde(untagged)]
pub enum CountsForSetup {
    /// `"any"`.
    Word(String),
    /// `["product", "customer-success"]`.
    Groups(Vec<String>),
}

impl QueuesSetup {
    /// Those that are set up.
    pub fn urls(&self) -> impl Iterator<Item = (QueueRole, &str)> {
        let all = [
            (QueueRole::Gates, &self.gates),
            (QueueRole::Intake, &self.intake),
            (QueueRole::Answers, &self.answers),
            (QueueRole::TaskGates, &self.task_gates),
        ];
        all.into_iter().filter_map(|(role, url)| Some((role, url.as_deref()?)))
    }

    /// What the use cases know of them.
    pub fn known(&self) -> QueueSetup {
        // An address ends in its queue's name.
        let name = |url: &str| url.rsplit('/').next().unwrap_or(url).to_owned();
        QueueSetup {
            names: self.urls().map(|(role, url)| (role, name(url))).collect(),
            answers_count_for: self.answers_count_for.as_ref().map(|counts| match counts {
                CountsForSetup::Word(_) => CountsFor::Any,
                CountsForSetup::Groups(groups) => {
                    CountsFor::Groups(groups.iter().filter_map(|g| parse_group(g).ok()).collect())
                }
            }),
        }
    }

    fn check(&self) -> Result<()> {
        let mut known: HashMap<&str, QueueRole> = HashMap::new();
        for (role, url) in self.urls() {
            let word = role.word();
            let parts = url.parse::<Uri>().ok().filter(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https"))
                    && uri.path().len() > 1
                    && !url.ends_with('/')
            });
            if parts.is_none() {
                bail!(
                    "{word}: “{url}” is not a queue's address; write it like \
                     https://sqs.eu-west-1.amazonaws.com/123456789012/name"
                );
            }
            if role == QueueRole::Gates && url.ends_with(".fifo") {
                bail!("{word}: “{url}” is a FIFO queue, which needs no order here; make a standard one");
            }
            if let Some(other) = known.insert(url, role) {
                bail!("{word}: is the queue of {} too; give each its own", other.word());
            }
        }
        if known.is_empty() {
            bail!("names no queue; add gates, intake, answers or task_gates, or leave it out");
        }
        self.account.check()?;
        match &self.answers_count_for {
            None => return Ok(()),
            Some(_) if self.intake.is_none() && self.answers.is_none() => {
                bail!("answers_count_for: is for answers; add the queue answers or intake, or leave it out")
            }
            Some(CountsForSetup::Word(word)) if word != "any" => {
                bail!("answers_count_for: “{word}” is not any; write \"any\", or groups like [\"product\"]")
            }
            Some(CountsForSetup::Groups(groups)) if groups.is_empty() => {
                bail!("answers_count_for: names no group; write \"any\", or groups like [\"product\"]")
            }
            Some(CountsForSetup::Word(_)) => {}
            Some(CountsForSetup::Groups(groups)) => {
                for group in groups {
                    parse_group(group)
                        .map_err(|e| anyhow::anyhow!("answers_count_for: “{group}” {}", e.sentence()))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<Setup> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        Setup::read(file.path())
    }

    #[test]
    fn targets_are_read_in_order() {
        let setup = read(
            "[[target]]\ndriver = 'cloudformation'\nname = 'eu-prod'\nregions = ['eu-central']\n\
             region = 'eu-central-1'\nrole = 'arn:aws:iam::210987654321:role/tidegate'\ncalls_per_second = 20\n\
             events_queue = 'https://sqs.eu-central-1.amazonaws.com/210987654321/tidegate'\n\
             notification_arns = ['arn:aws:sns:eu-central-1:210987654321:tidegate']\n\
             [[target]]\ndriver = 'local'",
        )
        .unwrap();
        assert_eq!(setup.targets[0].target().to_string(), "cloudformation/eu-prod");
        assert_eq!(setup.targets[0].account.place(), "AWS account 210987654321 in eu-central-1");
        let settings = setup.targets[0].settings();
        assert!(settings.events_queue.is_some_and(|url| url.ends_with("/tidegate")));
        assert_eq!(settings.notification_arns, ["arn:aws:sns:eu-central-1:210987654321:tidegate"]);
        let limits = setup.targets[0].settings().limits;
        assert!(
            (limits.per_second - 20.0).abs() < f64::EPSILON && (limits.burst - 20.0).abs() < f64::EPSILON
        );
        assert_eq!(setup.targets[0].drift_every(), Some(Span::days(1)));
        assert_eq!((setup.targets[1].target(), setup.targets[1].drift_every()), (StackTarget::local(), None));
        let every = |text: &str| {
            let one = format!("[[target]]\ndriver = 'cloudformation'\nname = 'a'\ndrift_every = '{text}'");
            read(&one).unwrap().targets[0].drift_every()
        };
        assert_eq!((every("6h"), every("off")), (Some(Span::hours(6)), None));
    }

    #[test]
    fn queues_are_known_by_the_ends_of_their_addresses() {
        let setup = read(
            "[queues]\nregion = 'eu-west-1'\ngates = 'https://sqs.eu-west-1.amazonaws.com/123456789012/asks'\n\
             answers = 'https://sqs.eu-west-1.amazonaws.com/123456789012/answers'\nanswers_count_for = ['Product']",
        )
        .unwrap();
        let known = setup.queues.unwrap().known();
        let names: Vec<_> = known.names.iter().map(|(role, name)| (role.word(), name.as_str())).collect();
        assert_eq!(names, [("gates", "asks"), ("answers", "answers")]);
        assert_eq!(known.answers_count_for, Some(CountsFor::Groups(vec!["product".to_owned()])));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let one = "[[target]]\ndriver = 'cloudformation'\nname = 'a'\n";
        for (text, told) in [
            ("[[target]]\ndriver = 'cloudformation'", "name: is missing"),
            ("[[target]]\ndriver = 'cloudformation'\nname = 'Eu Prod'", "lowercase letters"),
            ("[[target]]\ndriver = 'helm'", "helm"),
            ("[[target]]\ndriver = 'gitops'\nname = 'a'", "not there yet"),
            ("[[target]]\ndriver = 'local'\nregion = 'x'", "this machine"),
            (&format!("{one}calls_per_second = 0"), "calls_per_second: must be"),
            (&format!("{one}external_id = 'x'"), "external_id: is for a role"),
            (&format!("{one}service_role = 'me'"), "ARN"),
            (&format!("{one}events_queue = 'tidegate'"), "events_queue: “tidegate” is not the URL"),
            (
                &format!("{one}notification_arns = ['tidegate']"),
                "notification_arns: “tidegate” is not the ARN",
            ),
            ("[[target]]\ndriver = 'local'\nevents_queue = 'https://x/y'", "this machine"),
            (
                &format!(
                    "{one}events_queue = 'https://x/y'\n{}region = 'b'\nevents_queue = 'https://x/y'",
                    one.replace("'a'", "'b'")
                ),
                "events_queue: another target reads it",
            ),
            (&format!("{one}colour = 1"), "colour"),
            (&format!("{one}drift_every = 'daily'"), "drift_every: “daily”"),
            (&format!("{one}drift_every = '1s'"), "drift_every: “1s”"),
            ("[[target]]\ndriver = 'local'\ndrift_every = '24h'", "drift_every: only"),
            (&format!("{one}{one}"), "another target has that name"),
            (&format!("{one}{}", one.replace("'a'", "'b'")), "the same account and region"),
            (
                "[[target]]\ndriver = 'cloudformation'\nname = 'a'\nrole = 'arn:aws:iam::210987654321:role/a'\n\
                 [[target]]\ndriver = 'cloudformation'\nname = 'b'\nrole = 'arn:aws:iam::210987654321:role/b'",
                "the same account and region",
            ),
            ("[queues]\nregion = 'x'", "queues: names no queue"),
            ("[queues]\ngates = 'orders'", "gates: “orders” is not a queue's address"),
            ("[queues]\ngates = 'https://sqs/1/q.fifo'", "gates: “https://sqs/1/q.fifo” is a FIFO queue"),
            (
                "[queues]\ngates = 'https://sqs/1/q'\nintake = 'https://sqs/1/q'",
                "intake: is the queue of gates too",
            ),
            ("[queues]\ngates = 'https://sqs/1/q'\nanswers_count_for = 'any'", "add the queue answers"),
            ("[queues]\nintake = 'https://sqs/1/q'\nanswers_count_for = 'all'", "“all” is not any"),
            ("[queues]\nintake = 'https://sqs/1/q'\nanswers_count_for = []", "names no group"),
            ("[queues]\nintake = 'https://sqs/1/q'\nanswers_count_for = ['a!']", "answers_count_for: “a!”"),
            ("[queues]\nintake = 'https://sqs/1/q'\nrole = 'me'", "ARN"),
            ("[queues]\nintakes = 'https://sqs/1/q'", "intakes"),
        ] {
            let error = format!("{:#}", read(text).map(drop).unwrap_err());
            assert!(error.contains(told) && error.contains("--setup"), "{text}: {error}");
        }
    }
}
