//! What belongs to whoever is signed in: their password and their API tokens. Sections of the Settings page.

use crate::parts::{field, post, time};
use crate::session::{Flash, actor, answer, go, go_with_secret, remember, session};
use domain::Actor;
use domain::access::Permission;
use leptos::prelude::*;
use service::{NewPassword, NewToken, TokenRow};

/// The form that changes one's own password.
pub fn password(flash: &Flash) -> AnyView {
    let open = flash.problem("current").is_some() || flash.problem("new_password").is_some();
    view! {
        <section class="section"><header class="section-head"><h2>"Your password"</h2></header>
            <details class="disclosure" open=open><summary>"Change your password"</summary>
                <form class="form" method="post" action="/do/change_password">
                    {field(flash, "current", "Current password", "", "", "password")}
                    {field(flash, "new_password", "New password", "At least 12 characters. Your other sessions end.", "", "password")}
                    <div class="form-actions"><button class="btn btn-primary" type="submit">"Change"</button></div>
                </form></details>
        </section>
    }
    .into_any()
}

/// API tokens with the form that makes one.
pub fn tokens(flash: &Flash, actor: &Actor, tokens: &[TokenRow]) -> AnyView {
    let rows: Vec<_> = tokens
        .iter()
        .map(|row| {
            let t = &row.token;
            let may: Vec<_> = t.permissions.iter().map(|p| p.word()).collect();
            let ends = t.expires_at.map_or_else(|| "never".into_any(), time);
            view! {
                <tr>
                    <td class="cell-main" data-label="Token">{t.name.clone()}</td>
                    <td data-label="Owner">{row.owner.clone()}</td>
                    <td data-label="May">{may.join(", ")}</td>
                    <td data-label="Ends">{ends}</td>
                    <td class="cell-actions">{post("delete_token", "Revoke", "btn btn-small btn-danger", &[("id", t.id.to_string())])}</td>
                </tr>
            }
        })
        .collect();
    let table = if rows.is_empty() {
        view! { <p class="muted">"No tokens yet. Pipelines and the command line need one."</p> }.into_any()
    } else {
        view! {
            <div class="table-wrap"><table class="table"><caption class="visually-hidden">"API tokens"</caption>
                <thead><tr><th scope="col">"Token"</th><th scope="col">"Owner"</th><th scope="col">"May"</th><th scope="col">"Ends"</th><th scope="col"><span class="visually-hidden">"Actions"</span></th></tr></thead>
                <tbody>{rows}</tbody></table></div>
        }
        .into_any()
    };
    let open = flash.values.contains_key("days");
    view! {
        <section class="section"><header class="section-head"><h2>"API tokens"</h2></header>
            {table}
            <details class="disclosure" open=open><summary>"Make a token"</summary>
                <form class="form" method="post" action="/do/add_token">
                    {field(flash, "name", "What it is for", "", "", "text")}
                    {scopes(flash, actor)}
                    {field(flash, "days", "Days until it ends", "From 1 to 3650; 0 for never.", "90", "number")}
                    <div class="form-actions"><button class="btn btn-primary" type="submit">"Make"</button></div>
                </form></details>
        </section>
    }
    .into_any()
}

/// What a token may do: a choice within what its owner may do.
fn scopes(flash: &Flash, actor: &Actor) -> AnyView {
    let problem = flash.problem("permissions");
    let chosen = flash.value("permissions", "");
    let boxes: Vec<_> = actor
        .permissions
        .iter()
        .map(|p| {
            let checked = chosen.split(',').any(|word| word == p.word());
            view! {
                <label class="check"><input type="checkbox" name="form[permissions][]" value=p.word() checked=checked />
                    <span>{p.word()} " " <small class="muted">{meaning(*p)}</small></span></label>
            }
        })
        .collect();
    let described = problem.is_some().then_some("permissions-e");
    view! {
        <fieldset class="field" id="permissions" aria-describedby=described>
            <legend>"What it may do"</legend>
            {boxes}
            {problem.map(|text| view! { <p class="field-error" id="permissions-e">{text}</p> })}
        </fieldset>
    }
    .into_any()
}

const fn meaning(permission: Permission) -> &'static str {
    match permission {
        Permission::View => "read everything but settings",
        Permission::Tenants => "create, suspend and off-board tenants",
        Permission::Tiers => "create and edit tiers",
        Permission::Releases => "register releases",
        Permission::Strategies => "create and edit strategies",
        Permission::Rollouts => "start and steer rollouts, repair stacks",
        Permission::Decide => "approve and reject gates",
        Permission::Settings => "users, tokens and mail",
    }
}

/// Changes one's own password; other sessions end, this one goes on.
#[server(prefix = "/do", endpoint = "change_password")]
pub async fn change_password(form: NewPassword) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let user = service.change_password(&actor, form.clone()).await?;
        remember(&session().await?, &user, service.now()).await?;
        Ok((
            "/settings".to_owned(),
            Some("Your password is changed; your other sessions have ended.".to_owned()),
        ))
    };
    answer(doing.await, &form).await
}

/// Gives a person another password and shows it once.
#[server(prefix = "/do", endpoint = "reset_password")]
pub async fn reset_password(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.reset_password(&actor, super::id(&id, "the user")?).await
    };
    match doing.await {
        Ok((email, password)) => {
            let done = format!("{email} has a new password; their sessions have ended.");
            go_with_secret("/settings", done, &password).await
        }
        Err(error) => answer(Err(error), &()).await,
    }
}

/// Makes a token and shows it once.
#[server(prefix = "/do", endpoint = "add_token")]
pub async fn add_token(form: NewToken) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.add_token(&actor, form.clone()).await
    };
    match doing.await {
        Ok(secret) => {
            go_with_secret("/settings", format!("The token “{}” is made.", form.name.trim()), &secret).await
        }
        Err(error) => answer(Err(error), &form).await,
    }
}

/// Revokes a token.
#[server(prefix = "/do", endpoint = "delete_token")]
pub async fn delete_token(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.delete_token(&actor, super::id(&id, "the token")?).await
    };
    match doing.await {
        Ok(()) => go("/settings", Flash { done: Some("Revoked.".to_owned()), ..Flash::default() }).await,
        Err(error) => answer(Err(error), &()).await,
    }
}
