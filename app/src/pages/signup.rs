//! Customers sign up: plans, a short form, and a page that shows how far it is. No scripts, no account words.

use crate::parts::icon;
use crate::session::{Ui, Visitor, answer, take_flash};
use crate::shell::{Frame, render, render_error};
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;
use service::{Offer, Progress, Service, SignupForm};

const FRAME: Frame = Frame::Public { body: "public", refresh: false };

pub async fn form(State(ui): State<Ui>, visitor: Visitor) -> Response {
    let offers = match ui.service.offers().await {
        Ok(offers) => offers,
        Err(error) => return render_error(&ui, FRAME, error).await,
    };
    let flash = take_flash(&visitor.session).await;
    let again = flash.clone();
    render(&ui, StatusCode::OK, FRAME, "Sign up", flash, move || {
        let chosen = again.value("plan", offers.first().map_or("", |o| &o.key));
        let plans: Vec<_> = offers.iter().map(|o| plan(o, &chosen)).collect();
        let mut regions: Vec<String> = offers.iter().flat_map(|o| o.regions.clone()).collect();
        regions.sort();
        regions.dedup();
        let options: Vec<_> = regions.into_iter().map(|r| (r.clone(), r)).collect();
        let content = if offers.is_empty() {
            view! { <div class="empty"><h1>"Sign-up is closed"</h1><p>"There is no plan to choose at the moment. Please come back later."</p></div> }.into_any()
        } else {
            view! {
                <form class="form" method="post" action="/do/sign_up">
                    <h1>"Create your workspace"</h1>
                    <fieldset class="choice-cards"><legend>"Plan"</legend>{plans}</fieldset>
                    {crate::parts::field(&again, "organisation", "Organisation", "", "", "text")}
                    {crate::parts::field(&again, "slug", "Address", "Your workspace's name in its address: letters, digits and hyphens. Made from the organisation if left empty.", "", "text")}
                    {crate::parts::field(&again, "email", "E-mail", "We send a link that confirms it.", "", "email")}
                    {crate::parts::select(&again, "region", "Region", options, "")}
                    <div class="form-actions"><button class="btn btn-primary btn-large" type="submit">"Sign up"</button></div>
                </form>
            }
            .into_any()
        };
        view! { {head()} <main class="public-main public-main-wide" id="main">{content}</main> }
    })
    .await
}

fn head() -> impl IntoView {
    view! { <header class="public-head"><a class="brand" href="/signup">{icon("tidegate")} "Orders"</a></header> }
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
    render(&ui, StatusCode::OK, FRAME, "Look into your mail", flash, move || {
        view! {
            {head()}
            <main class="public-main" id="main"><div class="empty">{icon("mail")}<h1>"Look into your mail"</h1>
                <p>"We sent you a link. Open it to confirm your address; your workspace is built right after."</p>
                <p><a href="/signup">"Nothing came? Sign up again with the same words; you get a new link."</a></p></div></main>
        }
    })
    .await
}

pub async fn welcome(State(ui): State<Ui>, Path(token): Path<String>) -> Response {
    let progress = match ui.service.welcome(&token).await {
        Ok(progress) => progress,
        Err(error) => return render_error(&ui, FRAME, error).await,
    };
    let frame = Frame::Public {
        body: "public",
        refresh: matches!(progress.state.as_str(), "provisioning" | "waiting"),
    };
    let title = progress.organisation.clone();
    render(&ui, StatusCode::OK, frame, title, Default::default(), move || body(&progress)).await
}

fn body(progress: &Progress) -> impl IntoView + use<> {
    let steps: Vec<_> = progress
        .steps
        .iter()
        .map(|s| {
            let (state, current) = match s.state.as_str() {
                "running" => ("current", Some("step")),
                "waiting" => ("todo", None),
                "failed" => ("failed", None),
                _ => ("done", None),
            };
            view! { <li data-state=state aria-current=current><h3>{s.label.clone()}</h3><p>{s.detail.clone()}</p></li> }
        })
        .collect();
    let (title, text) = match progress.state.as_str() {
        "ready" => ("Your workspace is ready", "It is served from now on. We sent you its address too."),
        "failed" => (
            "This takes longer than usual",
            "Something got in the way. We were told and look into it; you need not do anything.",
        ),
        "waiting" => ("Thank you", "We look at your request and write to you."),
        "declined" => {
            ("We cannot offer you this plan", "Please write to us if you think that this is wrong.")
        }
        _ => (
            "Your workspace is being built",
            "You can leave this page and come back by the link in your mail.",
        ),
    };
    let open = progress.url.clone().map(|url| view! { <p><a class="btn btn-primary btn-large" href=url.clone()>"Open " {url.clone()}</a></p> });
    view! {
        {head()}
        <main class="public-main" id="main">
            <h1>{title}</h1><p class="lede">{progress.organisation.clone()} ": " {text}</p>
            {open}
            <ol class="steps">{steps}</ol>
        </main>
    }
}

/// Takes a registration.
#[server(prefix = "/do", endpoint = "sign_up")]
pub async fn sign_up(form: SignupForm) -> Result<(), ServerFnError> {
    let service = expect_context::<Service>();
    let result = service.sign_up(&form).await.map(|_| ("/signup/sent".to_owned(), None));
    answer(result, &form).await
}
