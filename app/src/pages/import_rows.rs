//! The stacks of an import, one below the other: what was inferred of each, and what a person may say instead.

use crate::parts::{capital, count, sentence_case, state_as};
use domain::Problem;
use domain::import::{Evidence, Fate, FoundTenant, ImportPlan, Row, RowEdit, Standing};
use domain::stack::StackKind;
use leptos::prelude::*;
use service::ImportForm;

/// Of a shared stack so many tenants are shown with their fields; the others only where something is to be said.
const TENANTS: usize = 20;

pub fn rows(
    plan: &ImportPlan,
    form: &ImportForm,
    tiers: &[String],
    versions: &[String],
) -> impl IntoView + use<> {
    let none = RowEdit::default();
    let all: Vec<_> = plan
        .rows
        .iter()
        .enumerate()
        .map(|(i, row)| {
            let edit = form.rows.iter().find(|edit| edit.stack == row.found.name).unwrap_or(&none);
            one(i, row, edit, tiers, versions)
        })
        .collect();
    view! { <ul class="import-list">{all}</ul> }
}

fn one(i: usize, row: &Row, edit: &RowEdit, tiers: &[String], versions: &[String]) -> impl IntoView + use<> {
    let (shape, word) = match (row.fate, row.count_problems()) {
        (Fate::Known | Fate::Joins, _) => ("healthy", sentence_case(row.fate.word())),
        (Fate::Foreign, _) => ("offboarded", sentence_case(row.fate.word())),
        (Fate::LeftOut, _) => ("offboarded", "Left out".to_owned()),
        (Fate::New, 0) if row.actual.is_some() => ("healthy", "Proved".to_owned()),
        (Fate::New, 0) => ("pending", "Not proved".to_owned()),
        (Fate::New, _) => ("failed", "To be corrected".to_owned()),
    };
    let status = match row.found.standing {
        Standing::Steady => "muted",
        Standing::Busy => "tone-warn",
        Standing::Broken => "tone-bad",
    };
    let kind = match row.kind {
        Some(StackKind::Pool) => "shared",
        Some(StackKind::Silo) => "dedicated",
        None => "shared or dedicated: not known",
    };
    let region = row.region.as_ref().map_or_else(|| row.found.region.clone(), ToString::to_string);
    let open = matches!(row.fate, Fate::New | Fate::LeftOut);
    let fields = open.then(|| fields(i, row, edit, tiers, versions));
    let notes: Vec<_> =
        row.notes.iter().map(|note| view! { <p class="small muted">{note.clone()}</p> }).collect();
    view! {
        <li class="import-row" data-fate=row.fate.word()>
            <header><h3>{row.found.name.clone()}</h3> {state_as(shape, &word)}
                <span class="small muted">{format!("{kind} · {region} · ")} <span class=status>{row.found.status.clone()}</span></span></header>
            <p>{row.next.clone()}</p>
            {notes}
            {(!edit.leave_out).then(|| problems(&format!("r{i}"), &row.problems))}
            {fields}
            {(!edit.leave_out).then(|| view! { {tenants(i, row, open, tiers)} {differs(row)} })}
        </li>
    }
}

fn fields(
    i: usize,
    row: &Row,
    edit: &RowEdit,
    tiers: &[String],
    versions: &[String],
) -> impl IntoView + use<> {
    let name = |field: &str| format!("rows[{i}][{field}]");
    let (tier, by_tier) = match &row.tier {
        Some(tier) => (tier.value.to_string(), by(tier.evidence)),
        None => (String::new(), String::new()),
    };
    let release = row.version.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let by_release = row.release.as_ref().map(|r| by(r.evidence)).unwrap_or_default();
    let options = |all: Vec<(String, String)>, chosen: &str| -> Vec<_> {
        let chosen = chosen.to_owned();
        all.into_iter()
            .map(|(value, text)| {
                let selected = value == chosen;
                view! { <option value=value selected=selected>{text}</option> }
            })
            .collect()
    };
    let same = |word: &String| (word.clone(), word.clone());
    let mut all_tiers: Vec<_> = tiers.iter().map(same).collect();
    all_tiers.insert(0, (String::new(), "choose…".to_owned()));
    let mut all_versions: Vec<_> = versions.iter().map(same).collect();
    all_versions.insert(0, ("unknown".to_owned(), "unknown".to_owned()));
    let wrong = row.problems.iter().any(|p| p.field == "tier").then_some("true");
    view! {
        <input type="hidden" name=name("stack") value=row.found.name.clone() />
        <div class="field-row">
            <div class="field"><label for=format!("r{i}-tier")>"Tier " <small class="muted">{by_tier}</small></label>
                <select id=format!("r{i}-tier") name=name("tier") aria-invalid=wrong>{options(all_tiers, &tier)}</select></div>
            <div class="field"><label for=format!("r{i}-release")>"Runs " <small class="muted">{by_release}</small></label>
                <select id=format!("r{i}-release") name=name("release")>{options(all_versions, &release)}</select></div>
            <label class="check import-leave"><input type="checkbox" name=name("leave_out") value="1" checked=edit.leave_out /><span>"Leave it out"</span></label>
        </div>
    }
}

fn by(evidence: Evidence) -> String {
    let text = match evidence {
        Evidence::Tag => "by a tag",
        Evidence::Parameter => "by its parameters",
        Evidence::Name => "by its name",
        Evidence::Table => "by the tables",
        Evidence::Person => "chosen by you",
        Evidence::Default => "where nothing says it",
    };
    text.to_owned()
}

fn tenants(i: usize, row: &Row, open: bool, tiers: &[String]) -> impl IntoView + use<> {
    let pool = row.kind == Some(StackKind::Pool);
    let editable = open || row.fate == Fate::Joins;
    let new = row.tenants.iter().filter(|t| !t.known);
    // What is to be corrected comes first, and what was written is never lost from the page.
    let (said, rest): (Vec<_>, Vec<_>) = new.partition(|t| !t.problems.is_empty() || t.edited);
    let shown: Vec<_> = said.iter().chain(rest.iter().take(TENANTS.saturating_sub(said.len()))).collect();
    let more = row.tenants.len() - shown.len();
    let lines: Vec<_> =
        shown.iter().enumerate().map(|(n, t)| tenant(i, n, t, pool.then_some(tiers))).collect();
    let stack = (row.fate == Fate::Joins).then(
        || view! { <input type="hidden" name=format!("rows[{i}][stack]") value=row.found.name.clone() /> },
    );
    let more = (more > 0).then(|| {
        let text = if shown.is_empty() { String::new() } else { "and ".to_owned() };
        view! { <p class="small muted">{format!("{text}{} as found", count(more as i64, "tenant"))}</p> }
    });
    let lines = (editable && !lines.is_empty()).then(|| view! { <div class="import-tenants">{lines}</div> });
    view! { {stack} {lines} {more} }
}

fn tenant(i: usize, n: usize, t: &FoundTenant, tiers: Option<&[String]>) -> impl IntoView + use<> {
    let name = |field: &str| format!("rows[{i}][tenants][{n}][{field}]");
    let id = |field: &str| format!("r{i}t{n}-{field}");
    let input = |field: &'static str, label: &'static str, value: &str| {
        let wrong = t.problems.iter().any(|p| p.field == field).then_some("true");
        view! {
            <div class="field"><label for=id(field)>{label}</label>
                <input id=id(field) name=name(field) value=value.to_owned() autocomplete="off" maxlength="254" aria-invalid=wrong /></div>
        }
    };
    let tier = tiers.map(|tiers| {
        let chosen = t.tier.clone();
        let options: Vec<_> = tiers
            .iter()
            .map(|key| view! { <option value=key.clone() selected=*key == chosen>{key.clone()}</option> })
            .collect();
        view! { <div class="field"><label for=id("tier")>"Tier"</label><select id=id("tier") name=name("tier")>{options}</select></div> }
    });
    let off =
        t.suspended.then(|| view! { <p class="small muted">"Switched off there: it comes suspended."</p> });
    let kept: Vec<_> = t.overrides.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let kept = (!kept.is_empty())
        .then(|| view! { <p class="small muted">{format!("Keeps its own {}.", kept.join(", "))}</p> });
    view! {
        <div class="import-tenant" role="group" aria-label=format!("Tenant {}", t.key)>
            <input type="hidden" name=name("key") value=t.key.clone() />
            <div class="field-row">
                {input("slug", "Short name", &t.slug)}
                {input("name", "Name", &t.name)}
                {input("email", "E-mail", &t.email)}
                {tier}
            </div>
            {problems(&id("p"), &t.problems)}
            {kept}
            {off}
        </div>
    }
}

fn problems(id: &str, all: &[Problem]) -> impl IntoView + use<> {
    let line = |p: &Problem| {
        let field = match p.field.as_str() {
            "slug" => "Short name",
            "email" => "E-mail",
            "stack" => "It",
            other => other,
        };
        view! { <p class="field-error">{capital(&format!("{field} {}", p.message))}</p> }
    };
    let lines: Vec<_> = all.iter().map(line).collect();
    (!lines.is_empty()).then(|| view! { <div id=format!("{id}-e")>{lines}</div> })
}

/// What the first update would change.
fn differs(row: &Row) -> impl IntoView + use<> {
    if row.differs.is_empty() {
        return None;
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let lines: Vec<_> = row
        .differs
        .iter()
        .map(|d| {
            view! { <tr><th scope="row">{d.parameter.clone()}</th><td data-label="Has">{text(&d.is)}</td><td data-label="Would get">{text(&d.will)}</td></tr> }
        })
        .collect();
    let to = row.compared.as_ref().or(row.version.as_ref()).map(|v| format!(" to {v}")).unwrap_or_default();
    let title = format!("An update{to} changes {}", count(row.differs.len() as i64, "parameter"));
    Some(view! {
        <details class="disclosure"><summary>{title.clone()}</summary>
            <div class="table-wrap"><table class="table"><caption class="visually-hidden">{title}</caption>
                <thead><tr><th scope="col">"Parameter"</th><th scope="col">"Has"</th><th scope="col">"Would get"</th></tr></thead>
                <tbody>{lines}</tbody></table></div>
        </details>
    })
}
