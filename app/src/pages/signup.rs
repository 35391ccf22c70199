//! Customers sign up: plans, a short form, and a page that shows how far it is. No WebAssembly, no account words; a
//! script of a few hundred bytes checks the address and watches the progress, and everything works without it.

use crate::parts::{Field, Pkg, icon};
use crate::session::{Ui, Visitor, answer, take_flash};
use crate::shell::{Frame, render};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{Error, Offer, Progress, Service, SignupForm};

/// What customers know the product by.
const BRAND: &str = "Orders";
pub const FRAME: Frame = Frame::Public { body: "public", refresh: false };

pub async fn form(State(ui): State<Ui>, visitor: Visitor) -> Response {
    let offers = match ui.service.offers().await {
        Ok(offers) => offers,
        Err(error) => return sorry(&ui, &error).await,
    };
    let flash = take_flash(&visitor.session).await;
    let again = flash.clone();
    render(&ui, StatusCode::OK, FRAME, titled("Sign up"), flash, move || {
        let chosen = again.value("plan", offers.first().map_or("", |o| &o.key));
        let plans: Vec<_> = offers.iter().map(|o| plan(o, &chosen)).collect();
        let mut regions: Vec<String> = offers.iter().flat_map(|o| o.regions.clone()).collect();
        regions.sort();
        regions.dedup();
        let one = regions.len() < 2;
        let options: Vec<_> = std::iter::once((String::new(), "The plan's usual one".to_owned())).chain(regions.into_iter().map(|r| (r.clone(), r))).collect();
        let problem = again.problem("plan");
        let content = if offers.is_empty() {
            view! { <div class="empty">{icon("lock")}<h1>"Sign-up is closed"</h1><p>"There is no plan to choose at the moment. Please come back later."</p></div> }.into_any()
        } else {
            view! {
                <form class="form" method="post" action="/do/sign_up">
                    <h1>"Create your workspace"</h1>
                    <fieldset class="choice-cards" aria-describedby=problem.is_some().then_some("plan-e")><legend>"Plan"</legend>{plans}</fieldset>
                    {problem.map(|text| crate::parts::field_error("plan", &text))}
                    {Field::new(&again, "organisation", "Organisation").required().most(80).complete("organization").view()}
                    <div class="stack stack-tight">
                        {Field::new(&again, "slug", "Short name").hint("It becomes your address: letters, digits and hyphens. We make it from your organisation if you leave it empty.").most(40).complete("off").view()}
                        <output class="hint" id="address" for="slug organisation"></output>
                    </div>
                    {Field::new(&again, "email", "E-mail").hint("We send a link there that confirms it.").kind("email").required().most(254).complete("email").view()}
                    {(!one).then(|| crate::parts::select(&again, "region", "Region", options, ""))}
                    <div class="form-actions"><button class="btn btn-primary btn-large" type="submit">"Sign up"</button></div>
                </form>
            }
            .into_any()
        };
        view! { {head()} <main class="public-main public-main-wide" id="main">{content}</main> {script()} }
    })
    .await
}

/// A title under the customers' brand.
pub fn titled(title: &str) -> String {
    format!("{title} · {BRAND}")
}

pub fn head() -> impl IntoView {
    view! { <header class="public-head"><a class="brand" href="/signup">{icon("tidegate")} {BRAND}</a></header> }
}

/// The small script of these pages.
fn script() -> impl IntoView {
    let pkg = use_context::<Pkg>().map(|p| p.0).unwrap_or_default();
    view! { <script src=format!("{pkg}/signup.js") defer></script> }
}

/// A page for a customer for whom something did not work; it leads to where customers begin.
pub async fn sorry(ui: &Ui, error: &Error) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (title, text) = match error {
        Error::NotFound(reason) => ("This link does not lead anywhere", reason.sentence.clone()),
        _ => (
            "That did not work",
            "Something went wrong on our side. Please try again in a moment.".to_owned(),
        ),
    };
    render(ui, status, FRAME, titled(title), Default::default(), move || {
        view! {
            {head()}
            <main class="public-main" id="main"><div class="empty">{icon("warning")}<h1>{title}</h1><p>{text.clone()}</p>
                <div class="actions"><a class="btn" href="/signup">"Go to sign-up"</a></div></div></main>
        }
    })
    .await
}

/// What the form asks while a person types.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    slug: String,
    organisation: String,
}

/// The address that they would get.
#[derive(Serialize)]
struct Wished {
    slug: String,
    free: bool,
    text: String,
}

pub async fn address(State(ui): State<Ui>, Query(wish): Query<Wish>) -> Response {
    if wish.slug.trim().is_empty() && wish.organisation.trim().is_empty() {
        return Json(Wished { slug: String::new(), free: true, text: String::new() }).into_response();
    }
    let answer = match ui.service.check_slug(&wish.slug, &wish.organisation).await {
        Ok(slug) => {
            let url = ui.service.tenant_url(slug.as_str());
            let text = format!(
                "Your address will be {}",
                url.trim_start_matches("https://").trim_start_matches("http://")
            );
            Wished { slug: slug.to_string(), free: true, text }
        }
        Err(Error::Invalid(invalid)) => {
            let text =
                invalid.problems.first().map(|p| crate::parts::capital(&p.message)).unwrap_or_default();
            Wished { slug: String::new(), free: false, text }
        }
        Err(error) => return crate::session::failure(&error),
    };
    Json(answer).into_response()
}

fn plan(o: &Offer, chosen: &str) -> impl IntoView + use<> {
    let when = if o.needs_acceptance {
        "We look at each request first"
    } else if o.instant {
        "Ready at once"
    } else {
        "Ready in about a minute"
    };
    view! {
        <label class="choice-card">
            <input type="radio" name="form[plan]" value=o.key.clone() checked=o.key == chosen />
            <span class="choice-title">{o.name.clone()}</span>
            <span class="choice-price">{o.price.clone()}</span>
            <span class="choice-text">{o.description.clone()}</span>
            <ul class="choice-list"><li>{when}</li></ul>
        </label>
    }
}

pub async fn sent(State(ui): State<Ui>, visitor: Visitor) -> Response {
    let flash = take_flash(&visitor.session).await;
    render(&ui, StatusCode::OK, FRAME, titled("Check your mail"), flash, move || {
        view! {
            {head()}
            <main class="public-main" id="main"><div class="empty">{icon("mail")}<h1>"Check your mail"</h1>
                <p>"We sent you a link. Open it to confirm your address, and we go on from there."</p>
                <p>"Nothing came? Look into your spam folder, or "<a href="/signup">"sign up again"</a>" with the same words to get a new link."</p></div></main>
        }
    })
    .await
}

pub async fn welcome(State(ui): State<Ui>, visitor: Visitor, Path(token): Path<String>) -> Response {
    let progress = match ui.service.welcome(&token).await {
        Ok(progress) => progress,
        Err(error) => return sorry(&ui, &error).await,
    };
    let flash = take_flash(&visitor.session).await;
    let title = titled(&progress.organisation);
    render(&ui, StatusCode::OK, FRAME, title, flash, move || {
        // While something runs the script looks again; without it there is a link.
        let runs = progress.state == "provisioning";
        view! {
            {head()}
            <main class="public-main" id="main"><div id="progress" aria-live="polite" data-watch=runs.then_some("")>{body(&progress, &token)}</div></main>
            {script()}
        }
    })
    .await
}

fn body(progress: &Progress, token: &str) -> impl IntoView + use<> {
    let steps: Vec<_> = progress
        .steps
        .iter()
        .map(|s| {
            let (state, current) = crate::parts::step(&s.state);
            view! { <li data-state=state aria-current=current><h2>{s.label.clone()}</h2><p>{s.detail.clone()}</p></li> }
        })
        .collect();
    let name = &progress.organisation;
    let (title, text) = match progress.state.as_str() {
        "unconfirmed" => (
            "One click to go",
            format!(
                "Please confirm that {} is your address, and that you want {name} on the plan {}.",
                progress.email, progress.plan
            ),
        ),
        "ready" => (
            "Your workspace is ready",
            match &progress.sign_in {
                Some(email) => format!(
                    "{name} can be used from now on. Sign in there as {email}: your first password is in a message of its own. We sent you the address too."
                ),
                None => format!("{name} can be used from now on. We sent you its address too."),
            },
        ),
        "failed" => (
            "This takes longer than usual",
            format!(
                "Something got in the way of {name}. We have been told and are looking into it; there is nothing that you need to do."
            ),
        ),
        "waiting" => (
            "Thank you",
            format!("We look at your request for {name} and write to you. You can close this page."),
        ),
        "declined" => (
            "We cannot offer you this plan",
            "Please write to us if you think that this is a mistake.".to_owned(),
        ),
        "suspended" => (
            "Your workspace is paused",
            format!(
                "{name} is not served at the moment. Nothing is lost. Please write to us if you did not expect this."
            ),
        ),
        "closed" => (
            "Your workspace was closed",
            format!("{name} is not served any more. You are welcome to sign up again."),
        ),
        _ => (
            "Your workspace is being built",
            format!("{name} is on its way. You can leave this page and come back by the link in your mail."),
        ),
    };
    let confirm = (progress.state == "unconfirmed").then(|| {
        view! {
            <form method="post" action="/do/confirm_signup">
                <input type="hidden" name="token" value=token.to_owned() />
                <p><button class="btn btn-primary btn-large" type="submit">"Confirm and go on"</button></p>
            </form>
        }
    });
    let open = progress.url.clone().map(|url| {
        let shown =
            url.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/').to_owned();
        view! { <p><a class="btn btn-primary btn-large" href=url>"Open " {shown}</a></p> }
    });
    let portal = (progress.state == "ready")
        .then(|| view! { <p class="small"><a href=format!("/portal/{token}")>"Your plan, and when you are updated"</a></p> });
    let again = (progress.state == "provisioning")
        .then(|| view! { <p class="small"><a href=format!("/welcome/{token}")>"Look again"</a></p> });
    let anew = (progress.state == "closed")
        .then(|| view! { <p><a class="btn" href="/signup">"Sign up again"</a></p> });
    view! {
        <h1>{title}</h1><p class="lede">{text}</p>
        <div class="stack">{confirm}{open}{anew}
            {(!steps.is_empty()).then(|| view! { <ol class="steps">{steps}</ol> })}
            {portal}{again}</div>
    }
}

/// Takes a registration.
#[server(prefix = "/do", endpoint = "sign_up")]
pub async fn sign_up(form: SignupForm) -> Result<(), ServerFnError> {
    let service = expect_context::<Service>();
    let result = service.sign_up(&form).await.map(|_| ("/signup/sent".to_owned(), None));
    answer(result, &form).await
}

/// Confirms the address behind a link: by a button, because programs that read mail open links too.
#[server(prefix = "/do", endpoint = "confirm_signup")]
pub async fn confirm_signup(token: String) -> Result<(), ServerFnError> {
    let service = expect_context::<Service>();
    let to = format!("/welcome/{}", crate::parts::encoded(&token));
    let result = service.confirm_signup(&token).await.map(|()| (to, None));
    answer(result, &()).await
}
