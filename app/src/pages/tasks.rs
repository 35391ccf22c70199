//! Tasks of other systems' pipelines in the inbox: what is asked, the decision, and whether the pipeline knows it.

use crate::parts::{capital, state_as, time};
use crate::session::{Flash, actor, answer};
use domain::Timestamp;
use domain::rollout::Verdict;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use store::{Task, TaskDecision, TaskState};

/// Those that ask, as entries of the inbox; with the reason why they do not ask whoever looks.
pub fn asking(tasks: &[Task], flash: &Flash, may: bool, now: Timestamp) -> Vec<AnyView> {
    let asking = tasks.iter().filter(|task| task.state == TaskState::Asking);
    asking.map(|task| item(task, flash, may, now)).collect()
}

fn item(task: &Task, flash: &Flash, may: bool, now: Timestamp) -> AnyView {
    let id = task.id.to_string();
    let from = format!("wave {} · from the queue {} · {} ago", task.wave, task.queue, now - task.received_at);
    let why = (!may)
        .then(|| view! { <p class="muted">"You cannot decide here: it needs the permission “decide”."</p> });
    let again = flash.value("id", "") == id;
    let comment = if again { flash.value("comment", "") } else { String::new() };
    let form = may.then(|| view! {
        <details open=again><summary>"Decide"</summary>
            <form class="form" method="post" action="/do/decide_task">
                <input type="hidden" name="form[id]" value=id.clone() />
                <div class="field"><label for=format!("c-{id}")>"Comment"</label>
                    <p class="hint" id=format!("h-{id}")>"Needed to reject: the pipeline is told it as the cause."</p>
                    <textarea id=format!("c-{id}") name="form[comment]" rows="2" maxlength="500" aria-describedby=format!("h-{id}")>{comment}</textarea></div>
                <div class="row">
                    <button class="btn btn-danger" name="form[verdict]" value="reject">"Reject"</button>
                    <button class="btn btn-primary" name="form[verdict]" value="approve">"Approve"</button>
                </div>
            </form></details>
    });
    view! {
        <li class="inbox-item" data-state="gated" data-key=id.clone()>
            <div><h2>{task.title.clone()}</h2><p>{capital(&from)}</p>{why}{form}</div>
        </li>
    }
    .into_any()
}

/// The last that were decided, or have lapsed.
pub fn ended(tasks: &[Task]) -> Option<AnyView> {
    let rows: Vec<_> = tasks.iter().filter(|task| task.state != TaskState::Asking).map(row).collect();
    (!rows.is_empty()).then(|| {
        view! {
            <section class="section"><header class="section-head"><h2>"Decided for pipelines"</h2></header>
                <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Decided for pipelines"</caption>
                    <thead><tr><th scope="col">"What was asked"</th><th scope="col">"Wave"</th><th scope="col">"Decision"</th><th scope="col">"When"</th><th scope="col">"Its pipeline"</th></tr></thead>
                    <tbody>{rows}</tbody></table></div></section>
        }
        .into_any()
    })
}

fn row(task: &Task) -> AnyView {
    let decision = task.state.decision().map_or_else(|| "nobody decided".to_owned(), said);
    let at = match &task.state {
        TaskState::Lapsed { at, .. } => *at,
        other => other.decision().map_or(task.received_at, |decision| decision.at),
    };
    let (shape, word, why) = match &task.state {
        TaskState::Asking | TaskState::Decided { error: None, .. } => ("in_progress", "is being told", None),
        TaskState::Decided { error: Some(error), next_at, .. } => (
            "waiting",
            "not told yet",
            Some(view! { <small>{capital(error)} "; again " {time(*next_at)}</small> }.into_any()),
        ),
        TaskState::Told { .. } => ("succeeded", "knows it", None),
        TaskState::Lapsed { reason, .. } => (
            "failed",
            "waits no longer",
            Some(view! { <small>{capital(&reason.sentence)}</small> }.into_any()),
        ),
    };
    view! {
        <tr><td class="cell-main" data-label="What was asked">{task.title.clone()}</td>
            <td data-label="Wave">{task.wave.clone()}</td>
            <td data-label="Decision">{decision}</td>
            <td data-label="When">{time(at)}</td>
            <td data-label="Its pipeline">{state_as(shape, word)} " " {why}</td></tr>
    }
    .into_any()
}

fn said(decision: &TaskDecision) -> String {
    let verb = if decision.verdict == Verdict::Approve { "approved" } else { "rejected" };
    let why =
        if decision.comment.is_empty() { String::new() } else { format!(": “{}”", decision.comment) };
    format!("{} {verb} it{why}", decision.by.name)
}

/// What the form says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Decided {
    id: String,
    #[serde(default)]
    comment: String,
    verdict: String,
}

/// Approves or rejects a task.
#[server(prefix = "/do", endpoint = "decide_task")]
pub async fn decide_task(form: Decided) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let verdict: Verdict = form.verdict.parse().map_err(|e: domain::Invalid| e.within("verdict"))?;
        service.decide_task(&actor, super::id(&form.id, "the task")?, verdict, &form.comment).await?;
        let word = if verdict == Verdict::Approve { "Approved." } else { "Rejected." };
        Ok(("/approvals".to_owned(), Some(format!("{word} Its pipeline is told."))))
    };
    answer(doing.await, &form).await
}
