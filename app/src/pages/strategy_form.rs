//! The strategy editor's form: what a person types, wave by wave, and what it means.

use super::check_form::{CheckForm, block};
use crate::parts::{choice, described, field_error, icon};
use crate::session::Flash;
use domain::invalid::Problems;
use domain::selector::Selector;
use domain::strategy::{
    ApprovalSpec, Check, Escalation, GateSpec, OnHalt, Quorum, StrategySpec, ToleranceMode, WaveSpec,
};
use domain::{Invalid, Span};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// One wave's row; `n` of them.
pub fn row(flash: &Flash, i: usize, n: usize, w: &WaveForm, may: bool) -> impl IntoView + use<> {
    let last = i + 1 == n;
    let problem = |name: &str| problem_of(flash, i, name);
    let input = |name: &'static str, label: &'static str, value: &str, class: &'static str| {
        let (at, problem) = (format!("w{i}-{name}"), problem(name));
        view! {
            <div class="field"><label for=at.clone()>{label}</label>
                <input id=at.clone() class=class name=format!("form[waves][{i}][{name}]") value=value.to_owned() readonly=last && name == "selector"
                    aria-invalid=problem.is_some().then_some("true") aria-describedby=described(&at, false, problem.is_some()) />
                {problem.map(|text| field_error(&at, &text))}</div>
        }
    };
    let pick = |name: &'static str, label: &'static str, words: &[(&str, &str)], value: &str| {
        let words = words.iter().map(|(word, text)| ((*word).to_owned(), (*text).to_owned()));
        choice(
            &format!("w{i}-{name}"),
            format!("form[waves][{i}][{name}]"),
            label,
            words,
            value,
            problem(name),
        )
    };
    let act = |verb: &str, label: &str, sign: &'static str, there: bool| {
        there.then(|| view! {
            <button class="btn btn-small btn-quiet btn-icon" name="act" value=format!("{verb}:{i}") formaction="" formnovalidate title=label.to_owned()>
                {icon(sign)}<span class="visually-hidden">{format!("{label}: wave {}", i + 1)}</span></button>
        })
    };
    let actions = (may && !last).then(|| {
        view! {
            <div class="wave-row-actions">
                {act("up", "Move up", "arrow-up", i > 0)}
                {act("down", "Move down", "arrow-down", i + 2 < n)}
                {act("remove", "Remove", "trash", true)}
            </div>
        }
    });
    let own = w.own_checks();
    let checks: Vec<_> =
        w.checks.iter().enumerate().map(|(j, c)| block(flash, i, j, own + j, c, may)).collect();
    let add = |kind: &str, label: &str| {
        let told = format!(" to wave {}", i + 1);
        view! { <button class="btn btn-small btn-quiet" name="act" value=format!("add_check:{i}:{kind}") formaction="" formnovalidate>{icon("plus")} " " {label.to_owned()}<span class="visually-hidden">{told}</span></button> }
    };
    view! {
        <li class=if last { "wave-row wave-row-rest" } else { "wave-row" }>
            <span class="wave-row-no">{i + 1}</span>
            <div class="wave-row-fields">
                {input("name", "Name", &w.name, "")}
                {input("selector", "Who", if last { "everyone" } else { &w.selector }, "selector-input")}
                {input("concurrency", "At once", &w.concurrency, "")}
                {input("tolerance", "Failures tolerated", &w.tolerance, "")}
                {pick("mode", "While some fail", &[("soft", "keep the pace"), ("strict", "slow down")], &w.mode)}
                {input("attempts", "Attempts", &w.attempts, "")}
                {input("patience", "Waits for windows", &w.patience, "")}
                <fieldset class="group wave-row-gate"><legend>"Gate"</legend>
                    {input("bake", "Watch for", &w.bake, "")}
                    {pick("healthy", "Health check", &[("on", "on"), ("off", "off")], &w.healthy)}
                    {input("max_errors", "Errors at most, %", &w.max_errors, "")}
                    {input("grace", "Bad samples forgiven", &w.grace, "")}
                    {input("quorum", "Approvals needed", &w.quorum, "")}
                    {input("group", "From group", &w.group, "")}
                    {input("also", "Others, like 2 of ops", &w.also, "")}
                    {input("expiry", "Expires after", &w.expiry, "")}
                    {input("escalate_after", "Escalates after", &w.escalate_after, "")}
                    {input("escalate_to", "To group", &w.escalate_to, "")}
                </fieldset>
                {checks}
                {may.then(|| view! { <p class="wave-row-more">{add("probe", "HTTP probe")} {add("prometheus", "Prometheus query")} {add("hook", "Hook")}</p> })}
            </div>
            {actions}
        </li>
    }
}

/// What is wrong with a field of a wave, whatever path the domain has for it.
fn problem_of(flash: &Flash, i: usize, name: &str) -> Option<String> {
    let wave = format!("waves[{i}].");
    let mine = flash.problems.iter().filter_map(|(field, text)| Some((field.strip_prefix(&wave)?, text)));
    let fits = |field: &str| {
        let last = field.rsplit('.').next().unwrap_or(field);
        // A check that is measured outside shows its problems itself.
        let own = !field.contains("checks[");
        let part = match name {
            "also" => field.contains("approval.also["),
            "escalate_after" => field == "gate.approval.escalation.after",
            "escalate_to" => field == "gate.approval.escalation.group",
            "max_errors" => last == "max_percent" || last == "checks",
            _ => own && last == name && !field.contains("approval.also[") && !field.contains(".escalation."),
        };
        part || field == name
    };
    mine.filter(|(field, _)| fits(field)).map(|(_, text)| text.clone()).next()
}

/// A strategy as its form writes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StrategyForm {
    pub name: String,
    pub on_halt: String,
    #[serde(default)]
    pub waves: Vec<WaveForm>,
}

/// A wave as its row writes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct WaveForm {
    pub name: String,
    pub selector: String,
    pub concurrency: String,
    pub tolerance: String,
    pub mode: String,
    pub attempts: String,
    pub patience: String,
    pub bake: String,
    pub healthy: String,
    pub max_errors: String,
    pub grace: String,
    pub quorum: String,
    pub group: String,
    pub expiry: String,
    pub also: String,
    pub escalate_after: String,
    pub escalate_to: String,
    pub checks: Vec<CheckForm>,
}

impl Default for WaveForm {
    fn default() -> Self {
        let s = str::to_owned;
        Self {
            name: s(""),
            selector: s(""),
            concurrency: s("5"),
            tolerance: s("0"),
            mode: s("soft"),
            attempts: s("2"),
            patience: WaveSpec::usual_patience().to_string(),
            bake: s("0 s"),
            healthy: s("off"),
            max_errors: s(""),
            grace: s("1"),
            quorum: s("0"),
            group: s(""),
            expiry: s("7 d"),
            also: s(""),
            escalate_after: s(""),
            escalate_to: s(""),
            checks: vec![],
        }
    }
}

impl StrategyForm {
    pub fn fresh() -> Self {
        let first = WaveForm {
            name: "First".into(),
            selector: "tier:basic".into(),
            bake: "10 min".into(),
            healthy: "on".into(),
            max_errors: "5".into(),
            quorum: "1".into(),
            ..WaveForm::default()
        };
        let rest =
            WaveForm { name: "Everyone else".into(), selector: "everyone".into(), ..WaveForm::default() };
        Self { name: String::new(), on_halt: "stay".into(), waves: vec![first, rest] }
    }

    pub fn of(spec: &StrategySpec) -> Self {
        let waves = spec.waves.iter().map(|w| {
            let approval = w.gate.approval.as_ref();
            let errors = w.gate.checks.iter().filter_map(|c| match c {
                Check::ErrorRate { max_percent } => Some(max_percent.to_string()),
                Check::Healthy | Check::Measured(_) => None,
            });
            let errors: Vec<_> = errors.collect();
            WaveForm {
                name: w.name.to_string(),
                selector: w.selector.to_string(),
                concurrency: w.concurrency.to_string(),
                tolerance: w.tolerance.to_string(),
                mode: w.mode.word().into(),
                attempts: w.attempts.to_string(),
                patience: w.patience.to_string(),
                bake: w.gate.bake.to_string(),
                healthy: if w.gate.checks.contains(&Check::Healthy) { "on" } else { "off" }.into(),
                max_errors: errors.join(", "),
                grace: w.gate.grace.to_string(),
                quorum: approval.map_or(0, |a| a.quorum).to_string(),
                group: approval.and_then(|a| a.group.clone()).unwrap_or_default(),
                expiry: approval.map_or(Span::days(7), |a| a.expiry).to_string(),
                also: approval
                    .map_or(vec![], |a| a.also.iter().map(ToString::to_string).collect())
                    .join(", "),
                escalate_after: approval
                    .and_then(|a| a.escalation.as_ref())
                    .map_or_else(String::new, |e| e.after.to_string()),
                escalate_to: approval
                    .and_then(|a| a.escalation.as_ref())
                    .map_or_else(String::new, |e| e.group.clone()),
                checks: w.gate.checks.iter().filter_map(Check::measured).map(CheckForm::of).collect(),
            }
        });
        Self { name: spec.name.to_string(), on_halt: spec.on_halt.word().into(), waves: waves.collect() }
    }

    /// What was written before it was refused.
    pub fn again(flash: &Flash) -> Option<Self> {
        flash.values.get("json").and_then(|text| serde_json::from_str(text).ok())
    }

    /// Adds, takes away or moves a wave, as a button says: `add`, `remove:1`, `up:1`, `down:0`; or adds and takes away a
    /// check of a wave: `add_check:0:probe`, `drop_check:0:2`. The last wave takes everyone who is left, so it stays the
    /// last one.
    pub fn act(&mut self, act: &str) {
        if let [verb @ ("add_check" | "drop_check"), wave, what] = act.split(':').collect::<Vec<_>>()[..] {
            let Some(wave) = wave.parse::<usize>().ok().and_then(|i| self.waves.get_mut(i)) else { return };
            match (verb, what.parse::<usize>()) {
                ("drop_check", Ok(j)) if j < wave.checks.len() => drop(wave.checks.remove(j)),
                ("add_check", Err(_)) if wave.checks.len() < 10 => wave.checks.push(CheckForm::fresh(what)),
                _ => {}
            }
            return;
        }
        let last = self.waves.len().saturating_sub(1);
        let (verb, i) = act.split_once(':').unwrap_or((act, ""));
        match (verb, i.parse::<usize>().ok().filter(|i| *i < last)) {
            ("add", _) if self.waves.len() < 50 => self.waves.insert(last, WaveForm::default()),
            ("remove", Some(i)) => drop(self.waves.remove(i)),
            ("up", Some(i)) if i > 0 => self.waves.swap(i, i - 1),
            ("down", Some(i)) if i + 1 < last => self.waves.swap(i, i + 1),
            _ => {}
        }
    }

    /// The selectors, as far as they are understood; the last wave takes everyone.
    pub fn selectors(&self) -> Vec<Option<Selector>> {
        let last = self.waves.len().saturating_sub(1);
        let parsed = self.waves.iter().enumerate();
        parsed
            .map(|(i, w)| if i == last { Some(Selector::default()) } else { w.selector.parse().ok() })
            .collect()
    }

    pub fn spec(&self) -> Result<StrategySpec, Invalid> {
        let mut problems = Problems::default();
        let name = problems.take("name", self.name.parse());
        let on_halt = problems.take("on_halt", self.on_halt.parse::<OnHalt>());
        let mut waves = vec![];
        for (i, wave) in self.waves.iter().enumerate() {
            waves.extend(problems.take(&format!("waves[{i}]"), wave.spec()));
        }
        match (name, on_halt) {
            (Some(name), Some(on_halt)) => problems.finish(StrategySpec { name, waves, on_halt }),
            _ => Err(problems.into_invalid()),
        }
    }
}

impl WaveForm {
    /// How many checks stand before those that are measured outside.
    fn own_checks(&self) -> usize {
        let errors = self.max_errors.split(',').filter(|text| !text.trim().is_empty());
        usize::from(self.healthy == "on") + errors.count()
    }

    fn spec(&self) -> Result<WaveSpec, Invalid> {
        let mut problems = Problems::default();
        let whole = |problems: &mut Problems, field: &str, text: &str| {
            let n = text.trim().parse::<u8>().ok();
            problems.require(n.is_some(), field, "must be a whole number from 0 to 255");
            n.unwrap_or(0)
        };
        let name = problems.take("name", self.name.parse());
        let selector = problems.take("selector", self.selector.parse());
        let concurrency = problems.take("concurrency", self.concurrency.parse());
        let tolerance = problems.take("tolerance", self.tolerance.parse());
        let mode = problems.take("mode", self.mode.parse::<ToleranceMode>());
        let attempts = whole(&mut problems, "attempts", &self.attempts);
        let patience = problems.take("patience", self.patience.parse::<Span>()).unwrap_or_default();
        let grace = whole(&mut problems, "grace", &self.grace);
        let quorum = whole(&mut problems, "quorum", &self.quorum);
        let bake = problems.take("bake", self.bake.parse::<Span>());
        let expiry = problems.take("expiry", self.expiry.parse::<Span>());
        let mut checks = vec![];
        if self.healthy == "on" {
            checks.push(Check::Healthy);
        }
        for text in self.max_errors.split(',').filter(|text| !text.trim().is_empty()) {
            checks.push(Check::ErrorRate { max_percent: whole(&mut problems, "max_errors", text) });
        }
        for check in &self.checks {
            let at = format!("gate.checks[{}]", checks.len());
            match problems.take(&at, check.check()) {
                Some(check) => checks.push(Check::Measured(Box::new(check))),
                // It keeps its place, so that the others' problems stand where they belong.
                None => checks.push(Check::Healthy),
            }
        }
        let group = self.group.trim();
        let group =
            if group.is_empty() { None } else { problems.take("group", domain::access::parse_group(group)) };
        let mut also = vec![];
        for text in self.also.split(',').filter(|text| !text.trim().is_empty()) {
            also.extend(problems.take("also", text.parse::<Quorum>()));
        }
        let escalation = match (self.escalate_after.trim(), self.escalate_to.trim()) {
            ("", "") => None,
            (after, to) => {
                let after = problems.take("escalate_after", after.parse::<Span>());
                let group = problems.take("escalate_to", domain::access::parse_group(to));
                after.zip(group).map(|(after, group)| Escalation { after, group })
            }
        };
        let needless = quorum == 0 && (!also.is_empty() || escalation.is_some());
        problems.require(!needless, "quorum", "is 0, so nobody would be asked; write how many must approve");
        let expiry = expiry.unwrap_or(Span::days(7));
        let approval = (quorum > 0).then_some(ApprovalSpec { quorum, group, also, expiry, escalation });
        let gate = GateSpec { bake: bake.unwrap_or(Span::ZERO), checks, grace, approval };
        match (name, selector, concurrency, tolerance, mode) {
            (Some(name), Some(selector), Some(concurrency), Some(tolerance), Some(mode)) => problems
                .finish(WaveSpec { name, selector, concurrency, tolerance, mode, attempts, patience, gate }),
            _ => Err(problems.into_invalid()),
        }
    }
}
