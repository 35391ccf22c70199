//! Holds, and what keeps one stack from changing: its windows, its hold, and a person's word that windows do not count.

use super::windows;
use crate::parts::{Field, capital, icon, post, time};
use crate::session::{Flash, actor, answer};
use domain::hold::Hold;
use domain::{HoldId, StackId};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{HoldForm, HoldRow, StackWindows};

/// All holds, those that end first first.
pub fn list(rows: &[HoldRow]) -> AnyView {
    if rows.is_empty() {
        return view! { <p class="muted">"No stack is held. On the page of a tenant's own stack it can be kept where it is, with a reason and an end."</p> }
            .into_any();
    }
    let lines: Vec<_> = rows
        .iter()
        .map(|row| {
            let hold = &row.hold;
            view! {
                <tr data-key=hold.id.to_string()>
                    <td class="cell-main" data-label="Stack"><a href=format!("/stacks/{}#hold", hold.stack)>{row.stack.clone()}</a></td>
                    <td data-label="Tenant"><a href=format!("/tenants/{}", hold.tenant)>{row.tenant.clone()}</a></td>
                    <td data-label="Ends">{time(hold.until)}</td>
                    <td data-label="Why">{hold.spec.reason.clone()}</td>
                    <td data-label="Owner">{hold.spec.owner.to_string()}</td>
                    <td data-label="Since"><div>{time(hold.made_at)}<br /><small class="muted">"by " {hold.made_by.clone()}</small></div></td>
                </tr>
            }
        })
        .collect();
    view! {
        <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Holds that have not ended"</caption>
            <thead><tr><th scope="col">"Stack"</th><th scope="col">"Tenant"</th><th scope="col">"Ends (UTC)"</th><th scope="col">"Why"</th><th scope="col">"Owner"</th><th scope="col">"Since"</th></tr></thead>
            <tbody>{lines}</tbody></table></div>
    }
    .into_any()
}

/// What keeps a stack from changing, without anything to write into: this part looks again by itself.
pub fn standing(found: &StackWindows) -> AnyView {
    let closed = found.closed.as_ref().map(|closed| {
        let until = match closed.until {
            Some(at) => view! { "Closed until " {time(at)} " UTC" }.into_any(),
            None => "Closed, and no opening is in sight".into_any(),
        };
        view! { <div class="alert alert-warning" role="status"><h2>{until}</h2><p>{capital(&closed.reason.sentence)} "."</p></div> }
    });
    let repair =
        found.repair.as_ref().map(|(_, sentence)| view! { <p>"Catching up: " {sentence.clone()} "."</p> });
    let rows: Vec<_> = found
        .windows
        .iter()
        .map(|row| {
            let spec = &row.window.spec;
            view! { <li><a href=format!("/windows/{}", row.window.id)>{spec.name.to_string()}</a> " " <span class="muted">{windows::kind(spec.kind).to_lowercase()} ", " {spec.words()} ". "</span>{windows::next(row)}</li> }
        })
        .collect();
    let rows = if rows.is_empty() {
        view! { <p class="muted">"No freeze and no maintenance window covers it. " <a href="/windows">"All windows"</a></p> }.into_any()
    } else {
        view! { <ul class="stack-list">{rows}</ul> }.into_any()
    };
    view! {
        <section class="section" data-key="windows"><header class="section-head"><h2>"Windows"</h2></header>{closed}{repair}{rows}</section>
    }
    .into_any()
}

/// What a person may do about it.
pub fn steering(stack: StackId, found: &StackWindows, flash: &Flash, may: bool) -> Option<AnyView> {
    let overriding =
        found.waits.as_ref().filter(|_| may).map(|what| override_form(stack, what, flash, "over"));
    let hold = match (&found.hold, found.may_be_held) {
        (Some(hold), _) => Some(held(hold, flash, may)),
        (None, true) if may => Some(fresh(stack, flash)),
        (None, _) => None,
    };
    let some = overriding.is_some() || hold.is_some();
    some.then(|| view! { <section class="section" id="hold">{overriding}{hold}</section> }.into_any())
}

/// The form with which a person lets an operation start whatever windows say.
pub fn override_form(stack: StackId, what: &str, flash: &Flash, key: &'static str) -> AnyView {
    let notes = of(flash, key);
    view! {
        <form class="form" method="post" action="/do/override_windows">
            <h3>"Let it start whatever windows say"</h3>
            <p>{what.to_owned()} " waits for this stack. Your reason is recorded and shown."</p>
            <input type="hidden" name="form[key]" value=key />
            <input type="hidden" name="form[stack]" value=stack.to_string() />
            {Field::new(&notes, "comment", "Reason").required().most(500).complete("off").view()}
            <div class="actions"><button class="btn btn-danger" type="submit">"Override the windows"</button></div>
        </form>
    }
    .into_any()
}

fn held(hold: &Hold, flash: &Flash, may: bool) -> AnyView {
    let forms = may.then(|| {
        let notes = of(flash, "extend");
        view! {
            <div class="actions">{post("lift_hold", "Lift the hold", "btn", &[("id", hold.id.to_string())])}</div>
            <details class="disclosure" open=!notes.problems.is_empty()><summary>"Extend or shorten it"</summary>
                <form class="form" method="post" action="/do/extend_hold">
                    <input type="hidden" name="form[key]" value="extend" />
                    <input type="hidden" name="form[hold]" value=hold.id.to_string() />
                    {fields(&notes, "", "")}
                    <div class="actions"><button class="btn btn-primary" type="submit">"Save"</button></div>
                </form></details>
        }
    });
    view! {
        <div class="stack stack-tight"><h3>{icon("lock")} " Held until " {time(hold.until)} " UTC"</h3>
            <p>{hold.spec.reason.clone()}</p>
            <p class="small muted">"Owner " {hold.spec.owner.to_string()} ", who is told a day before it ends. Made by " {hold.made_by.clone()} " " {time(hold.made_at)} " UTC."</p>
            {forms}</div>
    }
    .into_any()
}

fn fresh(stack: StackId, flash: &Flash) -> AnyView {
    let notes = of(flash, "hold");
    view! {
        <details class="disclosure" open=!notes.problems.is_empty()><summary>"Hold it where it is"</summary>
            <form class="form" method="post" action="/do/hold_stack">
                <p class="hint">"No rollout and no catching up changes it until the hold ends. Then it goes to what it should run."</p>
                <input type="hidden" name="form[key]" value="hold" />
                <input type="hidden" name="form[stack]" value=stack.to_string() />
                {fields(&notes, "", "")}
                <div class="actions"><button class="btn btn-primary" type="submit">"Hold it"</button></div>
            </form></details>
    }
    .into_any()
}

fn fields(notes: &Flash, reason: &str, owner: &str) -> impl IntoView + use<> {
    view! {
        {Field::new(notes, "until", "Until").hint("By UTC, within a year.").kind("datetime-local").required().view()}
        {Field::new(notes, "reason", "Reason").value(reason).most(500).complete("off").view()}
        {Field::new(notes, "owner", "Owner").hint("An e-mail address; told a day before it ends. You, if left empty.").value(owner).kind("email").most(254).view()}
    }
}

/// What the flash says of one of the page's forms.
fn of(flash: &Flash, key: &str) -> Flash {
    if flash.value("key", "") == key { flash.clone() } else { Flash::default() }
}

/// What the forms say.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Holding {
    key: String,
    stack: String,
    hold: String,
    until: String,
    reason: String,
    owner: String,
}

impl Holding {
    fn form(&self) -> HoldForm {
        HoldForm { reason: self.reason.clone(), owner: self.owner.clone(), until: self.until.clone() }
    }
}

/// Holds a stack where it is.
#[server(prefix = "/do", endpoint = "hold_stack")]
pub async fn hold_stack(form: Holding) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let stack: StackId = super::id(&form.stack, "the stack")?;
        service.hold_stack(&actor, stack, &form.form()).await?;
        Ok((format!("/stacks/{stack}"), Some("It is held.".to_owned())))
    };
    answer(doing.await, &form).await
}

/// Lets a hold end at another time.
#[server(prefix = "/do", endpoint = "extend_hold")]
pub async fn extend_hold(form: Holding) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let hold: HoldId = super::id(&form.hold, "the hold")?;
        let stack = service.extend_hold(&actor, hold, &form.form()).await?;
        Ok((format!("/stacks/{stack}"), Some("The hold has another end now.".to_owned())))
    };
    answer(doing.await, &form).await
}

/// Ends a hold before its time.
#[server(prefix = "/do", endpoint = "lift_hold")]
pub async fn lift_hold(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let hold: HoldId = super::id(&id, "the hold")?;
        let stack = service.lift_hold(&actor, hold).await?;
        Ok((format!("/stacks/{stack}"), Some("The hold is lifted.".to_owned())))
    };
    answer(doing.await, &()).await
}

/// Why windows shall not count.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Overriding {
    key: String,
    stack: String,
    comment: String,
}

/// Lets what waits for a stack start whatever windows say.
#[server(prefix = "/do", endpoint = "override_windows")]
pub async fn override_windows(form: Overriding) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let stack: StackId = super::id(&form.stack, "the stack")?;
        service.override_windows(&actor, stack, &form.comment).await?;
        Ok((format!("/stacks/{stack}"), Some("It starts now, whatever windows say.".to_owned())))
    };
    answer(doing.await, &form).await
}
