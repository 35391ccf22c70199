//! Signing in and out.

use crate::parts::{field, icon};
use crate::session::{Flash, Ui, Visitor, answer, go, remember, session, take_flash};
use crate::shell::{Frame, render};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{Service, local_path};

#[derive(Deserialize)]
pub struct To {
    #[serde(default)]
    to: String,
}

/// What the form says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credentials {
    email: String,
    #[serde(skip_serializing)]
    password: String,
    #[serde(default)]
    to: String,
}

pub async fn show(State(ui): State<Ui>, visitor: Visitor, Query(to): Query<To>) -> Response {
    if visitor.user.is_some() {
        return Redirect::to(local_path(&to.to)).into_response();
    }
    let flash = take_flash(&visitor.session).await;
    let frame = Frame::Public { body: "public", refresh: false };
    let again = flash.clone();
    render(&ui, StatusCode::OK, frame, "Sign in", flash, move || {
        view! {
            <header class="public-head"><a class="brand" href="/">{icon("tidegate")} "Tidegate"</a></header>
            <main class="public-main" id="main">
                <form class="auth-card form" method="post" action="/do/sign_in">
                    <h1>"Sign in"</h1>
                    {field(&again, "email", "E-mail", "", "", "email")}
                    {field(&again, "password", "Password", "", "", "password")}
                    <input type="hidden" name="form[to]" value=to.to.clone() />
                    <div class="form-actions"><button class="btn btn-primary btn-block" type="submit">"Sign in"</button></div>
                </form>
            </main>
            <footer class="public-foot"><a href="/signup">"Sign up as a customer"</a></footer>
        }
    })
    .await
}

/// Signs in, and on to where the visitor wanted to go.
#[server(prefix = "/do", endpoint = "sign_in")]
pub async fn sign_in(form: Credentials) -> Result<(), ServerFnError> {
    let service = expect_context::<Service>();
    let signing = async {
        let user = service.sign_in(&form.email, &form.password).await?;
        remember(&session().await?, &user, service.now()).await?;
        Ok((local_path(&form.to).to_owned(), None))
    };
    answer(signing.await, &form).await
}

/// Signs out.
#[server(prefix = "/do", endpoint = "sign_out")]
pub async fn sign_out() -> Result<(), ServerFnError> {
    if let Ok(session) = session().await {
        session.flush().await.map_err(ServerFnError::new)?;
        // What is told next belongs to another session: a page on its way must not find the old one again.
        session.cycle_id().await.map_err(ServerFnError::new)?;
    }
    go("/sign-in", Flash { done: Some("You are signed out.".into()), ..Flash::default() }).await
}
