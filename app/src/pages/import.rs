//! Importing stacks that other tools made: which ones, what was inferred of them, and one button that saves what is
//! shown. Every step is a plain form.

use super::import_rows::rows;
use super::page;
use crate::parts::{Field, count, field_error, select, sentence_of};
use crate::session::{Flash, Member, Ui, tell};
use crate::shell::{Frame, render};
use axum::extract::{RawForm, State};
use axum::response::{IntoResponse, Redirect, Response};
use domain::Invalid;
use domain::access::Permission;
use domain::import::{ImportPlan, RowEdit, TenantEdit};
use domain::release::DriverKind;
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;
use service::{Error, ImportForm, ImportSource, Imported, TargetCard, TierCard};
use std::collections::HashMap;

/// A fleet of a thousand stacks, with what was shown of each, in bytes.
pub const LARGEST: usize = 16 << 20;

/// What the page posts to itself.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Posted {
    /// `show` or `save`.
    act: String,
    /// The hash of the plan that was shown.
    shown: String,
    form: Fields,
    rows: Vec<PostedRow>,
    /// What the rows showed, and what was written before: JSON, so that what was only shown is not taken for written.
    as_shown: String,
    as_written: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fields {
    target: String,
    source: String,
    pattern: String,
    tags: String,
    mapping: String,
    details: String,
    settings: String,
    tier: String,
    plans: String,
    email: String,
    region: String,
    keep: String,
    skip: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PostedRow {
    stack: String,
    leave_out: String,
    tier: String,
    release: String,
    tenants: Vec<TenantEdit>,
}

impl Posted {
    fn read(body: &[u8]) -> Option<Self> {
        serde_qs::Config::new(6, false).deserialize_bytes(body).ok()
    }

    fn form(self) -> ImportForm {
        let row = |row: PostedRow| RowEdit {
            stack: row.stack,
            leave_out: !row.leave_out.is_empty(),
            tier: row.tier,
            release: row.release,
            tenants: row.tenants,
        };
        let rows = self.rows.into_iter().map(row).collect();
        let f = self.form;
        ImportForm {
            target: f.target,
            source: if f.source == "tables" { ImportSource::Tables } else { ImportSource::Stacks },
            pattern: f.pattern,
            tags: f.tags,
            mapping: f.mapping,
            details: f.details,
            settings: f.settings,
            tier: f.tier,
            plans: f.plans,
            email: f.email,
            region: f.region,
            keep: !f.keep.is_empty(),
            skip: !f.skip.is_empty(),
            rows: written(rows, &self.as_shown, &self.as_written),
        }
    }
}

fn written(posted: Vec<RowEdit>, shown: &str, before: &str) -> Vec<RowEdit> {
    let read = |json: &str| serde_json::from_str::<Vec<RowEdit>>(json).unwrap_or_default();
    let (shown, before) = (read(shown), read(before));
    let of = |all: &[RowEdit], stack: &str| all.iter().find(|row| row.stack == stack).cloned();
    let one = |row: RowEdit| {
        let shown = of(&shown, &row.stack).unwrap_or_default();
        let before = of(&before, &row.stack).unwrap_or_default();
        row.written(&shown, &before)
    };
    posted.into_iter().map(one).collect()
}

pub async fn show(State(ui): State<Ui>, member: Member) -> Response {
    let flash = member.flash().await;
    let form = ImportForm { pattern: "stack-{tenant}".to_owned(), ..ImportForm::default() };
    draw(ui, member, form, None, flash).await
}

/// The page again with what was inferred, or on to the tenants once it is saved.
pub async fn again(State(ui): State<Ui>, member: Member, RawForm(body): RawForm) -> Response {
    let Some(posted) = Posted::read(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let (save, shown) = (posted.act == "save", posted.shown.clone());
    let form = posted.form();
    let mut flash = Flash::default();
    if save {
        match ui.service.import(&member.actor, &form, &shown).await {
            Ok(done) => {
                tell(&member.session, Flash { done: Some(told(&done)), ..Flash::default() }).await;
                return Redirect::to("/tenants").into_response();
            }
            Err(Error::Invalid(_)) => {
                let text =
                    "Some stacks cannot be imported as they are. Correct what is marked, or leave them out.";
                flash.failed = Some(text.to_owned());
            }
            Err(error) => flash.failed = Some(sentence_of(&error)),
        }
    }
    match ui.service.preview_import(&member.actor, &form).await {
        Ok(plan) => draw(ui, member, form, Some(plan), flash).await,
        Err(error) => {
            flash.failed = Some(sentence_of(&error));
            if let Error::Invalid(Invalid { problems }) = &error {
                flash.problems = problems.iter().map(|p| (p.field.clone(), p.message.clone())).collect();
            }
            draw(ui, member, form, None, flash).await
        }
    }
}

fn told(done: &Imported) -> String {
    let known = count(done.unchanged as i64, "stack");
    if done.stacks + done.tenants == 0 {
        return format!(
            "Nothing changed: {known} of this import are on record already, with all their tenants."
        );
    }
    let what = format!("{} and {}", count(done.stacks as i64, "stack"), count(done.tenants as i64, "tenant"));
    let unproved = match done.unproved {
        0 => String::new(),
        n => format!(
            " Of {} it is not proved what they run: they are on the catch-up list.",
            count(n as i64, "stack")
        ),
    };
    let before = if done.unchanged > 0 { format!(" {known} were on record before.") } else { String::new() };
    format!("Imported {what}. Nothing was changed at the provider.{unproved}{before}")
}

async fn draw(ui: Ui, member: Member, form: ImportForm, plan: Option<ImportPlan>, flash: Flash) -> Response {
    let frame = Frame::Console {
        user: member.user.clone(),
        current: "/settings",
        seen: member.seen,
        wide: plan.is_some(),
    };
    page!(ui, frame, member.actor.require(Permission::Settings).map_err(Error::from));
    let mut targets = page!(ui, frame, ui.service.targets(&member.actor));
    targets.retain(|card| card.target.driver == DriverKind::Cloudformation);
    let tiers = page!(ui, frame, ui.service.tiers(&member.actor).await);
    let (releases, _) = page!(ui, frame, ui.service.releases(&member.actor).await);
    let versions: Vec<String> = releases.iter().map(|r| r.version.to_string()).collect();
    let keys: Vec<String> = tiers.iter().map(|t| t.tier.key.to_string()).collect();
    let (notes, refused) = (flash.clone(), flash.failed.is_some());
    render(&ui, StatusCode::OK, frame, "Import stacks", flash, move || {
        let body = if targets.is_empty() {
            nowhere().into_any()
        } else if tiers.is_empty() {
            view! { <div class="empty"><h2>"No tiers yet"</h2><p>"A stack is imported into a tier. Make the tiers first, and register the release that the fleet runs."</p><div class="actions"><a class="btn btn-primary" href="/tiers/new">"New tier"</a></div></div> }.into_any()
        } else {
            view! {
                <form class="form form-wide" id="import" method="post" action="/settings/import">
                    // The Enter key shows, and never saves.
                    <button class="visually-hidden" name="act" value="show" tabindex="-1" aria-hidden="true">"Show"</button>
                    {sources(&notes, &form, &targets, &tiers, plan.is_none() || refused)}
                    {plan.as_ref().map(|plan| shown(plan, &form, &keys, &versions))}
                </form>
            }
            .into_any()
        };
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/settings">"Settings"</a></li><li aria-current="page">"Import stacks"</li></ol></nav>
            <header class="page-head"><div><h1>"Import stacks"</h1><p class="lede">"What other tools made comes on record as it is. Nothing is changed there, and no customer is written to."</p></div></header>
            {body}
        }
    })
    .await
}

fn nowhere() -> impl IntoView {
    view! {
        <div class="empty"><h2>"No target of CloudFormation"</h2>
            <p>"Name the account and region where the stacks are in the set-up file, and start the server with it."</p></div>
    }
}

/// Which stacks, and what a person knows of all of them.
fn sources(
    flash: &Flash,
    form: &ImportForm,
    targets: &[TargetCard],
    tiers: &[TierCard],
    open: bool,
) -> impl IntoView + use<> {
    // Field by field what was written; problems come with it.
    let flash = &Flash { values: HashMap::new(), ..flash.clone() };
    let places =
        targets.iter().map(|t| (t.target.to_string(), format!("{} · {}", t.target, t.place))).collect();
    let mut defaults = vec![(String::new(), "none: ask for each".to_owned())];
    defaults.extend(tiers.iter().map(|t| (t.tier.key.to_string(), t.tier.spec.name.to_string())));
    let tables = form.source == ImportSource::Tables;
    let radio = |value: &'static str, on: bool, label: &'static str, hint: &'static str| {
        view! { <label class="check"><input type="radio" name="form[source]" value=value checked=on /><span>{label} " " <small class="muted">{hint}</small></span></label> }
    };
    let check = |name: &'static str, on: bool, label: &'static str| {
        view! { <label class="check"><input type="checkbox" name=format!("form[{name}]") value="1" checked=on /><span>{label}</span></label> }
    };
    let source = flash.problem("source").map(|text| field_error("source", &text));
    view! {
        <details class="disclosure import-source" open=open><summary>"Which stacks"</summary>
            <div class="form form-wide">
            <div class="field-row">
                {select(flash, "target", "Where they are", places, &form.target)}
                {select(flash, "tier", "Tier where nothing says it", defaults, &form.tier)}
            </div>
            <fieldset class="field"><legend>"Who their tenants are is read from"</legend>
                {radio("stacks", !tables, "the stacks themselves", "names, tags and parameters")}
                {radio("tables", tables, "the tables of the serverless reference design", "which name the stacks")}
                {source}
            </fieldset>
            <div class="field-row by-stacks">
                {Field::new(flash, "pattern", "Names").hint("* is anything, {tenant} what the tenant is called.").value(&form.pattern).most(128).complete("off").view()}
                {Field::new(flash, "tags", "Tags").hint("All of them, like app=books, env=prod.").value(&form.tags).most(1000).complete("off").view()}
            </div>
            <div class="field-row by-tables">
                {Field::new(flash, "mapping", "Table of tenants and stacks").value(&form.mapping).most(255).complete("off").view()}
                {Field::new(flash, "details", "Table of tenants").value(&form.details).most(255).complete("off").view()}
                {Field::new(flash, "settings", "Table of settings").value(&form.settings).most(255).complete("off").view()}
            </div>
            <div class="field-row">
                {Field::new(flash, "plans", "Your tiers for their plans").hint("Like Platinum=enterprise.").value(&form.plans).most(1000).complete("off").view()}
                {Field::new(flash, "email", "E-mail where nothing says it").hint("Like ops+{tenant}@example.com.").value(&form.email).most(254).complete("off").view()}
                {Field::new(flash, "region", "Region").hint("Empty: the one of the tier that fits.").value(&form.region).most(32).complete("off").view()}
            </div>
            {check("keep", form.keep, "Dedicated stacks keep their own values of the tier's parameters, as overrides of their tenants")}
            {check("skip", form.skip, "Leave out every stack that cannot be imported as it is")}
            <div class="form-actions"><button class="btn btn-primary" type="submit" name="act" value="show">"Show what is found"</button></div>
            </div>
        </details>
    }
}

/// What was inferred, and the button that saves it.
fn shown(
    plan: &ImportPlan,
    form: &ImportForm,
    tiers: &[String],
    versions: &[String],
) -> impl IntoView + use<> {
    let (stacks, tenants) = plan.counts();
    let hindered = plan.hindered().count();
    let unproved =
        plan.rows.iter().filter(|r| r.fate == domain::import::Fate::New && r.actual.is_none()).count();
    let what = format!("{} and {}", count(stacks as i64, "stack"), count(tenants as i64, "tenant"));
    let nothing = !plan.rows.iter().any(domain::import::Row::is_taken);
    let sentence = match (plan.rows.len(), nothing) {
        (0, _) => "No stack there is meant by this. Look at the names and tags above.".to_owned(),
        (n, true) => format!(
            "{} found, and nothing to import: they are on record already, or left out.",
            count(n as i64, "stack")
        ),
        (_, false) if unproved > 0 => format!(
            "{what} would come on record. Of {} it is not proved what they run: they go on the catch-up list, and the next rollout updates them.",
            count(unproved as i64, "stack")
        ),
        (_, false) => format!("{what} would come on record, all of them proved."),
    };
    let notes: Vec<_> = plan.notes.iter().map(|note| view! { <li>{note.clone()}</li> }).collect();
    let notes = (!notes.is_empty()).then(|| view! { <div class="alert alert-info"><ul>{notes}</ul></div> });
    let trouble = (hindered > 0).then(|| {
        let n = count(hindered as i64, "stack");
        let text =
            format!("{n} cannot be imported yet: correct what is marked and check again, or leave out.");
        view! { <p class="alert alert-warning">{text}</p> }
    });
    let save = (!nothing && hindered == 0).then(|| {
        view! { <button class="btn btn-primary" type="submit" name="act" value="save">{format!("Import {what}")}</button> }
    });
    let json = |rows: &[RowEdit]| serde_json::to_string(rows).unwrap_or_default();
    let as_shown = json(&plan.rows.iter().map(RowEdit::shown).collect::<Vec<_>>());
    let as_written = json(&form.rows);
    let check = (!plan.rows.is_empty())
        .then(|| view! { <button class="btn" type="submit" name="act" value="show">"Check again"</button> });
    view! {
        <section class="section stack">
            <p class="live-sentence" role="status">{sentence}</p>
            <input type="hidden" name="shown" value=plan.hash.clone() />
            <input type="hidden" name="as_shown" value=as_shown />
            <input type="hidden" name="as_written" value=as_written />
            {notes}
            {trouble}
            {rows(plan, form, tiers, versions)}
            <div class="form-actions import-actions">{save}{check}<a class="btn btn-quiet" href="/settings">"Leave everything as it is"</a></div>
        </section>
    }
}
