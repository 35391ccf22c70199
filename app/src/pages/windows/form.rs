//! A window's form: plain choices, and the next times that they mean while a person types.

use super::{kind, next, standing, whom};
use crate::islands::Preview;
use crate::pages::{id, page};
use crate::parts::{Field, capital, count, described, field_error, post, select, sentence_of, time};
use crate::session::{Flash, Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Path, RawForm, State};
use axum::response::{Html, IntoResponse, Response};
use domain::access::Permission;
use domain::window::{WindowKind, Zone};
use domain::{Timestamp, WindowId};
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{Error, TierCard, WEEKDAYS, WindowChoices, WindowPreview};

/// The form of a new window, or of one that is saved.
pub async fn edit(State(ui): State<Ui>, member: Member, Path(text): Path<String>) -> Response {
    let frame = member.frame("/windows");
    let known = match text.as_str() {
        "new" => None,
        _ => {
            let window: WindowId = page!(ui, frame, id(&text, "the window"));
            let rows = page!(ui, frame, ui.service.windows(&member.actor).await);
            let row = rows.into_iter().find(|row| row.window.id == window);
            Some(page!(ui, frame, row.ok_or_else(|| Error::not_found("the window"))))
        }
    };
    let may = member.actor.may(Permission::Rollouts);
    if known.is_none() {
        page!(ui, frame, member.actor.require(Permission::Rollouts).map_err(Error::from));
    }
    let tiers = page!(ui, frame, ui.service.tiers(&member.actor).await);
    let flash = member.flash().await;
    let now = ui.service.now();
    let choices = again(&flash).unwrap_or_else(|| {
        known.as_ref().map_or_else(|| WindowChoices::fresh(now), |row| WindowChoices::of(&row.window.spec))
    });
    let seen = known.as_ref().map(|row| row.window.saved_at.0.to_string()).unwrap_or_default();
    let title =
        known.as_ref().map_or_else(|| "New window".to_owned(), |row| row.window.spec.name.to_string());
    let notes = flash.clone();
    render(&ui, StatusCode::OK, frame, title.clone(), flash, move || {
        let head = known.as_ref().map(|row| {
            let (shape, word) = standing(row, now);
            let text = format!("{} for {}", capital(&row.window.spec.words()), whom(&row.window.spec.scope).to_lowercase());
            view! { <p class="lede"><span class="state" data-state=shape>{word}</span> " " {text} ". " {next(row)}</p> }
        });
        let saved = known.as_ref().map(|row| {
            view! { <p class="small muted">"Saved by " {row.window.saved_by.clone()} " " {time(row.window.saved_at)} " UTC."</p> }
        });
        let buttons = may.then(|| {
            view! {
                <Preview form="window-form".to_owned() url="/windows/preview".to_owned() />
                <div class="form-actions"><button class="btn btn-primary" type="submit">"Save"</button><a class="btn btn-quiet" href="/windows">"Cancel"</a></div>
            }
        });
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/windows">"Windows"</a></li><li aria-current="page">{title.clone()}</li></ol></nav>
            <header class="page-head"><div><h1>{title.clone()}</h1>{head}</div></header>
            <form class="form window-form" id="window-form" method="post" action="/do/save_window">
                {known.as_ref().map(|row| view! { <input type="hidden" name="id" value=row.window.id.to_string() /> })}
                <input type="hidden" name="seen" value=seen.clone() />
                <fieldset class="plain" disabled=!may><legend class="visually-hidden">"Window"</legend>
                    {fields(&notes, &choices, &tiers)}
                </fieldset>
                {buttons}
            </form>
            {saved}
            {known.as_ref().filter(|_| may).map(|row| remove(&row.window.id))}
        }
    })
    .await
}

fn again(flash: &Flash) -> Option<WindowChoices> {
    flash.values.get("json").and_then(|text| serde_json::from_str(text).ok())
}

fn fields(flash: &Flash, c: &WindowChoices, tiers: &[TierCard]) -> impl IntoView + use<> {
    // What was written stands in the choices; what the flash knows of it is not one field each.
    let notes = Flash { problems: flash.problems.clone(), ..Flash::default() };
    let kinds = [
        ("freeze", "freeze: nothing starts inside of it"),
        ("maintenance", "maintenance window: things start only inside of it"),
    ];
    let repeats = [
        ("once", "once, from one time to another"),
        ("daily", "every day"),
        ("weekly", "on weekdays"),
        ("custom", "by a rule of my own"),
    ];
    let words = |all: &[(&str, &str)]| all.iter().map(|(w, t)| ((*w).to_owned(), (*t).to_owned())).collect();
    let states = words(&[("on", "on: it counts"), ("off", "off: it is kept and does not count")]);
    let mut scopes = vec![("everyone".to_owned(), "everyone".to_owned())];
    scopes.extend(
        tiers.iter().map(|t| (format!("tier:{}", t.tier.key), format!("the tier {}", t.tier.spec.name))),
    );
    let mut regions: Vec<_> =
        tiers.iter().flat_map(|t| t.tier.spec.regions.iter().map(ToString::to_string)).collect();
    regions.sort();
    regions.dedup();
    scopes.extend(regions.into_iter().map(|r| (format!("region:{r}"), format!("the region {r}"))));
    scopes.push(("tenant".to_owned(), "one tenant's own stack".to_owned()));
    if !scopes.iter().any(|(word, _)| *word == c.scope) {
        scopes.push((c.scope.clone(), c.scope.clone()));
    }
    let zones: Vec<_> = Zone::all().into_iter().map(|zone| view! { <option value=zone></option> }).collect();
    let zone = notes.problem("zone");
    view! {
        {Field::new(&notes, "name", "Name").hint("Reasons name it.").value(&c.name).required().most(80).complete("off").view()}
        {select(&notes, "kind", "What it does", words(&kinds), &c.kind)}
        <div class="field-row">
            {select(&notes, "scope", "For", scopes, &c.scope)}
            <div class="tenant-only">{Field::new(&notes, "tenant", "Tenant").hint("Its short name.").value(&c.tenant).most(40).complete("off").view()}</div>
        </div>
        {select(&notes, "repeats", "When", words(&repeats), &c.repeats)}
        <div class="weekly-only">{weekdays(&notes, c)}</div>
        <div class="custom-only">{Field::new(&notes, "rule", "Rule").hint("A recurrence rule of RFC 5545, like FREQ=MONTHLY;BYDAY=1SU for the first Sunday of each month.").value(&c.rule).most(500).complete("off").view()}</div>
        <div class="field-row">
            {Field::new(&notes, "begins", "Begins").hint("By the clock of its time zone; where it comes again, for the first time.").value(&c.begins).kind("datetime-local").required().view()}
            <div class="once-only">{Field::new(&notes, "ends", "Ends").value(&c.ends).kind("datetime-local").view()}</div>
            <div class="again-only">{Field::new(&notes, "length", "Lasts").hint("Like 4 h or 90 min.").value(&c.length).most(20).complete("off").view()}</div>
        </div>
        <div class="field"><label for="zone">"Time zone"</label>
            <input id="zone" name="form[zone]" list="zones" value=c.zone.clone() maxlength="60" autocomplete="off"
                aria-describedby=described("zone", true, zone.is_some()) aria-invalid=zone.is_some().then_some("true") />
            <p class="hint" id="zone-h">"Like Europe/Berlin; it follows summer time. UTC if left empty."</p>
            <datalist id="zones">{zones}</datalist>
            {zone.map(|text| field_error("zone", &text))}</div>
        {Field::new(&notes, "reason", "Reason").hint("For whoever has to wait.").value(&c.reason).required().most(500).complete("off").view()}
        <div class="field-row">
            {Field::new(&notes, "owner", "Whom to ask").hint("You, if left empty.").value(&c.owner).most(100).view()}
            {select(&notes, "state", "State", states, &c.state)}
        </div>
    }
}

fn weekdays(notes: &Flash, c: &WindowChoices) -> impl IntoView + use<> {
    let problem = notes.problem("days");
    let described_by = problem.is_some().then_some("days-e");
    let days: Vec<_> = WEEKDAYS
        .iter()
        .map(|(word, name)| {
            let on = c.days.iter().any(|day| day == word);
            view! { <label class="check"><input type="checkbox" name="form[days][]" value=*word checked=on /><span>{*name}</span></label> }
        })
        .collect();
    view! {
        <div class="field-row">
            <fieldset class="plain" aria-describedby=described_by><legend>"Weekdays"</legend><div class="weekdays">{days}</div>
                {problem.map(|text| field_error("days", &text))}</fieldset>
            {Field::new(notes, "weeks", "Every so many weeks").hint("Counted from the week in which it begins.").value(&c.weeks).kind("number").view()}
        </div>
    }
}

fn remove(id: &WindowId) -> impl IntoView + use<> {
    view! {
        <section class="danger-zone"><h2>"Danger zone"</h2><div class="danger-row"><div><h3>"Delete"</h3><p>"What waits for it goes on as the other windows say. To keep it for later, set it to off."</p></div>
            {post("delete_window", "Delete", "btn btn-danger", &[("id", id.to_string())])}</div></section>
    }
}

#[derive(Deserialize)]
struct Posted {
    form: WindowChoices,
}

/// The next times that the choices mean.
pub async fn preview(State(ui): State<Ui>, member: Member, RawForm(body): RawForm) -> Response {
    let Ok(posted) = serde_qs::Config::new(5, false).deserialize_bytes::<Posted>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let found = ui.service.preview_window_choices(&member.actor, &posted.form).await;
    let html = Owner::new().with(|| match found {
        Ok(found) => meaning(&found).to_html(),
        Err(error) => {
            let text = sentence_of(&error);
            view! { <output class="live-sentence" data-state="warning">{text}</output> }.to_html()
        }
    });
    Html(html).into_response()
}

fn meaning(found: &WindowPreview) -> impl IntoView + use<> {
    let spec = &found.spec;
    let verb = match spec.kind {
        WindowKind::Freeze => "Nothing starts on",
        WindowKind::Maintenance => "Outside of it nothing starts on",
    };
    let text =
        format!("{}, {}. {verb} {}.", kind(spec.kind), spec.words(), count(i64::from(found.stacks), "stack"));
    let spans: Vec<_> = found
        .spans
        .iter()
        .map(|(from, to)| view! { <li>{spec.zone.human(*from)} " to " {spec.zone.human(*to)}</li> })
        .collect();
    let spans = if spans.is_empty() {
        view! { <p class="muted small">"It does not come any more."</p> }.into_any()
    } else {
        let zone = format!("Its next times, by the clock of {}:", spec.zone);
        view! { <p class="small muted">{zone}</p><ol class="name-list">{spans}</ol> }.into_any()
    };
    view! { <output class="live-sentence" data-state="info">{text}</output> {spans} }
}

#[derive(Serialize)]
struct Written {
    json: String,
}

/// Saves a window.
#[server(prefix = "/do", endpoint = "save_window")]
pub async fn save_window(
    #[server(default)] id: Option<String>,
    #[server(default)] seen: String,
    form: WindowChoices,
) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let id: Option<WindowId> = id.as_deref().map(|id| crate::pages::id(id, "the window")).transpose()?;
        let seen = seen.parse().ok().map(Timestamp);
        let name = form.name.trim().to_owned();
        service.save_window_choices(&actor, id, &form, seen).await?;
        Ok(("/windows".to_owned(), Some(format!("“{name}” is saved."))))
    };
    answer(doing.await, &Written { json: serde_json::to_string(&form).unwrap_or_default() }).await
}

/// Takes a window away.
#[server(prefix = "/do", endpoint = "delete_window")]
pub async fn delete_window(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.delete_window(&actor, crate::pages::id(&id, "the window")?).await?;
        Ok(("/windows".to_owned(), Some("Deleted.".to_owned())))
    };
    answer(doing.await, &()).await
}
