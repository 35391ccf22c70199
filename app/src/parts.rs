//! Small pieces that many pages share.

use crate::session::Flash;
use domain::Timestamp;
use leptos::prelude::*;
use store::Activity;

/// An icon of the sprite.
pub fn icon(name: &str) -> AnyView {
    let pkg = use_context::<Pkg>().map(|p| p.0).unwrap_or_default();
    let href = format!("{pkg}/icons.svg#{name}");
    view! { <svg class="icon" aria-hidden="true"><use href=href></use></svg> }.into_any()
}

/// The folder of the front end's files.
#[derive(Clone)]
pub struct Pkg(pub String);

/// A state's chip: colour and shape come from the style sheet, the word stands in the text.
pub fn state(word: &str) -> AnyView {
    let text = sentence_case(word);
    view! { <span class="state" data-state=word.to_owned()>{text}</span> }.into_any()
}

/// A state's chip whose shape is another vocabulary's.
pub fn state_as(shape: &'static str, word: &str) -> AnyView {
    let text = sentence_case(word);
    view! { <span class="state" data-state=shape>{text}</span> }.into_any()
}

/// The shape of a stack's status.
pub const fn tone(status: domain::stack::StackStatus) -> &'static str {
    use domain::stack::StackStatus as S;
    match status {
        S::Creating => "in_progress",
        S::Live => "healthy",
        S::Failed => "failed",
        S::Deleting => "offboarding",
        S::Deleted => "offboarded",
    }
}

/// `rolled_back` becomes `Rolled back`.
pub fn sentence_case(word: &str) -> String {
    capital(&word.replace('_', " "))
}

/// An instant, short, with the machine's form beside it.
pub fn time(at: Timestamp) -> AnyView {
    view! { <time datetime=at.rfc3339() title=format!("{} UTC", at.human())>{at.human()}</time> }.into_any()
}

/// A text field with its label, hint and problem.
pub fn field(
    flash: &Flash,
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    value: &str,
    kind: &'static str,
) -> AnyView {
    Field::new(flash, name, label).hint(hint).value(value).kind(kind).view()
}

/// A text field that says more of itself than [`field`] does.
pub struct Field<'a> {
    flash: &'a Flash,
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    value: String,
    kind: &'static str,
    required: bool,
    most: Option<usize>,
    complete: Option<&'static str>,
}

impl<'a> Field<'a> {
    pub fn new(flash: &'a Flash, name: &'static str, label: &'static str) -> Self {
        Self {
            flash,
            name,
            label,
            hint: "",
            value: String::new(),
            kind: "text",
            required: false,
            most: None,
            complete: None,
        }
    }

    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    pub fn value(self, value: &str) -> Self {
        Self { value: value.to_owned(), ..self }
    }

    pub fn kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Longest text in characters.
    pub fn most(self, most: usize) -> Self {
        Self { most: Some(most), ..self }
    }

    /// What a browser may fill in, or `off`.
    pub fn complete(self, complete: &'static str) -> Self {
        Self { complete: Some(complete), ..self }
    }

    pub fn view(self) -> AnyView {
        let Self { flash, name, label, hint, value, kind, required, most, complete } = self;
        let problem = flash.problem(name);
        let value = if kind == "password" { String::new() } else { flash.value(name, &value) };
        let described = described(name, !hint.is_empty(), problem.is_some());
        view! {
            <div class="field">
                <label for=name>{label}</label>
                {(!hint.is_empty()).then(|| view! { <p class="hint" id=format!("{name}-h")>{hint}</p> })}
                <input
                    id=name
                    name=format!("form[{name}]")
                    type=kind
                    value=value
                    required=required
                    maxlength=most.map(|n| n.to_string())
                    autocomplete=complete
                    aria-describedby=described
                    aria-invalid=problem.is_some().then_some("true")
                />
                {problem.map(|text| field_error(name, &text))}
            </div>
        }
        .into_any()
    }
}

/// What is wrong with the field of this id.
pub fn field_error(id: &str, text: &str) -> AnyView {
    view! { <p class="field-error" id=format!("{id}-e")>{capital(text)}</p> }.into_any()
}

/// The ids that describe a field: of its hint and of its problem, where there are some.
pub fn described(id: &str, hint: bool, problem: bool) -> Option<String> {
    let ids = [hint.then(|| format!("{id}-h")), problem.then(|| format!("{id}-e"))];
    let ids: Vec<_> = ids.into_iter().flatten().collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}

/// A choice of a few words, in a form of its own fields.
pub fn select(
    flash: &Flash,
    name: &'static str,
    label: &'static str,
    options: Vec<(String, String)>,
    value: &str,
) -> AnyView {
    choice(name, format!("form[{name}]"), label, options, &flash.value(name, value), flash.problem(name))
}

/// A choice of a few words, each with what people read; with what is wrong with it.
pub fn choice(
    id: &str,
    name: String,
    label: &'static str,
    options: impl IntoIterator<Item = (String, String)>,
    value: &str,
    problem: Option<String>,
) -> AnyView {
    let options: Vec<_> = options
        .into_iter()
        .map(|(word, text)| {
            let selected = word == value;
            view! { <option value=word selected=selected>{text}</option> }
        })
        .collect();
    let id = id.to_owned();
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <select
                id=id.clone()
                name=name
                aria-describedby=described(&id, false, problem.is_some())
                aria-invalid=problem.is_some().then_some("true")
            >{options}</select>
            {problem.map(|text| field_error(&id, &text))}
        </div>
    }
    .into_any()
}

/// A sentence that begins with a capital, as people read it.
pub fn capital(text: &str) -> String {
    // An address is written as its owner writes it.
    if text.split_whitespace().next().is_some_and(|word| word.contains('@')) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// An error as people read it: fields by their labels, not by their paths.
pub fn sentence_of(error: &service::Error) -> String {
    let service::Error::Invalid(invalid) = error else { return capital(&error.to_string()) };
    let all: Vec<_> = invalid
        .problems
        .iter()
        .map(|p| {
            let inside = p.field.split_once('[').and_then(|(list, rest)| {
                let (i, field) = rest.split_once(']')?;
                let what = match list {
                    "waves" => "Wave",
                    "rows" => "Parameter",
                    _ => return None,
                };
                Some((what, i.parse::<usize>().ok()? + 1, field.trim_start_matches('.')))
            });
            match inside {
                Some((what, n, "" | "value")) => format!("{what} {n} {}", p.message),
                Some((what, n, field)) => {
                    format!("{what} {n}, {} {}", label(field.rsplit('.').next().unwrap_or(field)), p.message)
                }
                None => format!("{} {}", label(&p.field), p.message),
            }
        })
        .collect();
    all.join("; ")
}

/// A field as its label names it.
fn label(field: &str) -> String {
    let text = match field {
        "slug" => "Short name",
        "email" => "E-mail",
        "pool_capacity" => "Tenants in one pool stack",
        "pool_spare" => "Free places kept ready",
        "pool_limit" => "Pools in a region, at most",
        "model" => "Deployment model",
        "signup" => "Sign-up",
        "selector" => "Who",
        "concurrency" => "At once",
        "tolerance" => "Failures tolerated",
        "bake" => "Watch for",
        "max_errors" | "max_percent" => "Errors at most",
        "quorum" => "Approvals needed",
        "expiry" => "Expires after",
        "confirm" => "The confirmation",
        "grace_hours" | "grace" => "Grace",
        other => return capital(&other.replace(['_', '.'], " ")),
    };
    text.to_owned()
}

/// What happened, newest first, day by day.
pub fn feed(activity: Vec<Activity>) -> impl IntoView {
    if activity.is_empty() {
        return view! { <p class="muted">"Nothing has happened yet."</p> }.into_any();
    }
    let mut items = vec![];
    let mut last = String::new();
    for a in activity {
        let day = a.at.day();
        if day != last {
            items.push(view! { <li class="feed-day">{day.clone()}</li> }.into_any());
            last = day;
        }
        let tone = match a.kind.as_str() {
            "operation_failed" | "halted" | "failed" => "error",
            "succeeded" | "completed" | "gate_passed" => "success",
            "paused" | "rollback_started" | "stack_recalled" | "waves_recalled" | "approval_asked" => {
                "warning"
            }
            _ => "info",
        };
        // Most sentences name who did it; the others get the name behind them.
        let name = &a.actor.name;
        let by = (name != "engine" && !a.sentence.contains(name.as_str()))
            .then(|| view! { <small class="muted">" · " {name.clone()}</small> });
        items.push(
            view! { <li data-state=tone>{clock(a.at)}<p>{capital(&a.sentence)}{by}</p></li> }.into_any(),
        );
    }
    view! { <ol class="feed">{items}</ol> }.into_any()
}

/// The time of day, with the whole instant behind it.
pub fn clock(at: Timestamp) -> AnyView {
    view! { <time datetime=at.rfc3339() title=format!("{} UTC", at.human())>{at.clock()}</time> }.into_any()
}

/// A value inside an address's query.
pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// An address with the pairs whose value is not empty.
pub fn link(path: &str, pairs: &[(&str, &str)]) -> String {
    let query: Vec<_> =
        pairs.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k}={}", encoded(v))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// `1 stack`, `2 stacks`.
pub fn count(n: impl Into<i64>, what: &str) -> String {
    let n = n.into();
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// A button that is a form of its own: one server function, a few hidden values.
pub fn post(action: &str, label: &str, class: &str, values: &[(&str, String)]) -> AnyView {
    let hidden: Vec<_> = values
        .iter()
        .map(|(name, value)| view! { <input type="hidden" name=(*name).to_owned() value=value.clone() /> })
        .collect();
    view! {
        <form method="post" action=format!("/do/{action}")>
            {hidden}
            <button class=class.to_owned() type="submit">{label.to_owned()}</button>
        </form>
    }
    .into_any()
}

/// How a step of an onboarding is drawn, and whether it is the one at work.
pub fn step(state: &str) -> (&'static str, Option<&'static str>) {
    match state {
        "running" => ("current", Some("step")),
        "waiting" => ("todo", None),
        "failed" => ("failed", None),
        _ => ("done", None),
    }
}
