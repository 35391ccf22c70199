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
    let text = word.replace('_', " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
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
    let problem = flash.problem(name);
    let value = if kind == "password" { String::new() } else { flash.value(name, value) };
    let described = format!("{name}-h {name}-e");
    view! {
        <div class="field">
            <label for=name>{label}</label>
            {(!hint.is_empty()).then(|| view! { <p class="hint" id=format!("{name}-h")>{hint}</p> })}
            <input
                id=name
                name=format!("form[{name}]")
                type=kind
                value=value
                aria-describedby=described
                aria-invalid=problem.is_some().then_some("true")
            />
            {problem.map(|text| view! { <p class="field-error" id=format!("{name}-e")>{text}</p> })}
        </div>
    }
    .into_any()
}

/// A choice of a few words.
pub fn select(
    flash: &Flash,
    name: &'static str,
    label: &'static str,
    options: Vec<(String, String)>,
    value: &str,
) -> AnyView {
    let problem = flash.problem(name);
    let value = flash.value(name, value);
    let options: Vec<_> = options
        .into_iter()
        .map(|(word, text)| {
            let selected = word == value;
            view! { <option value=word selected=selected>{text}</option> }
        })
        .collect();
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <select id=name name=format!("form[{name}]")>{options}</select>
            {problem.map(|text| view! { <p class="field-error">{text}</p> })}
        </div>
    }
    .into_any()
}

/// What happened, newest first.
pub fn feed(activity: Vec<Activity>) -> impl IntoView {
    if activity.is_empty() {
        return view! { <p class="muted">"Nothing has happened yet."</p> }.into_any();
    }
    let items: Vec<_> = activity
        .into_iter()
        .map(|a| {
            let tone = match a.kind.as_str() {
                "operation_failed" | "halted" | "failed" | "settling" => "error",
                "succeeded" | "completed" | "gate_passed" => "success",
                "paused" | "rollback_started" | "approval_asked" => "warning",
                _ => "info",
            };
            let by = (a.actor.name != "engine").then(|| view! { <small class="muted">" · " {a.actor.name.clone()}</small> });
            view! { <li data-state=tone><time datetime=a.at.rfc3339()>{a.at.clock()}</time><p>{a.sentence}{by}</p></li> }
        })
        .collect();
    view! { <ol class="feed">{items}</ol> }.into_any()
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
