//! Rollouts: the list, and a new one with its plan.

use super::{changes, page};
use crate::parts::{count, icon, post, state, time};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Query, State};
use axum::response::Response;
use domain::Timestamp;
use domain::access::Permission;
use domain::course::Former;
use domain::plan::{Change, Plan};
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{Error, Preview, PreviewStanding, StartRollout as NewRollout, WaveChanges};

/// So many rollouts on a page.
const PAGE: usize = 50;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Older {
    /// Rollouts that started before this, in milliseconds.
    before: Option<i64>,
}

pub async fn list(State(ui): State<Ui>, member: Member, Query(older): Query<Older>) -> Response {
    let frame = member.frame("/rollouts");
    let before = older.before.map(Timestamp);
    let one_more = u32::try_from(PAGE + 1).unwrap_or(u32::MAX);
    let mut rows = page!(ui, frame, ui.service.rollouts_before(&member.actor, before, one_more).await);
    let rest = rows.len() > PAGE;
    rows.truncate(PAGE);
    let older = rows.last().filter(|_| rest).map(|r| format!("/rollouts?before={}", r.started_at.0));
    let flash = member.flash().await;
    let start = member.actor.may(Permission::Rollouts);
    render(&ui, StatusCode::OK, frame, "Rollouts", flash, move || {
        let lines: Vec<_> = rows
            .iter()
            .map(|r| view! {
                <tr data-state=r.summary.status.clone()>
                    <td class="cell-main" data-label="Rollout"><a href=format!("/rollouts/{}", r.id)>{r.summary.title.clone()}</a></td>
                    <td data-label="State">{state(&r.summary.status)}</td>
                    <td data-label="Where it is">{r.summary.sentence.clone()}</td>
                    <td data-label="Started">{time(r.started_at)}</td>
                </tr>
            })
            .collect();
        let body = if lines.is_empty() && before.is_some() {
            view! { <p class="muted">"There are no older rollouts."</p> }.into_any()
        } else if lines.is_empty() {
            view! { <div class="empty">{icon("rollouts")}<h2>"No rollouts yet"</h2><p>"Register a release, then take it to your tenants in waves."</p></div> }.into_any()
        } else {
            view! { <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Rollouts"</caption>
                <thead><tr><th scope="col">"Rollout"</th><th scope="col">"State"</th><th scope="col">"Where it is"</th><th scope="col">"Started"</th></tr></thead>
                <tbody>{lines}</tbody></table></div> }.into_any()
        };
        view! {
            <header class="page-head"><div><h1>"Rollouts"</h1></div>
                <div class="actions">{start.then(|| view! { <a class="btn btn-primary" href="/rollouts/new">"Start a rollout"</a> })}</div></header>
            <div id="rollouts" data-live="rollout">{body}</div>
            <nav class="pagination" aria-label="Pages">
                {before.map(|_| view! { <a class="btn btn-small" href="/rollouts">"Newest"</a> })}
                {older.clone().map(|href| view! { <a class="btn btn-small" rel="next" href=href>"Older"</a> })}
            </nav>
        }
    })
    .await
}

/// What the form in the address says; `tiers` may stand there several times.
#[derive(Clone, Default)]
pub struct Wanted {
    version: String,
    strategy: String,
    tiers: Vec<String>,
    comment: String,
    even_if_bad: bool,
    supersedes: String,
}

impl Wanted {
    fn of(pairs: Vec<(String, String)>) -> Self {
        let mut wanted = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "version" => wanted.version = value,
                "strategy" => wanted.strategy = value,
                "tiers" => wanted.tiers.extend(keys(&value)),
                "comment" => wanted.comment = value,
                "even_if_bad" => wanted.even_if_bad = !value.is_empty(),
                "supersedes" => wanted.supersedes = value,
                _ => {}
            }
        }
        wanted
    }

    fn form(&self) -> NewRollout {
        NewRollout {
            version: self.version.clone(),
            tiers: self.tiers.clone(),
            strategy: self.strategy.clone(),
            comment: self.comment.clone(),
            plan_hash: String::new(),
            even_if_bad: self.even_if_bad,
            supersedes: self.supersedes.clone(),
        }
    }
}

/// `basic,premium` as keys.
fn keys(text: &str) -> impl Iterator<Item = String> + use<'_> {
    text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned)
}

pub async fn new(
    State(ui): State<Ui>,
    member: Member,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let frame = member.frame("/rollouts");
    let mut wanted = Wanted::of(pairs);
    page!(ui, frame, member.actor.require(Permission::Rollouts).map_err(Error::from));
    let (releases, live) = page!(ui, frame, ui.service.releases(&member.actor).await);
    let strategies = page!(ui, frame, ui.service.strategies(&member.actor).await);
    let tiers = page!(ui, frame, ui.service.tiers(&member.actor).await);
    let flash = member.flash().await;
    if wanted.strategy.is_empty() {
        wanted.strategy = strategies.first().map(|s| s.spec.name.to_string()).unwrap_or_default();
    }
    if wanted.version.is_empty() && wanted.tiers.is_empty() {
        let fresh = releases
            .iter()
            .filter(|r| r.bad.is_none() && live.as_ref().is_none_or(|l| l.version < r.version));
        wanted.version =
            fresh.max_by(|a, b| a.version.cmp(&b.version)).map(|r| r.version.to_string()).unwrap_or_default();
    }
    let ready = !wanted.version.is_empty() || !wanted.tiers.is_empty();
    let preview = if ready { Some(ui.service.preview(&member.actor, &wanted.form()).await) } else { None };
    let known = match &preview {
        Some(Ok(_)) => ui.service.plan_changes(&member.actor, &wanted.form()).await.unwrap_or_default(),
        _ => vec![],
    };
    let open = match &preview {
        Some(Ok(preview)) => preview.open.clone(),
        Some(Err(_)) | None => None,
    };
    let preview = match preview {
        Some(Ok(preview)) => Some(Ok(preview)),
        Some(Err(error)) => Some(Err(error.to_string())),
        None => None,
    };
    render(&ui, StatusCode::OK, frame, "Start a rollout", flash, move || {
        let keep = view! { <option value="">"keep the live one"</option> };
        let versions: Vec<_> = releases
            .iter()
            .map(|r| {
                let text = format!("{}{}", r.version, if r.bad.is_some() { " (marked as bad)" } else { "" });
                let version = r.version.to_string();
                let selected = version == wanted.version;
                view! { <option value=version selected=selected>{text}</option> }
            })
            .collect();
        let names: Vec<_> = strategies
            .iter()
            .map(|s| view! { <option value=s.spec.name.to_string() selected=s.spec.name.as_str() == wanted.strategy>{s.spec.name.to_string()}</option> })
            .collect();
        let edited: Vec<_> = tiers
            .iter()
            .filter(|t| t.live != Some(t.tier.revision))
            .map(|t| {
                let key = t.tier.key.to_string();
                let checked = wanted.tiers.contains(&key);
                let text = format!("{} revision {}", t.tier.spec.name, t.tier.revision);
                view! { <label class="check"><input type="checkbox" name="tiers" value=key checked=checked /><span>{text}</span></label> }
            })
            .collect();
        let edited = (!edited.is_empty()).then(|| view! {
            <fieldset class="field"><legend>"Edited tiers that go out with it"</legend>{edited}</fieldset>
        });
        let shown = match &preview {
            None => view! { <p class="muted">"Choose a release or a tier, then look at the plan."</p> }.into_any(),
            Some(Err(text)) => view! { <p class="alert alert-warning">{text.clone()}</p> }.into_any(),
            Some(Ok(preview)) => plan(preview, &known, &wanted).into_any(),
        };
        view! {
            <header class="page-head"><h1>"Start a rollout"</h1></header>
            <form class="form" method="get" action="/rollouts/new">
                <div class="field-row">
                    <div class="field"><label for="version">"Release"</label><select id="version" name="version">{keep}{versions}</select></div>
                    <div class="field"><label for="strategy">"Strategy"</label><select id="strategy" name="strategy">{names}</select></div>
                </div>
                {edited}
                <label class="check"><input type="checkbox" name="even_if_bad" value="1" checked=wanted.even_if_bad /><span>"Even if it is marked as bad"</span></label>
                {takes_over(open.as_ref())}
                <div class="form-actions"><button class="btn" type="submit">"Show the plan"</button></div>
            </form>
            {shown}
        }
    })
    .await
}

/// The rollout that is open, and whether the new one takes over from it.
fn takes_over(open: Option<&(Former, bool)>) -> Option<impl IntoView + use<>> {
    let (former, takes) = open?;
    let text = format!("Take over from {}, which is open", former.title);
    let (id, takes) = (former.rollout.to_string(), *takes);
    Some(view! {
        <label class="check"><input type="checkbox" name="supersedes" value=id checked=takes /><span>{text}</span></label>
        <p class="hint">"It ends as superseded when the new one starts, and stacks on its version go straight to the new one."</p>
    })
}

/// Which versions stacks leave, and what changes of parameters, tier by tier.
fn ways(plan: &Plan) -> AnyView {
    let paths = plan.paths();
    let lines: Vec<_> = paths
        .iter()
        // Where a tier goes out alone, the version stays.
        .filter(|path| path.from.as_ref() != Some(&path.to))
        .map(|path| {
            let from = path.from.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
            let note = path.in_between.then(|| view! { " " <span class="badge">"from in between"</span> });
            let (stacks, tenants) = (count(i64::from(path.stacks), "stack"), count(i64::from(path.tenants), "tenant"));
            view! { <li><del>{from}</del> " " <ins>{path.to.to_string()}</ins> " " <span class="num">{stacks} " · " {tenants}</span>{note}</li> }
        })
        .collect();
    let tiers: Vec<_> = plan
        .tier_changes()
        .iter()
        .map(|change| {
            let (from, to) = change.revisions;
            let revision = if from == to { format!("r{to}") } else { format!("r{from} → r{to}") };
            let changes: Vec<_> = change
                .changes
                .iter()
                .map(|(name, from, to)| {
                    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
                    view! { <li><span class="diff-key">{name.clone()}</span> <del>{text(from)}</del> " " <ins>{text(to)}</ins></li> }
                })
                .collect();
            let changes = if changes.is_empty() {
                view! { <p class="small muted">"Nothing that a stack can notice: it is not touched by the revision alone."</p> }.into_any()
            } else {
                view! { <ul class="diff">{changes}</ul> }.into_any()
            };
            let reach = format!("{} · {}", count(i64::from(change.stacks), "stack"), count(i64::from(change.tenants), "tenant"));
            view! { <li><b>{change.tier.to_string()}</b> " " {revision} " " <span class="num">{reach}</span>{changes}</li> }
        })
        .collect();
    let tiers = (!tiers.is_empty())
        .then(|| view! { <h3>"Parameters that change"</h3><ul class="selection">{tiers}</ul> });
    let paths = (!lines.is_empty()).then(|| view! { <ul class="diff">{lines}</ul> });
    view! { {paths}{tiers} }.into_any()
}

fn plan(preview: &Preview, known: &[WaveChanges], wanted: &Wanted) -> impl IntoView + use<> {
    let waves: Vec<_> = preview
        .plan
        .waves
        .iter()
        .map(|w| {
            let radius = w.blast_radius();
            let changing: Vec<_> =
                w.steps.iter().filter(|s| matches!(s.change, Change::Create | Change::Update)).collect();
            let names: Vec<_> = changing.iter().take(8).map(|s| s.name.clone()).collect();
            let rest = changing.len().saturating_sub(names.len());
            let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            let already = w.steps.iter().filter(|s| s.change == Change::None).count() as i64;
            let already = (already > 0).then(|| view! {
                <p class="small muted">{count(already, "stack")} " already there"</p>
            });
            let blocked = w.steps.iter().filter_map(|s| match &s.change {
                Change::Blocked(reason) => Some(view! {
                    <p class="small"><span class="state" data-state="blocked">"Left out"</span> " " {s.name.clone()} ": " {reason.sentence.clone()}</p>
                }),
                Change::Create | Change::Update | Change::None => None,
            });
            let blocked: Vec<_> = blocked.take(20).collect();
            let gate = if w.spec.gate.is_open() { "no gate".to_owned() } else {
                let mut parts = vec![];
                if w.spec.gate.bake > domain::Span::ZERO { parts.push(format!("bake {}", w.spec.gate.bake)); }
                parts.extend(w.spec.gate.checks.iter().map(ToString::to_string));
                if let Some(a) = &w.spec.gate.approval { parts.push(count(i64::from(a.people()), "approval")); }
                parts.join(", ")
            };
            view! {
                <li><b>{w.spec.name.to_string()}</b> " " <span class="num">{count(i64::from(radius.tenants), "tenant")} " · " {count(i64::from(radius.stacks), "stack")}</span>
                    <p class="small muted">{names.join(", ")}{more}</p>{already}{blocked}<p class="small">"Gate: " {gate}</p></li>
            }
        })
        .collect();
    let start = match &preview.obstacle {
        Some(text) => view! { <p class="alert alert-warning">{text.clone()}</p> }.into_any(),
        None => view! {
            <form class="form" method="post" action="/do/start_rollout">
                <input type="hidden" name="form[version]" value=wanted.version.clone() />
                <input type="hidden" name="form[tier]" value=wanted.tiers.join(",") />
                <input type="hidden" name="form[strategy]" value=wanted.strategy.clone() />
                <input type="hidden" name="form[even_if_bad]" value=if wanted.even_if_bad { "1" } else { "" } />
                <input type="hidden" name="form[supersedes]" value=wanted.supersedes.clone() />
                <input type="hidden" name="form[plan_hash]" value=preview.plan.hash.clone() />
                <div class="field"><label for="comment">"Comment"</label><input id="comment" name="form[comment]" maxlength="500" required=wanted.even_if_bad value=wanted.comment.clone() /></div>
                <div class="form-actions"><button class="btn btn-primary" type="submit">"Start " {preview.title.clone()}</button></div>
            </form>
        }
        .into_any(),
    };
    view! {
        <section class="section"><header class="section-head"><h2>"The plan"</h2></header>
            <p class="live-sentence">{format!("{} changes {} on {} in {}.", preview.title, count(i64::from(preview.radius.tenants), "tenant"), count(i64::from(preview.radius.stacks), "stack"), count(preview.plan.waves.len() as i64, "wave"))}</p>
            {ways(&preview.plan)}
            <ol class="selection">{waves}</ol>
            {super::windows::waits(&preview.closed)}
            {inside(known, wanted)}
            {start}
        </section>
    }
}

/// What the waves would change inside their stacks, where that can be told.
fn inside(known: &[WaveChanges], wanted: &Wanted) -> Option<AnyView> {
    let told: Vec<_> = known.iter().filter(|w| w.standing != PreviewStanding::Nothing).collect();
    if told.is_empty() {
        return None;
    }
    let waiting = told.iter().any(|w| matches!(w.standing, PreviewStanding::Waiting { .. }));
    let seen = told.iter().all(|w| w.standing == PreviewStanding::Previewed);
    let ask = (!waiting).then(|| {
        let values = [
            ("form[version]", wanted.version.clone()),
            ("form[tier]", wanted.tiers.join(",")),
            ("form[strategy]", wanted.strategy.clone()),
            ("form[even_if_bad]", if wanted.even_if_bad { "1".to_owned() } else { String::new() }),
            ("form[supersedes]", wanted.supersedes.clone()),
        ];
        post("ask_plan_changes", if seen { "Preview again" } else { "Preview changes" }, "btn", &values)
    });
    let waves: Vec<_> = told.into_iter().map(|w| changes::wave(w, None)).collect();
    Some(
        view! {
            <div id="changes" data-live="preview"><section class="section" data-key="inside">
                <header class="section-head"><h2>"What changes inside the stacks"</h2>{ask}</header>{waves}</section></div>
        }
        .into_any(),
    )
}

/// What the form says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    #[serde(default)]
    version: String,
    #[serde(default)]
    tier: String,
    strategy: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    plan_hash: String,
    #[serde(default)]
    even_if_bad: String,
    #[serde(default)]
    supersedes: String,
}

/// Starts a rollout.
#[server(prefix = "/do", endpoint = "start_rollout")]
pub async fn start_rollout(form: Start) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let start = NewRollout {
            version: form.version.clone(),
            tiers: keys(&form.tier).collect(),
            strategy: form.strategy.clone(),
            comment: form.comment.clone(),
            plan_hash: form.plan_hash.clone(),
            even_if_bad: !form.even_if_bad.is_empty(),
            supersedes: form.supersedes.clone(),
        };
        let id = service.start_rollout(&actor, &start).await?;
        Ok((format!("/rollouts/{id}"), None))
    };
    answer(doing.await, &form).await
}
