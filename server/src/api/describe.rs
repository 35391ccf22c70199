//! Shapes of the domain as the OpenAPI document describes them: the domain knows no OpenAPI. Strategies come in
//! through theirs, so that a field which nobody knows is refused.

use domain::strategy::{self as plain, Amount, OnHalt, ToleranceMode};
use domain::{DisplayName, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[expect(dead_code, reason = "it only describes")]
        pub enum $name { $($(#[$vdoc])* $variant),* }
    };
}

words! {
    /// Which components tenants share.
    Model {
        /// Tenants share one stack per tier and region.
        Pool,
        /// A dedicated stack for each tenant.
        Silo,
        /// A shared stack for some components, a dedicated one for the others.
        Hybrid,
    }
}
words! {
    /// What happens when a customer signs up.
    SignupPolicy {
        /// The tier is not offered.
        Closed,
        /// Provisioning starts at once.
        Automatic,
        /// A person accepts first.
        NeedsAcceptance,
    }
}
words! {
    /// What happens to changed stacks when a rollout halts.
    OnHaltWord {
        /// They stay until a person decides.
        Stay,
        /// They go back, newest wave first.
        Rollback,
    }
}
words! {
    /// How failures slow a wave.
    Mode {
        /// Concurrency is at most tolerance + 1 − failures.
        Strict,
        /// Full concurrency until the tolerance is exceeded.
        Soft,
    }
}

/// What a tier's revision fixes.
#[derive(Serialize, ToSchema)]
pub struct TierSpec {
    /// What people call it.
    name: String,
    /// One line for customers.
    description: String,
    /// As customers read it.
    price: String,
    /// Which components are shared.
    model: Model,
    /// Components in the shared stack; for `hybrid`.
    shared: Option<Vec<String>>,
    /// Components in the own stack; for `hybrid`.
    dedicated: Option<Vec<String>>,
    /// Who may sign up.
    signup: SignupPolicy,
    /// Where stacks may live; the first is the default.
    regions: Vec<String>,
    /// Tenants in one pool stack.
    pool_capacity: u32,
    /// How its pools are filled, and when the next one is made; absent where nothing of it was ever said.
    pools: Option<PoolRules>,
    /// How its tenants' people sign in; absent for `invitation`.
    identity: Option<Identity>,
    /// What its tenants may choose as their own maintenance windows; absent for nothing.
    own_windows: Option<OwnWindows>,
    /// Parameters with the tier's values.
    parameters: Vec<Parameter>,
}

/// How a tier's pools are filled, and when the next one is made.
#[derive(Serialize, ToSchema)]
pub struct PoolRules {
    /// `fill` or `spread`.
    order: String,
    /// `create` or `wait`.
    when_full: String,
    /// With fewer free places than this the next pool is made ahead.
    spare: u32,
    /// At most so many pools in a region.
    most: u32,
}

/// What tenants may choose as their own maintenance windows.
#[derive(Serialize, ToSchema)]
pub struct OwnWindows {
    /// The shortest opening, in milliseconds.
    shortest: i64,
    /// How much time there must be in each week, in milliseconds.
    weekly: i64,
}

/// How the people of a tier's tenants sign in. Ids are written as they are, or `output:NAME` for an output of a stack.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes")]
pub enum Identity {
    /// The application's own affair.
    Invitation,
    /// A group for each tenant in a user pool that they share.
    CognitoGroup {
        /// The pool.
        user_pool: String,
        /// The app client in it.
        app_client: Option<String>,
    },
    /// A user pool for each tenant.
    CognitoPool {
        /// The output of the tenant's stack that names it; absent where Tidegate makes it.
        user_pool: Option<String>,
        /// The output that names its app client.
        app_client: Option<String>,
    },
}

/// A parameter of a tier.
#[derive(Serialize, ToSchema)]
pub struct Parameter {
    /// As templates name it.
    name: String,
    /// The component that it belongs to; empty for all.
    component: Option<String>,
    /// What values it takes.
    kind: Kind,
    /// The tier's value.
    value: Value,
}

/// What values a parameter takes.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes")]
pub enum Kind {
    /// A whole number within limits.
    Integer {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
        /// Shown behind the number.
        unit: Option<String>,
    },
    /// A switch.
    Boolean,
    /// One of a few words.
    Choice {
        /// The words.
        options: Vec<String>,
    },
    /// Free text.
    Text {
        /// Longest text in characters, at most 1000.
        most: usize,
    },
}

/// A parameter's value.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes")]
pub enum Value {
    /// A switch.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A text or a choice.
    Text(String),
}

/// What each driver deploys, in that driver's own terms; at least one.
#[derive(Serialize, ToSchema)]
pub struct Artifacts {
    /// A build of the bundled sample application.
    local: Option<LocalArtifact>,
    /// A template and its parameters.
    cloudformation: Option<BTreeMap<String, serde_json::Value>>,
    /// Versions of charts and modules.
    gitops: Option<BTreeMap<String, serde_json::Value>>,
}

/// A build of the bundled sample application.
#[derive(Serialize, ToSchema)]
pub struct LocalArtifact {
    /// `orders`.
    app: String,
    /// Which build, like `1.1.0`.
    build: String,
}

/// What a strategy says.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StrategySpec {
    /// What people call it; unique.
    #[schema(value_type = String)]
    name: DisplayName,
    /// In order; the last one selects everyone.
    waves: Vec<WaveSpec>,
    /// What a halt does.
    #[schema(value_type = OnHaltWord)]
    on_halt: OnHalt,
}

/// One wave.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaveSpec {
    /// What people call it.
    #[schema(value_type = String)]
    name: DisplayName,
    /// Who is in it, of those that no earlier wave took: `tier:premium tag:pilot 10%`, or `everyone`.
    #[schema(value_type = String)]
    selector: domain::selector::Selector,
    /// How many stacks at once: a count like `3` or a share like `25%`.
    #[schema(value_type = String)]
    concurrency: Amount,
    /// How many failures are tolerated: a count or a share.
    #[schema(value_type = String)]
    tolerance: Amount,
    /// How failures slow the wave.
    #[schema(value_type = Mode)]
    mode: ToleranceMode,
    /// Attempts at a stack in all, 1 to 10.
    attempts: u8,
    /// How long a stack is waited for that a freeze or its maintenance windows close, in milliseconds, up to 30 days;
    /// then it is left to the catch-up list. An hour where it is not said.
    #[serde(default = "plain::WaveSpec::usual_patience")]
    #[schema(value_type = i64)]
    patience: Span,
    /// What must hold before the next wave.
    gate: GateSpec,
}

/// What must hold before the next wave.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GateSpec {
    /// How long to watch, in milliseconds, up to 30 days.
    #[schema(value_type = i64)]
    bake: Span,
    /// What to measure through the bake.
    #[schema(value_type = Vec<Check>)]
    checks: Vec<plain::Check>,
    /// Failing samples in a row that are forgiven, 0 to 100.
    grace: u8,
    /// Who must approve after the bake.
    approval: Option<ApprovalSpec>,
}

/// Something measured on a wave's stacks.
#[derive(Serialize, ToSchema)]
#[serde(tag = "check", rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes")]
pub enum Check {
    /// Every stack answers its health probe.
    Healthy,
    /// Failed requests of a stack since its update, in percent of all.
    ErrorRate {
        /// 0 to 100.
        max_percent: u8,
    },
    /// Something outside that is asked at its own pace.
    Measured(Measured),
}

/// A check with its pace and its patience. Lengths of time are in milliseconds.
#[derive(Serialize, ToSchema)]
pub struct Measured {
    /// What people call it.
    name: String,
    /// Of what it is measured.
    scope: ScopeWord,
    /// Time from one measurement to the next, a second to an hour; 30 seconds where it is not said.
    interval: Option<i64>,
    /// How long after the wave's last operation a failure does not count, at most as long as the bake; 0 where it is not
    /// said.
    grace: Option<i64>,
    /// Measurements that must have said something before the gate can pass, 1 to 1000; 1 where it is not said.
    min_samples: Option<u16>,
    /// Failures in a row that are forgiven before it halts the rollout, 0 to 100.
    tolerated: Option<u8>,
    /// How long after the bake it is waited for while too little is known, up to 30 days; then the gate fails. An hour
    /// where it is not said.
    patience: Option<i64>,
    /// Whether it is also measured before the wave begins, which it does not while this fails.
    entry: Option<bool>,
    /// What is measured.
    measure: Measure,
}

/// Of what a check is measured.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes")]
pub enum ScopeWord {
    /// Of each stack of the wave: it holds if it holds of all.
    Stack,
    /// Of the wave as a whole, once.
    Wave,
}

/// How a value must stand to the threshold.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes")]
pub enum CompareWord {
    /// At most the threshold.
    AtMost,
    /// Less than it.
    Below,
    /// At least it.
    AtLeast,
    /// More than it.
    Above,
}

/// What is measured. Places of a template are filled in: `{stack}`, `{tenant}`, `{tier}` and `{region}` of a stack,
/// `{stacks}`, `{wave}`, `{version}` and `{rollout}` of both.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes")]
pub enum Measure {
    /// A request with `GET`.
    Probe {
        /// A path like `/healthz` at the stack's address, `output:NAME/path`, or an address with `https://`.
        at: String,
        /// The status that it must answer with; 200 where it is not said.
        status: Option<u16>,
        /// What must stand in the answer's body.
        contains: Option<String>,
    },
    /// An instant query of a Prometheus that the set-up file names.
    Prometheus {
        /// Its name there.
        source: String,
        /// The query; of several series the worst counts, and no data is no success.
        query: String,
        /// How its value must stand to the threshold.
        compare: CompareWord,
        /// The threshold.
        threshold: f64,
        /// What people read behind the numbers, like `%`.
        unit: Option<String>,
    },
    /// A signed `POST` to a hook that the set-up file names; it answers `{"status":"pass|fail|unknown","reason":"…"}`.
    Hook {
        /// Its name there.
        source: String,
    },
}

/// Who must say yes.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalSpec {
    /// How many different people, 1 to 10.
    quorum: u8,
    /// The group they belong to; absent for anyone who may decide.
    #[serde(default)]
    group: Option<String>,
    /// Further groups of which people must approve, too; nobody counts for two.
    #[serde(default)]
    #[schema(value_type = Vec<Quorum>)]
    also: Vec<plain::Quorum>,
    /// How long the gate asks, in milliseconds: a minute to 365 days.
    #[schema(value_type = i64)]
    expiry: Span,
    /// Who is asked, too, when nobody answers.
    #[serde(default)]
    #[schema(value_type = Option<Escalation>)]
    escalation: Option<plain::Escalation>,
}

/// So many people of a group.
#[derive(Serialize, ToSchema)]
pub struct Quorum {
    /// The group.
    group: String,
    /// How many different people, 1 to 10.
    quorum: u8,
}

/// Another group that is asked after a time, and whose people may answer for any other.
#[derive(Serialize, ToSchema)]
pub struct Escalation {
    /// After how long, in milliseconds; less than the expiry.
    after: i64,
    /// Which group.
    group: String,
}

impl From<StrategySpec> for plain::StrategySpec {
    fn from(s: StrategySpec) -> Self {
        let waves = s.waves.into_iter().map(|w| plain::WaveSpec {
            name: w.name,
            selector: w.selector,
            concurrency: w.concurrency,
            tolerance: w.tolerance,
            mode: w.mode,
            attempts: w.attempts,
            patience: w.patience,
            gate: plain::GateSpec {
                bake: w.gate.bake,
                checks: w.gate.checks,
                grace: w.gate.grace,
                approval: w.gate.approval.map(|a| plain::ApprovalSpec {
                    quorum: a.quorum,
                    group: a.group,
                    also: a.also,
                    expiry: a.expiry,
                    escalation: a.escalation,
                }),
            },
        });
        Self { name: s.name, waves: waves.collect(), on_halt: s.on_halt }
    }
}

/// A rollout with its waves.
#[derive(Serialize, ToSchema)]
pub struct Timeline {
    /// Its id.
    id: String,
    /// How many events it has.
    seq: i64,
    /// What it does.
    title: String,
    /// The state's word.
    status: String,
    /// Where it is and what it waits for.
    sentence: String,
    /// Why it was started.
    comment: String,
    /// The strategy's name.
    strategy: String,
    /// Who started it.
    started_by: String,
    /// When, in milliseconds since 1970 UTC.
    started_at: i64,
    /// What decisions are bound to.
    plan_hash: String,
    /// Tenants on the target, and all.
    tenants: [u64; 2],
    /// Stacks that are through, and all.
    stacks: [u64; 2],
    /// Stacks that failed.
    failed: u64,
    /// Tenants on stacks that failed.
    failed_tenants: u64,
    /// About how long this wave still takes, in milliseconds.
    left: Option<i64>,
    /// In order.
    waves: Vec<Wave>,
    /// What can be done now.
    steering: Vec<Choice>,
    /// What failed, and what is tried again: the first twenty.
    failures: Vec<Failure>,
    /// Provider's rate budgets that it waits for; only on the page's own stream.
    budget: Vec<BudgetWait>,
    /// Rollouts that it has to do with.
    related: Vec<Related>,
    /// What happened, newest first; only on the page's own stream.
    activity: Vec<Line>,
}

/// Another rollout that this one has to do with.
#[derive(Serialize, ToSchema)]
pub struct Related {
    /// Which.
    rollout: String,
    /// What it is called.
    title: String,
    /// How they stand to each other: `leads back from`, `took over from`, `superseded by`.
    says: String,
}

/// Calls that wait for the rate budget of an account and region.
#[derive(Serialize, ToSchema)]
pub struct BudgetWait {
    /// The target, as stacks name it.
    target: String,
    /// Calls that wait.
    waiting: u64,
    /// Calls per second that are made now.
    per_second: f64,
    /// When those that wait now will have been made, in milliseconds.
    eta: i64,
}

/// Something that can be done with a rollout now.
#[derive(Serialize, ToSchema)]
pub struct Choice {
    /// `override`, `pause`, `resume`, `retry`, `enter`, `rollback`, `stop`; `back` for what has ended.
    verb: String,
    /// What it is called.
    label: String,
    /// What happens then.
    effect: String,
}

/// A stack that failed, or waits to be tried again.
#[derive(Serialize, ToSchema)]
pub struct Failure {
    /// Its id.
    stack: String,
    /// Its name.
    name: String,
    /// Its wave, from 0.
    wave: usize,
    /// Why, for people.
    sentence: String,
    /// Why, for machines.
    code: String,
    /// Attempts made.
    attempt: u32,
    /// Attempts that its wave allows by itself.
    of: u32,
    /// Tenants on it.
    tenants: u32,
    /// When it is tried again by itself, in milliseconds since 1970 UTC.
    again_at: Option<i64>,
    /// Whether it failed on the way back.
    back: bool,
    /// Whether its operation is still to end: something in it has failed.
    ends: bool,
    /// Whether a retry of the rollout repeats it.
    open: bool,
}

/// Something that happened.
#[derive(Serialize, ToSchema)]
pub struct Line {
    /// Its place in the record.
    position: i64,
    /// When, in milliseconds since 1970 UTC.
    at: i64,
    /// The event's tag.
    kind: String,
    /// What, with who did it.
    sentence: String,
}

/// What a gate asks of people.
#[derive(Serialize, ToSchema)]
pub struct Asks {
    /// Whom, for people; none for anyone who may decide.
    group: Option<String>,
    /// The groups whose people can answer now; empty for anyone who may decide.
    groups: Vec<String>,
    /// How many approvals are missing.
    missing: u32,
    /// Who has decided already.
    said: Vec<String>,
}

/// A wave of a rollout.
#[derive(Serialize, ToSchema)]
pub struct Wave {
    /// Its name.
    name: String,
    /// Who is in it.
    selector: String,
    /// The state's word.
    state: String,
    /// What it waits for, or why it failed.
    sentence: String,
    /// Tenants in it.
    tenants: u64,
    /// Of these, those on the target.
    reached: u64,
    /// Stacks that have ended, and all.
    done: [u64; 2],
    /// Stacks in each state; states that none is in are left out.
    counts: Vec<(String, u64)>,
    /// The gate's conditions.
    gate: Vec<Chip>,
    /// Whether people are asked now.
    asking: bool,
    /// What they are asked.
    asks: Option<Asks>,
    /// One for each stack; none in a wave of more than 500.
    cells: Vec<Cell>,
}

/// One condition of a gate.
#[derive(Serialize, ToSchema)]
pub struct Chip {
    /// What must hold.
    label: String,
    /// `waiting`, `running`, `ok`, `failed`.
    state: String,
    /// The evidence.
    detail: String,
    /// Until when, in milliseconds since 1970 UTC.
    until: Option<i64>,
    /// The last values, each with whether it was good.
    values: Vec<(i64, bool)>,
}

/// One stack of a wave.
#[derive(Serialize, ToSchema)]
pub struct Cell {
    /// Its id.
    stack: String,
    /// Its name.
    name: String,
    /// The state's word.
    state: String,
    /// Tenants on it.
    tenants: u32,
    /// Why, where that needs saying.
    detail: String,
    /// The operation that works or worked on it last.
    operation: Option<String>,
}
