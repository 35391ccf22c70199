//! What a wave would change inside its stacks, before anybody approves it.
//!
//! A driver that can compare says of each stack which resources would be added, changed and removed. Equal
//! answers make a group, so that a person reads a few lines for hundreds of stacks; what can lose data comes
//! first. The digest of what was shown becomes part of what a decision is bound to (DESIGN §3, law 6).

use crate::access::words;
use crate::plan::{Change, Step};
use crate::release::DriverKind;
use crate::stack::StackTarget;
use crate::{Configuration, Digest, Reason, StackId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

words! {
    /// What happens to a resource.
    Action {
        /// It is made.
        Add = "add",
        /// It is changed, in place or by another one.
        Modify = "modify",
        /// It is taken away.
        Remove = "remove",
        /// It is taken over.
        Import = "import",
        /// It is known only while it happens.
        Dynamic = "dynamic",
    }
}

words! {
    /// Whether a changed resource is made anew, which loses what it holds.
    Replacement {
        /// It is changed in place.
        No = "no",
        /// That is known only while it happens.
        Conditional = "conditional",
        /// Another one takes its place.
        Yes = "yes",
    }
}

words! {
    /// How data can be lost, the worst last.
    Danger {
        /// The resource may be made anew.
        MayReplace = "may_replace",
        /// The resource is made anew.
        Replace = "replace",
        /// The resource is taken away.
        Remove = "remove",
    }
}

/// The kinds of resources that hold data, with what people call one. A removal or a replacement of one of them
/// loses what is in it, unless its template keeps it.
const STATEFUL: &[(&str, &str)] = &[
    ("AWS::Backup::BackupVault", "a backup vault"),
    ("AWS::Cassandra::Keyspace", "a keyspace"),
    ("AWS::Cassandra::Table", "a table"),
    ("AWS::Cognito::IdentityPool", "an identity pool"),
    ("AWS::Cognito::UserPool", "a user pool"),
    ("AWS::DAX::Cluster", "a cache"),
    ("AWS::DocDB::DBCluster", "a database"),
    ("AWS::DocDB::DBInstance", "a database"),
    ("AWS::DynamoDB::GlobalTable", "a table"),
    ("AWS::DynamoDB::Table", "a table"),
    ("AWS::EC2::Volume", "a volume"),
    ("AWS::ECR::Repository", "a repository of images"),
    ("AWS::EFS::FileSystem", "a file system"),
    ("AWS::ElastiCache::CacheCluster", "a cache"),
    ("AWS::ElastiCache::ReplicationGroup", "a cache"),
    ("AWS::ElastiCache::ServerlessCache", "a cache"),
    ("AWS::Elasticsearch::Domain", "a search domain"),
    ("AWS::FSx::FileSystem", "a file system"),
    ("AWS::Glue::Database", "a catalogue"),
    ("AWS::KMS::Key", "a key"),
    ("AWS::Kinesis::Stream", "a stream"),
    ("AWS::KinesisFirehose::DeliveryStream", "a stream"),
    ("AWS::Logs::LogGroup", "a log group"),
    ("AWS::MSK::Cluster", "a cluster of streams"),
    ("AWS::MSK::ServerlessCluster", "a cluster of streams"),
    ("AWS::MemoryDB::Cluster", "a database"),
    ("AWS::Neptune::DBCluster", "a database"),
    ("AWS::Neptune::DBInstance", "a database"),
    ("AWS::OpenSearchServerless::Collection", "a search collection"),
    ("AWS::OpenSearchService::Domain", "a search domain"),
    ("AWS::QLDB::Ledger", "a ledger"),
    ("AWS::RDS::DBCluster", "a database"),
    ("AWS::RDS::DBInstance", "a database"),
    ("AWS::RDS::GlobalCluster", "a database"),
    ("AWS::Redshift::Cluster", "a warehouse"),
    ("AWS::RedshiftServerless::Namespace", "a warehouse"),
    ("AWS::S3::Bucket", "a bucket"),
    ("AWS::S3Express::DirectoryBucket", "a bucket"),
    ("AWS::SDB::Domain", "a table"),
    ("AWS::SQS::Queue", "a queue"),
    ("AWS::SSM::Parameter", "a stored parameter"),
    ("AWS::SecretsManager::Secret", "a secret"),
    ("AWS::Serverless::SimpleTable", "a table"),
    ("AWS::Timestream::Database", "a database"),
    ("AWS::Timestream::Table", "a table"),
];

/// What people call a resource of this kind, if it holds data.
#[must_use]
pub fn stateful(kind: &str) -> Option<&'static str> {
    STATEFUL.iter().find(|(known, _)| *known == kind).map(|(_, noun)| *noun)
}

/// One resource that changes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ResourceChange {
    /// What happens to it.
    pub action: Action,
    /// Its name in the template.
    pub resource: String,
    /// What it is: `AWS::DynamoDB::Table`.
    pub kind: String,
    /// Whether it is made anew.
    pub replacement: Replacement,
    /// Whether it holds data.
    pub stateful: bool,
}

impl ResourceChange {
    /// Of a resource whose kind tells whether it holds data.
    #[must_use]
    pub fn new(action: Action, resource: &str, kind: &str, replacement: Replacement) -> Self {
        let stateful = stateful(kind).is_some();
        Self { action, resource: resource.to_owned(), kind: kind.to_owned(), replacement, stateful }
    }

    /// How this can lose data, if it can.
    #[must_use]
    pub fn danger(&self) -> Option<Danger> {
        if !self.stateful {
            return None;
        }
        match (self.action, self.replacement) {
            (Action::Remove, _) => Some(Danger::Remove),
            (Action::Modify, Replacement::Yes) => Some(Danger::Replace),
            (Action::Modify, Replacement::Conditional) | (Action::Dynamic, _) => Some(Danger::MayReplace),
            (Action::Add | Action::Import, _) | (Action::Modify, Replacement::No) => None,
        }
    }

    /// What happens, for people: `replaces Orders (AWS::DynamoDB::Table), which holds data`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let verb = match (self.action, self.replacement) {
            (Action::Add, _) => "adds",
            (Action::Remove, _) => "removes",
            (Action::Import, _) => "takes over",
            (Action::Modify, Replacement::No) => "changes",
            (Action::Modify, Replacement::Conditional) => "changes and may replace",
            (Action::Modify, Replacement::Yes) => "replaces",
            (Action::Dynamic, _) => "may change",
        };
        let inside = match self.kind.as_str() {
            "AWS::CloudFormation::Stack" => ", whose own resources were not looked at",
            _ => "",
        };
        let data = match self.danger() {
            Some(_) => ", which holds data",
            None => "",
        };
        format!("{verb} {} ({}){inside}{data}", self.resource, self.kind)
    }
}

/// What changes in one stack; nothing, where there is nothing to do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct StackDiff {
    /// The most dangerous first.
    pub changes: Vec<ResourceChange>,
}

impl StackDiff {
    /// In one order, so that equal changes are equal diffs.
    #[must_use]
    pub fn new(mut changes: Vec<ResourceChange>) -> Self {
        changes.sort_by(|a, b| b.danger().cmp(&a.danger()).then_with(|| a.cmp(b)));
        changes.dedup();
        Self { changes }
    }

    /// The worst that can happen to data.
    #[must_use]
    pub fn danger(&self) -> Option<Danger> {
        self.changes.iter().filter_map(ResourceChange::danger).max()
    }
}

/// Stacks that change alike.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// How.
    pub diff: StackDiff,
    /// Their names, in order.
    pub stacks: Vec<String>,
}

/// Stacks of which nobody knows what changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Missing {
    /// Why, and the remedy.
    pub reason: Reason,
    /// Their names, in order.
    pub stacks: Vec<String>,
}

/// What a wave changes inside its stacks.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WavePreview {
    /// The most dangerous first, then the largest.
    pub groups: Vec<Group>,
    /// Where no comparison could be made.
    pub missing: Vec<Missing>,
}

/// Groups what was found out of each stack, by its name.
#[must_use]
pub fn group(found: impl IntoIterator<Item = (String, Result<StackDiff, Reason>)>) -> WavePreview {
    let mut groups: BTreeMap<StackDiff, Vec<String>> = BTreeMap::new();
    let mut missing: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (stack, result) in found {
        match result {
            Ok(diff) => groups.entry(diff).or_default().push(stack),
            Err(reason) => {
                missing.entry((reason.code.into_owned(), reason.sentence)).or_default().push(stack);
            }
        }
    }
    let mut groups: Vec<_> = groups.into_iter().map(|(diff, stacks)| Group { diff, stacks }).collect();
    groups.iter_mut().for_each(|group| group.stacks.sort());
    groups.sort_by(|a, b| {
        let key = |g: &Group| (g.diff.danger(), g.stacks.len());
        key(b).cmp(&key(a)).then_with(|| a.diff.cmp(&b.diff))
    });
    let missing = missing.into_iter().map(|((code, sentence), mut stacks)| {
        stacks.sort();
        Missing { reason: Reason { code: code.into(), sentence }, stacks }
    });
    WavePreview { groups, missing: missing.collect() }
}

impl WavePreview {
    /// Equal where what is shown is equal.
    #[must_use]
    pub fn digest(&self) -> String {
        // Everything inside is in one order: equal previews give equal bytes.
        hex(&Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
    }

    /// How many stacks can lose data.
    #[must_use]
    pub fn endangered(&self) -> usize {
        self.groups.iter().filter(|g| g.diff.danger().is_some()).map(|g| g.stacks.len()).sum()
    }

    /// How many stacks were not compared.
    #[must_use]
    pub fn not_previewed(&self) -> usize {
        self.missing.iter().map(|m| m.stacks.len()).sum()
    }

    /// `212 stacks alike; 4 differ; 1 replaces a table; 2 not previewed`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let compared: usize = self.groups.iter().map(|g| g.stacks.len()).sum();
        let mut parts = vec![];
        let largest = self.groups.iter().max_by_key(|g| g.stacks.len());
        match largest {
            None => {}
            Some(all) if self.groups.len() == 1 && all.diff.changes.is_empty() => {
                parts.push(format!("nothing changes in {}", stacks(compared)));
            }
            Some(all) if self.groups.len() == 1 && compared > 1 => {
                parts.push(format!("all {} alike", stacks(all.stacks.len())));
            }
            Some(_) if compared == 1 => parts.push("1 stack changes".to_owned()),
            Some(most) => {
                let others = compared - most.stacks.len();
                parts.push(format!("{} alike", stacks(most.stacks.len())));
                parts.push(if others == 1 { "1 differs".to_owned() } else { format!("{others} differ") });
            }
        }
        for ((danger, noun), n) in self.dangers().into_iter().rev() {
            let one = n == 1;
            let verb = match danger {
                Danger::Remove if one => "removes",
                Danger::Remove => "remove",
                Danger::Replace if one => "replaces",
                Danger::Replace => "replace",
                Danger::MayReplace => "may replace",
            };
            parts.push(format!("{n} {verb} {noun}"));
        }
        match self.not_previewed() {
            0 => {}
            n if compared == 0 => parts.push(format!("{} not previewed", stacks(n))),
            n => parts.push(format!("{n} not previewed")),
        }
        if parts.is_empty() { "no stack changes".to_owned() } else { parts.join("; ") }
    }

    /// How many stacks lose what how.
    fn dangers(&self) -> BTreeMap<(Danger, &'static str), usize> {
        let mut all = BTreeMap::new();
        for group in &self.groups {
            let mut each: Vec<_> = group
                .diff
                .changes
                .iter()
                .filter_map(|c| Some((c.danger()?, stateful(&c.kind).unwrap_or("data"))))
                .collect();
            each.sort_unstable();
            each.dedup();
            for danger in each {
                *all.entry(danger).or_default() += group.stacks.len();
            }
        }
        all
    }
}

/// A stack whose change is to be compared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subject {
    /// Which.
    pub stack: StackId,
    /// Its name.
    pub name: String,
    /// Where it is made.
    pub target: StackTarget,
    /// What it goes to.
    pub to: Digest,
}

/// What a preview is asked for: everything that it needs, so that it outlives whoever asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Changes whenever the stacks, or what they go from and to, change.
    pub key: String,
    /// The stacks.
    pub subjects: Vec<Subject>,
    /// What they go to.
    pub configurations: BTreeMap<Digest, Configuration>,
}

/// Whether a step can be compared before it is made: an update by a driver that tells what it would change.
#[must_use]
pub fn can_preview(step: &Step) -> bool {
    step.change == Change::Update && step.target.driver == DriverKind::Cloudformation
}

/// The preview of these steps; `None` if none of them can be compared.
pub fn request<'a>(
    steps: impl IntoIterator<Item = &'a Step>,
    configurations: &BTreeMap<Digest, Configuration>,
) -> Option<Request> {
    let mut hasher = Sha256::new();
    let mut subjects = vec![];
    let mut needed = BTreeMap::new();
    let mut steps: Vec<_> = steps.into_iter().filter(|step| can_preview(step)).collect();
    steps.sort_by(|a, b| a.name.cmp(&b.name));
    for step in steps {
        let from = step.from.as_ref().map_or("", |d| &d.0);
        hasher.update(format!("{} {from} {}\n", step.stack, step.to));
        if let Some(to) = configurations.get(&step.to) {
            needed.entry(step.to.clone()).or_insert_with(|| to.clone());
        }
        subjects.push(Subject {
            stack: step.stack,
            name: step.name.clone(),
            target: step.target.clone(),
            to: step.to.clone(),
        });
    }
    let key = hex(&hasher.finalize());
    (!subjects.is_empty()).then_some(Request { key, subjects, configurations: needed })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn stacks(n: usize) -> String {
    if n == 1 { "1 stack".to_owned() } else { format!("{n} stacks") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: Action, resource: &str, kind: &str, replacement: Replacement) -> ResourceChange {
        ResourceChange::new(action, resource, kind, replacement)
    }

    fn table(replacement: Replacement) -> StackDiff {
        StackDiff::new(vec![change(Action::Modify, "Orders", "AWS::DynamoDB::Table", replacement)])
    }

    fn function() -> StackDiff {
        StackDiff::new(vec![change(Action::Modify, "Api", "AWS::Lambda::Function", Replacement::No)])
    }

    fn preview(all: &[(usize, StackDiff)]) -> WavePreview {
        let each = all
            .iter()
            .enumerate()
            .flat_map(|(g, (n, diff))| (0..*n).map(move |i| (format!("s-{g}-{i:03}"), Ok(diff.clone()))));
        group(each)
    }

    #[test]
    fn only_what_holds_data_and_is_removed_or_made_anew_is_dangerous() {
        use Replacement::*;
        let of = |action, kind, replacement| change(action, "X", kind, replacement).danger();
        assert_eq!(of(Action::Remove, "AWS::S3::Bucket", No), Some(Danger::Remove));
        assert_eq!(of(Action::Modify, "AWS::RDS::DBInstance", Yes), Some(Danger::Replace));
        assert_eq!(of(Action::Modify, "AWS::SQS::Queue", Conditional), Some(Danger::MayReplace));
        assert_eq!(of(Action::Dynamic, "AWS::EFS::FileSystem", No), Some(Danger::MayReplace));
        assert_eq!(of(Action::Modify, "AWS::DynamoDB::Table", No), None);
        assert_eq!(of(Action::Add, "AWS::DynamoDB::Table", No), None);
        assert_eq!(of(Action::Remove, "AWS::Lambda::Function", No), None);
        assert_eq!(of(Action::Modify, "AWS::Lambda::Function", Yes), None);
    }

    #[test]
    fn equal_diffs_make_a_group_whatever_order_they_come_in() {
        let (a, b) = (
            change(Action::Add, "A", "AWS::SNS::Topic", Replacement::No),
            change(Action::Remove, "B", "AWS::SNS::Topic", Replacement::No),
        );
        let one = StackDiff::new(vec![a.clone(), b.clone()]);
        let other = StackDiff::new(vec![b, a]);
        let found = group([("y".to_owned(), Ok(one)), ("x".to_owned(), Ok(other))]);
        assert_eq!(found.groups.len(), 1);
        assert_eq!(found.groups[0].stacks, ["x", "y"]);
    }

    #[test]
    fn the_sentence_names_what_is_alike_what_differs_and_what_is_lost() {
        let found = preview(&[(212, function()), (3, StackDiff::default()), (1, table(Replacement::Yes))]);
        assert_eq!(found.sentence(), "212 stacks alike; 4 differ; 1 replaces a table");
        assert_eq!(found.groups[0].diff.danger(), Some(Danger::Replace), "danger comes first");
        assert_eq!(found.endangered(), 1);
        assert_eq!(preview(&[(3, function())]).sentence(), "all 3 stacks alike");
        assert_eq!(preview(&[(1, function())]).sentence(), "1 stack changes");
        assert_eq!(preview(&[(2, StackDiff::default())]).sentence(), "nothing changes in 2 stacks");
        assert_eq!(
            preview(&[(2, table(Replacement::Conditional))]).sentence(),
            "all 2 stacks alike; 2 may replace a table"
        );
    }

    #[test]
    fn what_could_not_be_compared_is_said_with_its_reason() {
        let busy = || Err(Reason::new("stack_busy", "another operation works on it"));
        let found =
            group([("a".to_owned(), busy()), ("b".to_owned(), Ok(function())), ("c".to_owned(), busy())]);
        assert_eq!(found.sentence(), "1 stack changes; 2 not previewed");
        assert_eq!(found.missing.len(), 1);
        assert_eq!(found.missing[0].stacks, ["a", "c"]);
        assert_eq!(group([("a".to_owned(), busy())]).sentence(), "1 stack not previewed");
    }

    #[test]
    fn the_digest_changes_with_what_is_shown_and_with_nothing_else() {
        let one = preview(&[(2, function()), (1, table(Replacement::No))]);
        assert_eq!(one.digest(), preview(&[(2, function()), (1, table(Replacement::No))]).digest());
        assert_ne!(one.digest(), preview(&[(2, function()), (1, table(Replacement::Yes))]).digest());
        assert_ne!(one.digest(), preview(&[(3, function()), (1, table(Replacement::No))]).digest());
    }

    #[test]
    fn each_kind_stands_once_in_the_table() {
        let mut kinds: Vec<_> = STATEFUL.iter().map(|(kind, _)| *kind).collect();
        kinds.dedup();
        assert_eq!(kinds.len(), STATEFUL.len());
        assert!(kinds.is_sorted(), "in order");
    }
}
