//! The tier editor's form: what people read, how it runs, and a row for each parameter.

use crate::parts::{Field, capital, described, field_error, icon, select};
use crate::session::Flash;
use domain::identity::IdentityKind;
use domain::parameter::{Kind, Parameter};
use domain::tier::{SignupPolicy, TierSpec};
use leptos::prelude::*;
use service::{ParameterRow, TierEdit};

/// What rows are compared with.
#[derive(Clone, Copy, Default)]
pub struct Against<'a> {
    /// Parameters of the latest revision: their names and kinds stay.
    pub saved: &'a [Parameter],
    /// The revision that tenants run.
    pub live: Option<&'a TierSpec>,
}

/// Everything but parameters.
pub fn fields(flash: &Flash, edit: &TierEdit) -> impl IntoView + use<> {
    let f = &edit.form;
    let models = [
        ("pool", "pool: tenants share a stack"),
        ("silo", "silo: a stack for each tenant"),
        ("hybrid", "hybrid: some components shared, some not"),
    ];
    let models = models.iter().map(|(w, t)| ((*w).to_owned(), (*t).to_owned())).collect();
    view! {
        {Field::new(flash, "name", "Name").value(&f.name).required().most(80).view()}
        {Field::new(flash, "description", "Description").hint("One line for customers.").value(&f.description).most(200).view()}
        {Field::new(flash, "price", "Price").hint("As customers read it.").value(&f.price).most(60).view()}
        <div class="field-row">
            {select(flash, "model", "Deployment model", models, &f.model)}
            {select(flash, "signup", "Sign-up", signups(), &f.signup)}
        </div>
        <div class="field-row hybrid-only">
            {Field::new(flash, "shared", "Shared components").hint("Separated by commas.").value(&f.shared).view()}
            {Field::new(flash, "dedicated", "Dedicated components").hint("The first one answers at the tenant's address.").value(&f.dedicated).view()}
        </div>
        <div class="field-row">
            {Field::new(flash, "regions", "Regions").hint("Separated by commas; the first is the default.").value(&f.regions).required().view()}
            <div class="shared-only">{Field::new(flash, "pool_capacity", "Tenants in one pool stack").hint("A full pool makes the next.").value(&f.pool_capacity).kind("number").view()}</div>
        </div>
        {identity(flash, edit)}
        {own_windows(flash, edit)}
    }
}

/// What tenants may choose as their own maintenance windows; it counts for the stacks that they have for themselves.
fn own_windows(flash: &Flash, edit: &TierEdit) -> impl IntoView + use<> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let f = &edit.form;
    view! {
        <div class="field-row dedicated-only">
            {Field::new(flash, "window_length", "Tenants' own windows last").hint("The shortest maintenance window that a tenant may choose, like 2 h. Left empty, tenants choose none.").value(&text(&f.window_length)).most(20).complete("off").view()}
            {Field::new(flash, "window_weekly", "And leave in each week").hint("In all, like 4 h; left empty, any time is enough.").value(&text(&f.window_weekly)).most(20).complete("off").view()}
        </div>
    }
}

/// How people sign in to the application; tenants keep what they were onboarded with.
fn identity(flash: &Flash, edit: &TierEdit) -> impl IntoView + use<> {
    let f = &edit.form;
    let kinds = IdentityKind::ALL.iter().map(|kind| {
        let text = match kind {
            IdentityKind::Invitation => "invitation: the application's own; we write to the administrator",
            IdentityKind::CognitoGroup => "Cognito group: a group for each tenant in one user pool",
            IdentityKind::CognitoPool => "Cognito pool: a user pool for each tenant",
        };
        (kind.word().to_owned(), text.to_owned())
    });
    view! {
        {select(flash, "identity", "Sign-in of the tenants' people", kinds.collect(), &f.identity)}
        <div class="field-row">
            {Field::new(flash, "user_pool", "User pool").hint("For Cognito: its id, or output:NAME for an output of the stack. Left empty with a pool for each tenant, Tidegate makes it before the stack.").value(&f.user_pool).most(270).complete("off").view()}
            {Field::new(flash, "app_client", "App client").hint("Its id, or output:NAME; may be left empty.").value(&f.app_client).most(270).complete("off").view()}
        </div>
    }
}

fn signups() -> Vec<(String, String)> {
    SignupPolicy::ALL
        .iter()
        .map(|p| {
            let text = match p {
                SignupPolicy::Closed => "closed: not offered to customers",
                SignupPolicy::Automatic => "automatic: built as soon as the address is confirmed",
                SignupPolicy::NeedsAcceptance => "needs acceptance: you look at each request first",
            };
            (p.word().to_owned(), text.to_owned())
        })
        .collect()
}

/// All parameters, and the button for one more.
pub fn rows(flash: &Flash, edit: &TierEdit, against: Against<'_>, may: bool) -> impl IntoView + use<> {
    let all: Vec<_> = edit.rows.iter().enumerate().map(|(i, row)| one(flash, i, row, against, may)).collect();
    let none = all.is_empty().then(|| view! { <p class="param muted">"No parameters: every stack of this tier runs as its template says."</p> });
    let more = may.then(|| view! { <p><button class="btn btn-small" name="act" value="add" formaction="" formnovalidate>{icon("plus")} " Add a parameter"</button></p> });
    view! { <div class="params">{none}{all}</div> {more} }
}

fn one(flash: &Flash, i: usize, row: &ParameterRow, against: Against<'_>, may: bool) -> AnyView {
    let known = against.saved.iter().find(|p| p.name == row.name.trim());
    let live = against.live.and_then(|s| s.parameters.iter().find(|p| p.name == row.name.trim()));
    // A parameter of the saved revision keeps its name and its kind; what tenants override it by depends on them.
    match known.filter(|p| ParameterRow::of(p).kind == row.kind) {
        Some(_) => {
            let was = live.map(|p| p.value.to_string());
            kept(flash, i, row, was, against.live.is_some(), may)
        }
        None => fresh(flash, i, row, may),
    }
}

fn kept(
    flash: &Flash,
    i: usize,
    row: &ParameterRow,
    was: Option<String>,
    compared: bool,
    may: bool,
) -> AnyView {
    let id = format!("p{i}-value");
    let problem = flash.problem(&format!("rows[{i}].value"));
    let (at, value) = (format!("rows[{i}][value]"), row.value.clone());
    let (invalid, describe) = (problem.is_some().then_some("true"), described(&id, true, problem.is_some()));
    let options = |all: Vec<String>| -> Vec<_> {
        let chosen = row.value.clone();
        all.into_iter()
            .map(|o| view! { <option value=o.clone() selected=o == chosen>{o.clone()}</option> })
            .collect()
    };
    let choice = |all: Vec<String>| {
        view! { <select id=id.clone() name=at.clone() data-value aria-invalid=invalid aria-describedby=describe.clone()>{options(all)}</select> }.into_any()
    };
    let split = |text: &str| {
        text.split(',').map(|w| w.trim().to_owned()).filter(|w| !w.is_empty()).collect::<Vec<_>>()
    };
    let (control, hint) = match row.kind.as_str() {
        "integer" => (
            view! { <div class="input-group"><input id=id.clone() name=at.clone() data-value inputmode="numeric" value=value aria-invalid=invalid aria-describedby=describe.clone() />
                {(!row.unit.is_empty()).then(|| view! { <span class="unit">{row.unit.clone()}</span> })}</div> }.into_any(),
            format!("{} to {}", row.min, row.max),
        ),
        "boolean" => (choice(vec!["off".into(), "on".into()]), "A switch".to_owned()),
        "choice" => (choice(split(&row.options)), "One of a few".to_owned()),
        _ => (
            view! { <input id=id.clone() name=at.clone() data-value value=value maxlength=row.most.clone() aria-invalid=invalid aria-describedby=describe.clone() /> }.into_any(),
            format!("At most {} characters", row.most),
        ),
    };
    let (origin, mark) = match (&was, compared) {
        (Some(was), _) if *was == row.value.trim() => ("inherited", "as live".to_owned()),
        (Some(was), _) => ("changed", format!("changed, was {was}")),
        (None, true) => ("changed", "new, not live yet".to_owned()),
        (None, false) => ("default", String::new()),
    };
    let bad = ["component", "min", "max", "unit", "options", "most", "name", "kind"];
    let open = bad.iter().any(|f| flash.problem(&format!("rows[{i}].{f}")).is_some());
    let limits = match row.kind.as_str() {
        "integer" => vec![("min", "Smallest"), ("max", "Largest"), ("unit", "Unit")],
        "choice" => vec![("options", "Choices, separated by commas")],
        "text" => vec![("most", "Longest, in characters")],
        _ => vec![],
    };
    let limits: Vec<_> = limits
        .into_iter()
        .chain([("component", "Component, or empty for all")])
        .map(|(name, label)| small(flash, i, name, label, row))
        .collect();
    view! {
        <div class="param" data-origin=origin data-was=was>
            <label for=id.clone()>{capital(&row.name.replace('_', " "))}</label>
            {control}
            <p class="hint" id=format!("{id}-h")>{hint}</p>
            {(!mark.is_empty()).then(|| view! { <span class="param-mark" aria-live="polite">{mark}</span> })}
            {problem.map(|text| field_error(&id, &text))}
            <input type="hidden" name=format!("rows[{i}][name]") value=row.name.clone() />
            <input type="hidden" name=format!("rows[{i}][kind]") value=row.kind.clone() />
            <details class="param-more" open=open><summary>{if row.kind == "boolean" { "Component" } else { "Limits" }}<span class="visually-hidden">" of " {row.name.clone()}</span></summary>
                <div class="field-row">{limits}</div>
                {may.then(|| remove(i, &row.name))}
            </details>
        </div>
    }
    .into_any()
}

fn fresh(flash: &Flash, i: usize, row: &ParameterRow, may: bool) -> AnyView {
    let id = format!("p{i}-kind");
    let kinds =
        [("integer", "whole number"), ("boolean", "switch"), ("choice", "one of a few"), ("text", "text")];
    let kinds: Vec<_> =
        kinds.iter().map(|(w, t)| view! { <option value=*w selected=*w == row.kind>{*t}</option> }).collect();
    let fields = |names: &[(&'static str, &'static str)]| -> Vec<_> {
        names.iter().map(|(name, label)| small(flash, i, name, label, row)).collect()
    };
    view! {
        <fieldset class="param param-new" data-origin="changed"><legend>{if row.name.is_empty() { "A new parameter".to_owned() } else { row.name.clone() }}</legend>
            <div class="field-row">
                {fields(&[("name", "Name, as templates name it")])}
                <div class="field"><label for=id.clone()>"Kind"</label><select id=id.clone() name=format!("rows[{i}][kind]")>{kinds}</select></div>
                {fields(&[("value", "Value"), ("component", "Component, or empty for all")])}
            </div>
            <div class="field-row">
                {fields(&[("min", "Smallest number"), ("max", "Largest number"), ("unit", "Unit"), ("options", "Choices, by commas"), ("most", "Longest text")])}
            </div>
            {may.then(|| remove(i, &row.name))}
        </fieldset>
    }
    .into_any()
}

fn small(flash: &Flash, i: usize, name: &str, label: &'static str, row: &ParameterRow) -> AnyView {
    let id = format!("p{i}-{name}");
    let problem = flash.problem(&format!("rows[{i}].{name}"));
    let value = match name {
        "name" => &row.name,
        "component" => &row.component,
        "min" => &row.min,
        "max" => &row.max,
        "unit" => &row.unit,
        "options" => &row.options,
        "most" => &row.most,
        _ => &row.value,
    };
    view! {
        <div class=format!("field of-{name}")><label for=id.clone()>{label}</label>
            <input id=id.clone() name=format!("rows[{i}][{name}]") value=value.clone() aria-invalid=problem.is_some().then_some("true") aria-describedby=described(&id, false, problem.is_some()) />
            {problem.map(|text| field_error(&id, &text))}</div>
    }
    .into_any()
}

fn remove(i: usize, name: &str) -> AnyView {
    view! { <button class="btn btn-small btn-quiet" name="act" value=format!("remove:{i}") formaction="" formnovalidate>"Remove"<span class="visually-hidden">" " {name.to_owned()}</span></button> }.into_any()
}

/// A kind in words, for tables.
pub fn kind_words(kind: &Kind) -> String {
    match kind {
        Kind::Integer { min, max, unit } if unit.is_empty() => format!("{min} to {max}"),
        Kind::Integer { min, max, unit } => format!("{min} to {max} {unit}"),
        Kind::Boolean => "on or off".to_owned(),
        Kind::Choice { options } => options.join(", "),
        Kind::Text { most } => format!("at most {most} characters"),
    }
}
