//! A rollout: its timeline, its stacks as a list, and the question before it is steered.

use super::{changes, id, page};
use crate::islands::{TimelineIsland, Viewer};
use crate::parts::{count, icon};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::{Frame, render};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use domain::ProcessId;
use domain::access::Permission;
use domain::rollout::Command;
use domain::timeline::state_label;
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;
use service::{Error, PreviewStanding, StackFilter, WaveChanges};

/// So many stacks on a page of the list.
const PAGE: usize = 100;

pub async fn show(State(ui): State<Ui>, member: Member, Path(text): Path<String>) -> Response {
    let frame = member.frame("/rollouts");
    let rollout: ProcessId = page!(ui, frame, id(&text, "the rollout"));
    let timeline = page!(ui, frame, ui.service.timeline(&member.actor, rollout).await);
    let known = page!(ui, frame, ui.service.rollout_changes(&member.actor, rollout).await);
    let flash = member.flash().await;
    let viewer = Viewer {
        name: member.actor.name.clone(),
        groups: member.actor.groups.clone(),
        steer: member.actor.may(Permission::Rollouts),
        decide: member.actor.may(Permission::Decide),
    };
    let frame =
        Frame::Console { user: member.user.clone(), current: "/rollouts", seen: member.seen, wide: true };
    render(&ui, StatusCode::OK, frame, timeline.title.clone(), flash, move || {
        let t = &timeline;
        let open = matches!(t.status.as_str(), "running" | "paused" | "halted" | "rolling_back");
        let take_over = (viewer.steer && open).then(|| {
            let href = format!("/rollouts/new?supersedes={}", t.id);
            view! { " · " <a href=href>"Let another one take over"</a> }
        });
        let related: Vec<_> = t
            .related
            .iter()
            .map(|r| view! { " · " {r.says.clone()} " " <a href=format!("/rollouts/{}", r.rollout)>{r.title.clone()}</a> })
            .collect();
        let why = (!t.comment.is_empty()).then(|| format!(" · “{}”", t.comment));
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/rollouts">"Rollouts"</a></li><li aria-current="page">{t.title.clone()}</li></ol></nav>
            <TimelineIsland initial=t.clone() viewer=viewer.clone() />
            {inside(rollout, &known, viewer.steer)}
            <p class="rollout-foot">"Strategy “" {t.strategy.clone()} "”" {why} {related} {take_over} " · " <a href=format!("/rollouts/{}/stacks", t.id)>"All stacks as a list"</a></p>
        }
    })
    .await
}

/// What its waves change inside their stacks, where that can be told.
fn inside(rollout: ProcessId, known: &[WaveChanges], may: bool) -> AnyView {
    let told = known.iter().filter(|w| w.standing != PreviewStanding::Nothing);
    let waves: Vec<_> =
        told.map(|w| changes::wave(w, changes::ask(rollout, w, None).filter(|_| may))).collect();
    let some = !waves.is_empty();
    // The region is there before there is something in it, so that it fills by itself.
    view! {
        <div id="changes" data-live="preview,rollout">
            {some.then(|| view! { <section class="section"><header class="section-head"><h2>"What changes inside the stacks"</h2></header>{waves}</section> })}
        </div>
    }
    .into_any()
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Counted from 1; empty for all.
    wave: String,
    state: String,
    q: String,
    after: usize,
}

impl Wanted {
    fn link(&self, rollout: ProcessId, state: &str, after: usize) -> String {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        format!(
            "/rollouts/{rollout}/stacks?wave={}&state={}&q={}&after={after}",
            encode(&self.wave),
            encode(state),
            encode(&self.q)
        )
    }
}

/// The stacks of a rollout that fit a filter, failures first.
pub async fn stacks(
    State(ui): State<Ui>,
    member: Member,
    Path(text): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let frame = member.frame("/rollouts");
    let rollout: ProcessId = page!(ui, frame, id(&text, "the rollout"));
    let wave: Option<usize> = wanted.wave.parse().ok().filter(|n| *n > 0).map(|n: usize| n - 1);
    let filter = StackFilter {
        wave,
        state: wanted.state.clone(),
        search: wanted.q.clone(),
        after: wanted.after,
        limit: PAGE,
    };
    let found = page!(ui, frame, ui.service.rollout_stacks(&member.actor, rollout, &filter).await);
    let flash = member.flash().await;
    let title = format!("Stacks of {}", found.timeline.title);
    render(&ui, StatusCode::OK, frame, title.clone(), flash, move || {
        let t = &found.timeline;
        let mut waves = vec![view! { <option value="">"any"</option> }.into_any()];
        waves.extend(t.waves.iter().enumerate().map(|(i, w)| {
            view! { <option value=(i + 1).to_string() selected=wave == Some(i)>{format!("{} {}", i + 1, w.name)}</option> }.into_any()
        }));
        let mut states = vec![view! { <option value="">"any"</option> }.into_any()];
        states.extend(service::cell_states().into_iter().map(|(word, label)| {
            view! { <option value=word selected=wanted.state == word>{label}</option> }.into_any()
        }));
        let tallies: Vec<_> = found
            .counts
            .iter()
            .map(|(state, n)| {
                let current = (wanted.state == *state).then_some("true");
                let href = wanted.link(rollout, if current.is_some() { "" } else { state }, 0);
                view! { <a class="state" data-state=state.clone() href=href aria-current=current>{n.to_string()} " " {state_label(state).to_owned()}</a> }
            })
            .collect();
        let rows: Vec<_> = found
            .rows
            .iter()
            .map(|(w, cell)| {
                let wave = t.waves.get(*w).map_or_else(String::new, |v| format!("{} {}", w + 1, v.name));
                view! {
                    <tr data-key=cell.stack.to_string() data-state=cell.state.clone()>
                        <td class="cell-main" data-label="Stack"><a href=format!("/stacks/{}", cell.stack)>{cell.name.clone()}</a></td>
                        <td data-label="State"><span class="state" data-state=cell.state.clone()>{state_label(&cell.state).to_owned()}</span></td>
                        <td data-label="Wave">{wave}</td>
                        <td class="num" data-label="Tenants">{cell.tenants}</td>
                        <td data-label="Reason">{cell.detail.clone()}</td>
                    </tr>
                }
            })
            .collect();
        let (shown, total, after) = (rows.len(), found.total, wanted.after);
        let body = if rows.is_empty() {
            view! { <div class="empty">{icon("rollouts")}<h2>"No stack fits"</h2><p>"Choose another wave or state, or search for less."</p></div> }.into_any()
        } else {
            view! { <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Stacks"</caption>
                <thead><tr><th scope="col">"Stack"</th><th scope="col">"State"</th><th scope="col">"Wave"</th><th scope="col" class="num">"Tenants"</th><th scope="col">"Reason"</th></tr></thead>
                <tbody>{rows}</tbody></table></div> }.into_any()
        };
        let earlier = (after > 0).then(|| wanted.link(rollout, &wanted.state, after.saturating_sub(PAGE)));
        let later = (after + shown < total).then(|| wanted.link(rollout, &wanted.state, after + PAGE));
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/rollouts">"Rollouts"</a></li><li><a href=format!("/rollouts/{rollout}")>{t.title.clone()}</a></li><li aria-current="page">"Stacks"</li></ol></nav>
            <header class="page-head"><div><h1>{title.clone()}</h1><p class="lede" id="rollout-lede" data-live="rollout">{t.sentence.clone()}</p></div></header>
            <form class="toolbar" method="get" action=format!("/rollouts/{rollout}/stacks") role="search">
                <label class="search">{icon("search")}<span class="visually-hidden">"Search"</span>
                    <input type="search" name="q" placeholder="Name or reason" value=wanted.q.clone() /></label>
                <div class="filters">
                    <label class="filter"><span>"Wave"</span><select name="wave">{waves}</select></label>
                    <label class="filter"><span>"State"</span><select name="state">{states}</select></label>
                </div>
                <button class="btn" type="submit">"Show"</button>
                <a class="btn btn-quiet" href=format!("/rollouts/{rollout}/stacks")>"Clear"</a>
            </form>
            <div id="rollout-stacks" data-live="rollout">
                <p class="tallies">{count(total as i64, "stack")} ": " {tallies}</p>
                {body}
                <nav class="pagination" aria-label="Pages">
                    {earlier.map(|href| view! { <a class="btn btn-small" rel="prev" href=href>"Back"</a> })}
                    {(total > shown).then(|| view! { <span class="muted small">{format!("{} to {} of {total}", after + 1, after + shown)}</span> })}
                    {later.map(|href| view! { <a class="btn btn-small" rel="next" href=href>"Next"</a> })}
                </nav>
            </div>
        }
    })
    .await
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Verb {
    verb: String,
}

/// The question before a rollout is paused, rolled back or stopped, as a page: for browsers without scripts.
pub async fn confirm(
    State(ui): State<Ui>,
    member: Member,
    Path(text): Path<String>,
    Query(Verb { verb }): Query<Verb>,
) -> Response {
    let frame = member.frame("/rollouts");
    let rollout: ProcessId = page!(ui, frame, id(&text, "the rollout"));
    page!(ui, frame, member.actor.require(Permission::Rollouts).map_err(Error::from));
    let timeline = page!(ui, frame, ui.service.timeline(&member.actor, rollout).await);
    let flash = member.flash().await;
    let choice = timeline.steering.iter().find(|c| c.verb == verb).cloned();
    let title = timeline.title.clone();
    let heading = choice.as_ref().map_or_else(|| title.clone(), |c| format!("{} {title}?", c.label));
    render(&ui, StatusCode::OK, frame, heading.clone(), flash, move || {
        let back = format!("/rollouts/{rollout}");
        let body = match choice.clone() {
            None => view! { <p class="alert alert-warning">"This is not possible now: the rollout has gone on meanwhile."</p><a class="btn" href=back.clone()>"Back to the rollout"</a> }.into_any(),
            Some(choice) => {
                let class = if choice.verb == "pause" { "btn" } else { "btn btn-danger" };
                let needs = choice.verb == "override";
                let part = (choice.verb == "rollback").then(|| view! { <p><a href=format!("{back}/rollback")>"See which stacks, or take back a part"</a></p> });
                view! {
                    {part}
                    <form class="form" method="post" action="/do/steer">
                        <p>{choice.effect}</p>
                        <input type="hidden" name="id" value=rollout.to_string() />
                        <input type="hidden" name="verb" value=choice.verb />
                        <div class="field"><label for="comment">"Reason"</label>
                            <p class="hint" id="comment-h">"Others read it in the record and on the page of the rollout."</p>
                            <textarea id="comment" name="comment" rows="2" maxlength="500" required=needs aria-describedby="comment-h"></textarea></div>
                        <div class="form-actions"><button class=class type="submit">{choice.label}</button><a class="btn" href=back.clone()>"Cancel"</a></div>
                    </form>
                }
                .into_any()
            }
        };
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/rollouts">"Rollouts"</a></li><li><a href=back.clone()>{title.clone()}</a></li><li aria-current="page">"Steer"</li></ol></nav>
            <header class="page-head"><h1>{heading.clone()}</h1></header>
            {body}
        }
    })
    .await
}

/// Pauses, resumes, stops, retries, rolls back, overrides windows.
#[server(prefix = "/do", endpoint = "steer")]
pub async fn steer(
    id: String,
    verb: String,
    #[server(default)] comment: String,
) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let rollout: ProcessId = super::id(&id, "the rollout")?;
        let command = command(&verb, &comment)?;
        service.steer(&actor, rollout, command).await?;
        Ok((format!("/rollouts/{rollout}"), None))
    };
    answer(doing.await, &()).await
}

fn command(verb: &str, comment: &str) -> Result<Command, Error> {
    let comment = domain::fields::bounded_text(comment, 500).map_err(|e| e.within("comment"))?;
    Ok(match verb {
        "pause" => Command::Pause { comment },
        "resume" => Command::Resume,
        "retry" => Command::Retry,
        "rollback" => Command::Rollback { comment },
        "stop" => Command::Stop { rollback: false, comment },
        "override" => Command::OverrideWindows { stack: None, comment },
        "enter" => Command::Enter { comment },
        _ => {
            let verbs = "must be pause, resume, retry, enter, rollback, stop or override";
            return Err(Error::field("verb", verbs));
        }
    })
}
