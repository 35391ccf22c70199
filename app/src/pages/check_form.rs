//! The part of the strategy editor for checks that are measured outside: one block of fields for each.

use crate::parts::{choice, described, field_error, icon};
use crate::session::Flash;
use domain::check::{Compare, Measure, Measured, Scope};
use domain::invalid::Problems;
use domain::{Invalid, Span};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A check as its block writes it; of the fields at the end only those of its kind are there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckForm {
    pub kind: String,
    pub name: String,
    pub scope: String,
    pub interval: String,
    pub grace: String,
    pub min_samples: String,
    pub tolerated: String,
    pub patience: String,
    pub entry: String,
    pub at: String,
    pub status: String,
    pub contains: String,
    pub source: String,
    pub query: String,
    pub compare: String,
    pub threshold: String,
    pub unit: String,
}

impl Default for CheckForm {
    fn default() -> Self {
        let s = str::to_owned;
        Self {
            kind: s("probe"),
            name: s(""),
            scope: s("stack"),
            interval: s("30 s"),
            grace: s("0 s"),
            min_samples: s("1"),
            tolerated: s("0"),
            patience: s("1 h"),
            entry: s("off"),
            at: s(""),
            status: s("200"),
            contains: s(""),
            source: s(""),
            query: s(""),
            compare: s("at_most"),
            threshold: s(""),
            unit: s(""),
        }
    }
}

impl CheckForm {
    /// A new one of a kind.
    pub fn fresh(kind: &str) -> Self {
        let fresh = Self { kind: kind.to_owned(), ..Self::default() };
        match kind {
            "probe" => Self { name: "answers".into(), at: "/healthz".into(), ..fresh },
            "prometheus" => Self { min_samples: "5".into(), ..fresh },
            _ => Self { scope: "wave".into(), ..fresh },
        }
    }

    pub fn of(check: &Measured) -> Self {
        let common = Self {
            kind: check.measure.kind().into(),
            name: check.name.to_string(),
            scope: check.scope.word().into(),
            interval: check.interval.to_string(),
            grace: check.grace.to_string(),
            min_samples: check.min_samples.to_string(),
            tolerated: check.tolerated.to_string(),
            patience: check.patience.to_string(),
            entry: if check.entry { "on" } else { "off" }.into(),
            ..Self::default()
        };
        match &check.measure {
            Measure::Probe { at, status, contains } => Self {
                at: at.clone(),
                status: status.to_string(),
                contains: contains.clone().unwrap_or_default(),
                ..common
            },
            Measure::Prometheus { source, query, compare, threshold, unit } => Self {
                source: source.clone(),
                query: query.clone(),
                compare: compare.word().into(),
                threshold: threshold.to_string(),
                unit: unit.clone(),
                ..common
            },
            Measure::Hook { source } => Self { source: source.clone(), ..common },
        }
    }

    /// What it means; problems name its own fields.
    pub fn check(&self) -> Result<Measured, Invalid> {
        let mut problems = Problems::default();
        let whole = |problems: &mut Problems, field: &str, text: &str| {
            let n = text.trim().parse::<u16>().ok();
            problems.require(n.is_some(), field, "must be a whole number");
            n.unwrap_or(0)
        };
        let span = |problems: &mut Problems, field: &str, text: &str| {
            problems.take(field, text.parse::<Span>()).unwrap_or_default()
        };
        let name = problems.take("name", self.name.parse());
        let scope = problems.take("scope", self.scope.parse::<Scope>());
        let interval = span(&mut problems, "interval", &self.interval);
        let grace = span(&mut problems, "grace", &self.grace);
        let patience = span(&mut problems, "patience", &self.patience);
        let min_samples = whole(&mut problems, "min_samples", &self.min_samples);
        let tolerated = u8::try_from(whole(&mut problems, "tolerated", &self.tolerated)).unwrap_or(u8::MAX);
        let text = |text: &str| text.trim().to_owned();
        let measure = match self.kind.as_str() {
            "probe" => Some(Measure::Probe {
                at: text(&self.at),
                status: whole(&mut problems, "status", &self.status),
                contains: Some(text(&self.contains)).filter(|text| !text.is_empty()),
            }),
            "prometheus" => {
                let compare = problems.take("compare", self.compare.parse::<Compare>());
                let threshold = problems.take("threshold", self.threshold.parse());
                compare.zip(threshold).map(|(compare, threshold)| Measure::Prometheus {
                    source: text(&self.source),
                    query: text(&self.query),
                    compare,
                    threshold,
                    unit: text(&self.unit),
                })
            }
            "hook" => Some(Measure::Hook { source: text(&self.source) }),
            _ => {
                problems.note("kind", "must be probe, prometheus or hook");
                None
            }
        };
        let entry = self.entry == "on";
        match (name, scope, measure) {
            (Some(name), Some(scope), Some(measure)) => problems.finish(Measured {
                name,
                scope,
                interval,
                grace,
                min_samples,
                tolerated,
                patience,
                entry,
                measure,
            }),
            _ => Err(problems.into_invalid()),
        }
    }
}

/// Check `j` of wave `i`; in the gate it stands at place `k`, after those that drivers measure.
pub fn block(flash: &Flash, i: usize, j: usize, k: usize, c: &CheckForm, may: bool) -> AnyView {
    let mine = format!("waves[{i}].gate.checks[{k}].");
    let problem = |name: &str| {
        let found = flash.problems.iter().find(|(field, _)| {
            field.strip_prefix(&mine).is_some_and(|field| field.rsplit('.').next() == Some(name))
        });
        found.map(|(_, text)| text.clone())
    };
    let input = |name: &'static str,
                 label: &'static str,
                 hint: &'static str,
                 value: &str,
                 class: &'static str| {
        let (at, problem) = (format!("w{i}-c{j}-{name}"), problem(name));
        let list = match (name, c.kind.as_str()) {
            ("source", "prometheus") => Some("prometheus-sources"),
            ("source", _) => Some("hook-sources"),
            _ => None,
        };
        view! {
            <div class=format!("field {class}")><label for=at.clone()>{label}</label>
                {(!hint.is_empty()).then(|| view! { <p class="hint" id=format!("{at}-h")>{hint}</p> })}
                <input id=at.clone() name=format!("form[waves][{i}][checks][{j}][{name}]") value=value.to_owned() list=list
                    aria-invalid=problem.is_some().then_some("true") aria-describedby=described(&at, !hint.is_empty(), problem.is_some()) />
                {problem.map(|text| field_error(&at, &text))}</div>
        }
        .into_any()
    };
    let pick = |name: &'static str, label: &'static str, words: &[(&str, &str)], value: &str| {
        let words = words.iter().map(|(word, text)| ((*word).to_owned(), (*text).to_owned()));
        choice(
            &format!("w{i}-c{j}-{name}"),
            format!("form[waves][{i}][checks][{j}][{name}]"),
            label,
            words,
            value,
            problem(name),
        )
    };
    let (title, own) = match c.kind.as_str() {
        "prometheus" => (
            "Prometheus",
            vec![
                input("source", "Server", "", &c.source, ""),
                input(
                    "query",
                    "Query",
                    "Filled in: {stack} {tenant} {tier} {region} {stacks} {wave} {version}",
                    &c.query,
                    "field-wide",
                ),
                pick(
                    "compare",
                    "Its value is",
                    &[
                        ("at_most", "at most"),
                        ("below", "below"),
                        ("at_least", "at least"),
                        ("above", "above"),
                    ],
                    &c.compare,
                ),
                input("threshold", "Threshold", "", &c.threshold, ""),
                input("unit", "Unit", "", &c.unit, ""),
            ],
        ),
        "hook" => ("Hook", vec![input("source", "Hook", "", &c.source, "")]),
        _ => (
            "HTTP probe",
            vec![
                input("at", "Address", "A path, output:NAME/path, or https://…", &c.at, "field-wide"),
                input("status", "Answers with", "", &c.status, ""),
                input("contains", "And contains", "", &c.contains, ""),
            ],
        ),
    };
    let remove = may.then(|| {
        let label = format!("Remove the check {}", c.name);
        view! {
            <button class="btn btn-small btn-quiet btn-icon check-remove" name="act" value=format!("drop_check:{i}:{j}") formaction="" formnovalidate title="Remove">
                {icon("trash")}<span class="visually-hidden">{label}</span></button>
        }
    });
    view! {
        <fieldset class="group wave-row-gate check-block"><legend>{title}</legend>
            <input type="hidden" name=format!("form[waves][{i}][checks][{j}][kind]") value=c.kind.clone() />
            {input("name", "Name", "", &c.name, "")}
            {own}
            {pick("scope", "Measured of", &[("stack", "each stack"), ("wave", "the wave")], &c.scope)}
            {input("interval", "Every", "", &c.interval, "")}
            {input("grace", "Failures forgiven for", "", &c.grace, "")}
            {input("tolerated", "Then in a row", "", &c.tolerated, "")}
            {input("min_samples", "Samples at least", "", &c.min_samples, "")}
            {input("patience", "Waits for them", "", &c.patience, "")}
            {pick("entry", "Before the wave", &[("off", "not looked at"), ("on", "must hold, too")], &c.entry)}
            {remove}
        </fieldset>
    }
    .into_any()
}
