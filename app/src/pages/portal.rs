//! The portal of a tenant: how its workspace is, and when it may be updated. No WebAssembly; the link is the key.

use super::signup::{FRAME, head, sorry, titled};
use crate::parts::{Field, capital, field_error, icon, post, sentence_case, time};
use crate::session::{Flash, Ui, Visitor, answer, take_flash};
use crate::shell::render;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::tenant::TenantState;
use domain::window::Zone;
use http::StatusCode;
use leptos::prelude::*;
use service::{OwnWindowForm, OwnWindowState, Portal, Service, WEEKDAYS};

pub async fn show(State(ui): State<Ui>, visitor: Visitor, Path(token): Path<String>) -> Response {
    let portal = match ui.service.portal(&token).await {
        Ok(portal) => portal,
        Err(error) => return sorry(&ui, &error).await,
    };
    let flash = take_flash(&visitor.session).await;
    let again = flash.clone();
    let title = titled(portal.tenant.name.as_str());
    render(&ui, StatusCode::OK, FRAME, title, flash, move || {
        view! { {head()} <main class="public-main public-main-wide" id="main">{body(&portal, &token, &again)}</main> }
    })
    .await
}

fn body(portal: &Portal, token: &str, flash: &Flash) -> impl IntoView + use<> {
    let t = &portal.tenant;
    let address = if t.state == TenantState::Active {
        view! { <a href=portal.url.clone()>{portal.url.clone()}</a> }.into_any()
    } else {
        portal.url.clone().into_any()
    };
    view! {
        <header class="page-head"><h1>{t.name.to_string()}</h1></header>
        <dl class="facts">
            <div><dt>"Plan"</dt><dd>{portal.plan.clone()}</dd></div>
            <div><dt>"State"</dt><dd>{sentence_case(t.state.word())}</dd></div>
            <div><dt>"Address"</dt><dd>{address}</dd></div>
            <div><dt>"Region"</dt><dd>{t.region.to_string()}</dd></div>
        </dl>
        {window(&portal.window, token, flash)}
    }
}

fn window(state: &OwnWindowState, token: &str, flash: &Flash) -> AnyView {
    let give_up = state.chosen.as_ref().map(|_| {
        post("give_up_window", "Leave the time to us", "btn btn-quiet", &[("token", token.to_owned())])
    });
    if let Some(reason) = &state.obstacle {
        return view! {
            <section class="section"><header class="section-head"><h2>"When you are updated"</h2>{give_up}</header>
                <p>{capital(&reason.sentence)} "."</p>{state.chosen.as_ref().map(|_| chosen(state, false))}</section>
        }
        .into_any();
    }
    view! {
        <section class="section"><header class="section-head"><h2>"When you are updated"</h2>{give_up}</header>
            {chosen(state, false)}
            <form class="form" method="post" action="/do/choose_window">
                <input type="hidden" name="token" value=token.to_owned() />
                {fields(flash, state)}
                <div class="form-actions"><button class="btn btn-primary" type="submit">"Save"</button></div>
            </form>
        </section>
    }
    .into_any()
}

/// What a tenant has chosen, and when that is next. Who chose it is told to colleagues alone.
fn chosen(state: &OwnWindowState, colleague: bool) -> AnyView {
    let Some(own) = &state.chosen else {
        return view! { <p class="muted">"No time of its own is chosen: updates come when they are due."</p> }.into_any();
    };
    let next: Vec<_> =
        own.next.iter().map(|(from, to)| view! { <li>{from.clone()} " to " {to.clone()}</li> }).collect();
    let by = colleague.then(|| {
        view! { <small class="muted">"Chosen by " {own.saved_by.clone()} " " {time(own.saved_at)} " UTC"</small> }
    });
    let next = (!next.is_empty())
        .then(|| view! { <p class="small muted">"The next times:"</p><ul class="name-list">{next}</ul> });
    let outside =
        own.outside.as_ref().map(|says| view! { <p class="alert alert-warning">{says.clone()} "."</p> });
    view! {
        <p class="row">{icon("windows")} <span>{capital(&own.words)} "."</span> {by}</p>
        {outside}
        {next}
    }
    .into_any()
}

/// The choices: weekdays, a time, how long.
fn fields(flash: &Flash, state: &OwnWindowState) -> AnyView {
    let saved = state.chosen.as_ref().map(|own| own.form.clone()).unwrap_or_default();
    let written = flash.values.contains_key("at");
    let days: Vec<String> = if written {
        flash.value("days", "").split(',').map(str::to_owned).collect()
    } else {
        saved.days.clone()
    };
    let problem = flash.problem("days");
    let described_by = problem.is_some().then_some("days-e");
    let boxes: Vec<_> = WEEKDAYS
        .iter()
        .map(|(word, name)| {
            let on = days.iter().any(|day| day == word);
            view! { <label class="check"><input type="checkbox" name="form[days][]" value=*word checked=on /><span>{*name}</span></label> }
        })
        .collect();
    let limits = state.limits.map(|limits| {
        view! { <p class="hint">{format!("Your plan needs {}.", limits.words())}</p> }
    });
    let zones: Vec<_> = Zone::all().into_iter().map(|zone| view! { <option value=zone></option> }).collect();
    let zone = flash.problem("zone");
    view! {
        {limits}
        <fieldset class="plain" aria-describedby=described_by><legend>"Weekdays"</legend><div class="weekdays">{boxes}</div>
            {problem.map(|text| field_error("days", &text))}</fieldset>
        <div class="field-row">
            {Field::new(flash, "at", "From").value(&saved.at).kind("time").required().view()}
            {Field::new(flash, "length", "For").hint("Like 4 h.").value(&saved.length).required().most(20).complete("off").view()}
            <div class="field"><label for="zone">"Time zone"</label>
                <p class="hint" id="zone-h">"Like Europe/Berlin; UTC if left empty."</p>
                <input id="zone" name="form[zone]" list="zones" value=flash.value("zone", &saved.zone) maxlength="60" autocomplete="off"
                    aria-describedby=crate::parts::described("zone", true, zone.is_some()) aria-invalid=zone.is_some().then_some("true") />
                <datalist id="zones">{zones}</datalist>
                {zone.map(|text| field_error("zone", &text))}</div>
        </div>
    }
    .into_any()
}

/// Chooses when the tenant behind a link may be updated.
#[server(prefix = "/do", endpoint = "choose_window")]
pub async fn choose_window(token: String, form: OwnWindowForm) -> Result<(), ServerFnError> {
    let service = expect_context::<Service>();
    let to = format!("/portal/{}", crate::parts::encoded(&token));
    let result = service.choose_window(&token, &form).await;
    answer(result.map(|()| (to, Some("Saved.".to_owned()))), &form).await
}

/// Gives the tenant's own time up.
#[server(prefix = "/do", endpoint = "give_up_window")]
pub async fn give_up_window(token: String) -> Result<(), ServerFnError> {
    let service = expect_context::<Service>();
    let to = format!("/portal/{}", crate::parts::encoded(&token));
    let result = service.give_up_window(&token).await;
    answer(result.map(|()| (to, Some("We choose the time again.".to_owned()))), &()).await
}

/// The section of a tenant's page in the console.
pub fn section(id: &domain::TenantId, state: &OwnWindowState, flash: &Flash, may: bool) -> AnyView {
    let notes = if flash.values.contains_key("at") { flash.clone() } else { Flash::default() };
    let send = may.then(|| {
        post("send_portal_link", "Send the portal link", "btn btn-small", &[("id", id.to_string())])
    });
    let clear = state
        .chosen
        .as_ref()
        .filter(|_| may)
        .map(|_| post("clear_tenant_window", "Take it away", "btn btn-small", &[("id", id.to_string())]));
    let content = match &state.obstacle {
        Some(reason) => {
            let held = state.chosen.as_ref().map(|_| chosen(state, true));
            view! { <p class="muted">{capital(&reason.sentence)} "."</p>{held}{clear} }.into_any()
        }
        None => {
            let form = may.then(|| {
                view! {
                    <details class="disclosure" open=!notes.problems.is_empty()><summary>"Choose it for the tenant"</summary>
                        <form class="form" method="post" action="/do/set_tenant_window">
                            <input type="hidden" name="id" value=id.to_string() />
                            {fields(&notes, state)}
                            <div class="actions"><button class="btn btn-primary" type="submit">"Save"</button></div>
                        </form>{clear}</details>
                }
            });
            view! { {chosen(state, true)} {form} }.into_any()
        }
    };
    let closed = state.closed.as_ref().map(|closed| {
        let until = match closed.until {
            Some(at) => view! { "Closed until " {time(at)} " UTC: " }.into_any(),
            None => "Closed: ".into_any(),
        };
        view! { <p class="alert alert-warning">{until}{closed.reason.sentence.clone()} "."</p> }
    });
    view! {
        <section class="section" id="own-window"><header class="section-head"><h2>"When it may be changed"</h2>{send}</header>{closed}{content}</section>
    }
    .into_any()
}

/// Sends a tenant the link to its portal.
#[server(prefix = "/do", endpoint = "send_portal_link")]
pub async fn send_portal_link(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = crate::session::actor().await?;
        let tenant = super::id(&id, "the tenant")?;
        let ends = service.send_portal_link(&actor, tenant).await?;
        let done = format!("The link is on its way by mail; it leads there until {} UTC.", ends.human());
        Ok((format!("/tenants/{tenant}"), Some(done)))
    };
    answer(doing.await, &()).await
}

/// Chooses a tenant's window on its behalf.
#[server(prefix = "/do", endpoint = "set_tenant_window")]
pub async fn set_tenant_window(id: String, form: OwnWindowForm) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = crate::session::actor().await?;
        let tenant = super::id(&id, "the tenant")?;
        service.set_tenant_window(&actor, tenant, &form).await?;
        Ok((format!("/tenants/{tenant}"), Some("Saved.".to_owned())))
    };
    answer(doing.await, &form).await
}

/// Takes a tenant's window away.
#[server(prefix = "/do", endpoint = "clear_tenant_window")]
pub async fn clear_tenant_window(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = crate::session::actor().await?;
        let tenant = super::id(&id, "the tenant")?;
        service.clear_tenant_window(&actor, tenant).await?;
        Ok((format!("/tenants/{tenant}"), Some("It is updated when that is due, as others are.".to_owned())))
    };
    answer(doing.await, &()).await
}
