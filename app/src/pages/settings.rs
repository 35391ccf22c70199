//! Users and roles, API tokens, mail.

use super::{mail, page};
use crate::parts::{field, post, select, time};
use crate::session::{Flash, Member, Ui, actor, answer, go};
use crate::shell::render;
use axum::extract::State;
use axum::response::Response;
use domain::access::Role;
use http::StatusCode;
use leptos::prelude::*;
use service::{NewToken, NewUser};

pub async fn show(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/settings");
    let users = page!(ui, frame, ui.service.users(&member.actor).await);
    let tokens = page!(ui, frame, ui.service.tokens(&member.actor).await);
    let settings = page!(ui, frame, ui.service.settings(&member.actor).await);
    let flash = member.flash().await;
    let again = flash.clone();
    render(&ui, StatusCode::OK, frame, "Settings", flash, move || {
        let roles = || Role::ALL.iter().map(|r| (r.word().to_owned(), r.word().to_owned())).collect::<Vec<_>>();
        let people: Vec<_> = users
            .iter()
            .map(|u| {
                let id = u.id.to_string();
                let label = format!("Role of {}", u.email);
                let options: Vec<_> = Role::ALL.iter().map(|r| view! { <option value=r.word() selected=*r == u.role>{r.word()}</option> }).collect();
                view! {
                    <tr>
                        <td class="cell-main" data-label="Person">{u.email.to_string()}</td>
                        <td data-label="Role and groups"><form class="row" method="post" action="/do/change_user">
                            <input type="hidden" name="id" value=id />
                            <select name="role" aria-label=label>{options}</select>
                            <input name="groups" aria-label=format!("Groups of {}", u.email) placeholder="groups" value=u.groups.join(", ") />
                            <label class="check"><input type="checkbox" name="disabled" value="true" checked=u.disabled /><span>"barred"</span></label>
                            <button class="btn btn-small" type="submit">"Save"</button>
                        </form></td>
                        <td data-label="Since">{time(u.created_at)}</td>
                    </tr>
                }
            })
            .collect();
        let keys: Vec<_> = tokens
            .iter()
            .map(|t| {
                let may: Vec<_> = t.permissions.iter().map(|p| p.word()).collect();
                let ends = t.expires_at.map_or_else(|| "never".to_owned(), |at| at.human());
                view! {
                    <tr><td class="cell-main" data-label="Token">{t.name.clone()}</td><td data-label="May">{may.join(", ")}</td><td data-label="Ends">{ends}</td>
                        <td class="cell-actions">{post("delete_token", "Revoke", "btn btn-small btn-danger", &[("id", t.id.to_string())])}</td></tr>
                }
            })
            .collect();
        view! {
            <header class="page-head"><h1>"Settings"</h1></header>
            <section class="section"><header class="section-head"><h2>"People"</h2></header>
                <div class="table-wrap"><table class="table"><caption class="visually-hidden">"People"</caption>
                    <thead><tr><th scope="col">"Person"</th><th scope="col">"Role and groups"</th><th scope="col">"Since"</th></tr></thead><tbody>{people}</tbody></table></div>
                <details class="disclosure" open=!again.problems.is_empty()><summary>"Add a person"</summary>
                    <form class="form" method="post" action="/do/add_user">
                        {field(&again, "email", "E-mail", "", "", "email")}
                        {select(&again, "role", "Role", roles(), "viewer")}
                        {field(&again, "groups", "Groups", "Separated by commas; gates can ask a group.", "", "text")}
                        {field(&again, "password", "Password", "At least 12 characters; they can sign in with it.", "", "password")}
                        <div class="form-actions"><button class="btn btn-primary" type="submit">"Add"</button></div>
                    </form></details>
            </section>
            <section class="section"><header class="section-head"><h2>"API tokens"</h2></header>
                <div class="table-wrap"><table class="table"><caption class="visually-hidden">"API tokens"</caption>
                    <thead><tr><th scope="col">"Token"</th><th scope="col">"May"</th><th scope="col">"Ends"</th><th scope="col"><span class="visually-hidden">"Actions"</span></th></tr></thead><tbody>{keys}</tbody></table></div>
                <details class="disclosure"><summary>"Make a token"</summary>
                    <form class="form" method="post" action="/do/add_token">
                        {field(&again, "name", "What it is for", "", "", "text")}
                        {field(&again, "days", "Days until it ends", "0 for never.", "90", "number")}
                        <div class="form-actions"><button class="btn btn-primary" type="submit">"Make"</button></div>
                    </form></details>
            </section>
            <section class="section"><header class="section-head"><h2>"Mail"</h2></header>
                <div id="mail" data-live>{mail::list(&settings.mail)}</div>
            </section>
        }
    })
    .await
}

/// Adds a person.
#[server(prefix = "/do", endpoint = "add_user")]
pub async fn add_user(form: NewUser) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.add_user(&actor, form.clone()).await?;
        Ok(("/settings".to_owned(), Some(format!("{} was added.", form.email))))
    };
    answer(doing.await, &NewUser { password: String::new(), ..form.clone() }).await
}

/// Changes a person.
#[server(prefix = "/do", endpoint = "change_user")]
pub async fn change_user(
    id: String,
    role: String,
    groups: String,
    #[server(default)] disabled: bool,
) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let user = super::id(&id, "the user")?;
        service.change_user(&actor, user, &role, &groups, disabled).await?;
        Ok(("/settings".to_owned(), Some("Saved.".to_owned())))
    };
    answer(doing.await, &()).await
}

/// Makes a token and shows it once.
#[server(prefix = "/do", endpoint = "add_token")]
pub async fn add_token(form: NewToken) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.add_token(&actor, form.clone()).await
    };
    match doing.await {
        Ok(secret) => go("/settings", Flash { secret: Some(secret), ..Flash::default() }).await,
        Err(error) => answer(Err(error), &form).await,
    }
}

/// Revokes a token.
#[server(prefix = "/do", endpoint = "delete_token")]
pub async fn delete_token(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.delete_token(&actor, super::id(&id, "the token")?).await?;
        Ok(("/settings".to_owned(), Some("Revoked.".to_owned())))
    };
    answer(doing.await, &()).await
}
