//! One's own password and API tokens; for admins also people, their roles, and mail.

use super::{account, mail, page, queues, replicas, targets};
use crate::parts::{field, post, select, time};
use crate::session::{Flash, Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::State;
use axum::response::Response;
use domain::access::{Permission, Role};
use http::StatusCode;
use leptos::prelude::*;
use service::NewUser;
use store::{Message, User};

pub async fn show(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/settings");
    let tokens = page!(ui, frame, ui.service.tokens(&member.actor).await);
    let all = if member.actor.may(Permission::Settings) {
        let users = page!(ui, frame, ui.service.users(&member.actor).await);
        let settings = page!(ui, frame, ui.service.settings(&member.actor).await);
        let places = page!(ui, frame, ui.service.targets(&member.actor));
        let servers = page!(ui, frame, ui.service.replicas(&member.actor).await);
        let queues = page!(ui, frame, ui.service.queue_view(&member.actor).await);
        Some((users, (servers, places), queues, settings.mail))
    } else {
        None
    };
    let flash = member.flash().await;
    let again = flash.clone();
    let actor = member.actor.clone();
    render(&ui, StatusCode::OK, frame, "Settings", flash, move || {
        view! {
            <header class="page-head"><h1>"Settings"</h1></header>
            {account::password(&again)}
            {account::tokens(&again, &actor, &tokens)}
            {all.as_ref().map(|(users, (servers, places), queues, mail)| view! {
                {people(&again, users)} {replicas::section(servers)} {targets::section(places)} {import()} {queues::section(queues)} {messages(mail)}
            })}
        }
    })
    .await
}

fn people(flash: &Flash, users: &[User]) -> AnyView {
    let roles: Vec<_> = Role::ALL.iter().map(|r| (r.word().to_owned(), r.word().to_owned())).collect();
    let rows: Vec<_> = users
        .iter()
        .map(|u| {
            let id = u.id.to_string();
            let label = format!("Role of {}", u.email);
            let options: Vec<_> = Role::ALL.iter().map(|r| view! { <option value=r.word() selected=*r == u.role>{r.word()}</option> }).collect();
            view! {
                <tr>
                    <td class="cell-main" data-label="Person">{u.email.to_string()}</td>
                    <td data-label="Role and groups"><div><form class="row" method="post" action="/do/change_user">
                        <input type="hidden" name="id" value=id.clone() />
                        <select name="role" aria-label=label>{options}</select>
                        <input name="groups" aria-label=format!("Groups of {}", u.email) placeholder="groups" value=u.groups.join(", ") />
                        <label class="check"><input type="checkbox" name="disabled" value="true" checked=u.disabled /><span>"may not sign in"</span></label>
                        <button class="btn btn-small" type="submit">"Save"</button>
                    </form>
                        <details><summary><small>"Forgot their password?"</small></summary>
                            <p class="hint">"They get another one, which you see once. Their sessions end."</p>
                            {post("reset_password", "Make a new password", "btn btn-small btn-danger", &[("id", id)])}
                        </details></div></td>
                    <td data-label="Since">{time(u.created_at)}</td>
                </tr>
            }
        })
        .collect();
    let open = flash.values.contains_key("email");
    view! {
        <section class="section"><header class="section-head"><h2>"People"</h2></header>
            <div class="table-wrap"><table class="table"><caption class="visually-hidden">"People"</caption>
                <thead><tr><th scope="col">"Person"</th><th scope="col">"Role and groups"</th><th scope="col">"Since"</th></tr></thead><tbody>{rows}</tbody></table></div>
            <details class="disclosure" open=open><summary>"Add a person"</summary>
                <form class="form" method="post" action="/do/add_user">
                    {field(flash, "email", "E-mail", "", "", "email")}
                    {select(flash, "role", "Role", roles, "viewer")}
                    {field(flash, "groups", "Groups", "Separated by commas; gates can ask a group.", "", "text")}
                    {field(flash, "password", "Password", "At least 12 characters; they can sign in with it.", "", "password")}
                    <div class="form-actions"><button class="btn btn-primary" type="submit">"Add"</button></div>
                </form></details>
        </section>
    }
    .into_any()
}

fn import() -> impl IntoView {
    view! {
        <section class="section"><header class="section-head"><h2>"Stacks that other tools made"</h2></header>
            <p class="muted">"Bring a fleet that runs already under Tidegate: you see what was inferred before anything is saved."</p>
            <p><a class="btn" href="/settings/import">"Import stacks…"</a></p>
        </section>
    }
}

fn messages(sent: &[Message]) -> AnyView {
    view! {
        <section class="section"><header class="section-head"><h2>"Mail"</h2></header>
            <div id="mail" data-live>{mail::list(sent)}</div>
        </section>
    }
    .into_any()
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
