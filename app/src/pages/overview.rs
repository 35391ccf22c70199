//! The first page: who runs what, what runs, what waits, who is behind.

use super::page;
use crate::parts::{count, feed, icon, post, state, time};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::State;
use axum::response::Response;
use domain::access::Permission;
use http::StatusCode;
use leptos::prelude::*;
use service::{Checklist, NewRelease, NewTenant, Overview, StartRollout};

pub async fn show(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/");
    let data = page!(ui, frame, ui.service.overview(&member.actor).await);
    let flash = member.flash().await;
    let may = member.user.role.permissions();
    render(&ui, StatusCode::OK, frame, "Overview", flash, move || body(data.clone(), may)).await
}

fn body(data: Overview, may: &'static [Permission]) -> impl IntoView {
    let live = data.live.as_ref().map(|r| r.version.to_string());
    let total: i64 = data.versions.iter().map(|v| v.tenants).sum();
    let lede = match &live {
        Some(version) => format!("{} · {version} is live", count(total, "tenant")),
        None => "No release is live yet".to_owned(),
    };
    view! {
        <header class="page-head"><div><h1>"Overview"</h1><p class="lede">{lede}</p></div>
            <div class="actions">
                {may.contains(&Permission::Rollouts).then(|| view! { <a class="btn btn-primary" href="/rollouts/new">"Start a rollout"</a> })}
            </div>
        </header>
        <div id="overview" data-live>
            {data.checklist.map(|list| checklist(list, may))}
            {data.rollout.clone().map(|r| view! {
                <section class="section"><header class="section-head"><h2>"Rollout"</h2></header>
                    <ul class="inbox"><li class="inbox-item" data-state=r.summary.status.clone()>
                        <div><h3><a href=format!("/rollouts/{}", r.id)>{r.summary.title.clone()}</a> " " {state(&r.summary.status)}</h3>
                        <p>{r.summary.sentence.clone()}</p></div>
                    </li></ul>
                </section>
            })}
            {needs_you(&data)}
            <section class="section"><header class="section-head"><h2>"Who runs what"</h2></header>{matrix(&data, live.as_deref())}</section>
            {behind(&data, may.contains(&Permission::Rollouts))}
            <section class="section"><header class="section-head"><h2>"Lately"</h2><a href="/activity">"All activity"</a></header>{feed(data.activity.clone())}</section>
        </div>
    }
}

fn checklist(list: Checklist, may: &[Permission]) -> impl IntoView + use<> {
    let item =
        |done: bool, title: &'static str, text: &'static str, href: &'static str, label: &'static str| {
            let state = if done { "done" } else { "todo" };
            view! {
                <li data-state=state><div><h3>{title}</h3><p>{text}</p></div>
                    {(!done).then(|| view! { <a class="btn" href=href>{label}</a> })}
                </li>
            }
        };
    let sample = (!list.tiers && may.contains(&Permission::Tiers))
        .then(|| post("sample", "Set up the sample", "btn btn-primary", &[]));
    view! {
        <section class="section"><header class="section-head"><h2>"First steps"</h2>{sample}</header>
            <ol class="checklist">
                {item(list.tiers, "Define your tiers", "What you sell, and how it runs: shared or dedicated, with which parameters.", "/tiers/new", "New tier")}
                {item(list.release, "Register a release and roll it out", "The first release goes live at once: nobody runs anything yet.", "/releases", "Register a release")}
                {item(list.tenants, "Add a tenant", "Or let customers sign up by themselves.", "/tenants/new", "New tenant")}
            </ol>
        </section>
    }
}

fn needs_you(data: &Overview) -> impl IntoView + use<> {
    let gates = data.gates.iter().map(|g| {
        let href = format!("/gates/{}/{}", g.rollout, g.wave + 1);
        view! {
            <li class="inbox-item" data-state="gated">
                <div><h3><a href=href.clone()>{g.title.clone()}</a></h3><p>{format!("waits for {}", count(i64::from(g.missing), "approval"))}</p></div>
                <div class="actions"><a class="btn btn-primary btn-small" href=href>"Review"</a></div>
            </li>
        }
        .into_any()
    });
    let stuck = data.stuck.iter().filter(|p| p.summary.status != "running").map(|p| {
        let href = match (p.kind, p.summary.subject) {
            (domain::process::ProcessKind::Rollout, _) | (_, None) => format!("/rollouts/{}", p.id),
            (domain::process::ProcessKind::Repair, Some(id)) => format!("/stacks/{id}"),
            (_, Some(id)) => format!("/tenants/{id}"),
        };
        view! {
            <li class="inbox-item" data-state=p.summary.status.clone()>
                <div><h3><a href=href>{p.summary.title.clone()}</a></h3><p>{p.summary.sentence.clone()}</p></div>
            </li>
        }
        .into_any()
    });
    let signups = data.signups.iter().map(|s| {
        view! {
            <li class="inbox-item" data-state="pending">
                <div><h3>{s.organisation.to_string()} " asks to join"</h3><p>{s.email.to_string()}</p></div>
                <div class="actions">
                    {post("answer_signup", "Accept", "btn btn-primary btn-small", &[("id", s.id.to_string()), ("accept", "true".into())])}
                    {post("answer_signup", "Decline", "btn btn-small", &[("id", s.id.to_string()), ("accept", "false".into())])}
                </div>
            </li>
        }
        .into_any()
    });
    let items: Vec<_> = gates.chain(stuck).chain(signups).collect();
    (!items.is_empty()).then(|| {
        view! { <section class="section"><header class="section-head"><h2>"Needs you"</h2></header><ul class="inbox">{items}</ul></section> }
    })
}

fn matrix(data: &Overview, live: Option<&str>) -> impl IntoView + use<> {
    if data.versions.is_empty() {
        return view! { <p class="muted">"As soon as tenants are active, this shows which of them run which version."</p> }.into_any();
    }
    let mut tiers: Vec<String> = data.versions.iter().map(|v| v.tier.clone()).collect();
    tiers.dedup();
    let rows: Vec<_> = tiers
        .into_iter()
        .map(|tier| {
            let of: Vec<_> = data.versions.iter().filter(|v| v.tier == tier).cloned().collect();
            let all: i64 = of.iter().map(|v| v.tenants).sum();
            let on_live: i64 = of.iter().filter(|v| v.version.as_deref() == live).map(|v| v.tenants).sum();
            let segments: Vec<_> = of
                .into_iter()
                .map(|v| {
                    let rank = if v.version.as_deref() == live { "current" } else if v.version.is_none() { "failed" } else { "behind" };
                    let version = v.version.unwrap_or_else(|| "nothing".into());
                    let label = format!("{} on {version}", v.tenants);
                    let href = format!("/tenants?tier={tier}&version={version}");
                    view! { <a class="matrix-seg" data-rank=rank style:--n=v.tenants.to_string() href=href aria-label=label.clone() title=label>{v.tenants}</a> }
                })
                .collect();
            let share = on_live as f64 * 100.0 / all.max(1) as f64;
            let sum = live.map(|v| format!("{share:.1} % on {v}")).unwrap_or_default();
            view! {
                <div class="matrix-row">
                    <a class="matrix-name" href=format!("/tenants?tier={tier}")>{tier.clone()} " " <small>{count(all, "tenant")}</small></a>
                    <div class="matrix-bar">{segments}</div>
                    <span class="matrix-sum">{sum}</span>
                </div>
            }
        })
        .collect();
    view! { <div class="matrix">{rows}</div> }.into_any()
}

fn behind(data: &Overview, may_repair: bool) -> impl IntoView + use<> {
    if data.behind.is_empty() {
        return None;
    }
    let in_rollout = data.rollout.is_some();
    let n = data.behind.len();
    let rows: Vec<_> = data
        .behind
        .iter()
        .take(50)
        .map(|b| {
            let why = match (&b.reason, b.busy) {
                (_, true) => "is being worked on".to_owned(),
                (Some(reason), _) => reason.sentence.clone(),
                (None, _) if in_rollout => "its wave has not come, or the rollout has not ended".to_owned(),
                (None, _) => "was not reached by the last rollout".to_owned(),
            };
            let button = (may_repair && !b.busy).then(|| post("converge", "Catch up", "btn btn-small", &[("id", b.stack.to_string())]));
            view! {
                <tr>
                    <td class="cell-main" data-label="Stack"><a href=format!("/stacks/{}", b.stack)>{b.name.clone()}</a></td>
                    <td data-label="Runs">{b.version.clone().unwrap_or_else(|| "nothing".into())}</td>
                    <td data-label="Should run">{b.desired.clone().unwrap_or_default()}</td>
                    <td class="num" data-label="Tenants">{b.tenants}</td>
                    <td data-label="Why">{why}</td>
                    <td data-label="Since">{time(b.since)}</td>
                    <td class="cell-actions">{button}</td>
                </tr>
            }
        })
        .collect();
    Some(view! {
        <section class="section"><header class="section-head"><h2>{icon("clock")} {format!(" Catch-up list ({n})")}</h2></header>
            <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Stacks that do not run what they should"</caption>
                <thead><tr><th scope="col">"Stack"</th><th scope="col">"Runs"</th><th scope="col">"Should run"</th><th scope="col" class="num">"Tenants"</th><th scope="col">"Why"</th><th scope="col">"Since"</th><th scope="col"><span class="visually-hidden">"Actions"</span></th></tr></thead>
                <tbody>{rows}</tbody></table></div>
        </section>
    })
}

/// Sets up the sample: two tiers, the first release live, a few tenants.
#[server(prefix = "/do", endpoint = "sample")]
pub async fn sample() -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.add_sample_tiers(&actor).await?;
        for build in sample::catalogue().into_iter().take(2) {
            let artifact = serde_json::json!({ "app": "orders", "build": build.version });
            let artifacts = [(domain::release::DriverKind::Local, artifact)].into();
            let release =
                NewRelease { version: build.version, artifacts, notes: build.notes, ..NewRelease::default() };
            service.add_release(&actor, release).await?;
        }
        let strategies = service.strategies(&actor).await?;
        let strategy = strategies.first().map(|s| s.spec.name.to_string()).unwrap_or_default();
        let start = StartRollout {
            version: "1.0.0".into(),
            strategy,
            comment: "the first release".into(),
            ..StartRollout::default()
        };
        service.start_rollout(&actor, &start).await?;
        for (name, tier) in [
            ("Alder Books", "basic"),
            ("Birch Bikes", "basic"),
            ("Cedar Clinic", "premium"),
            ("Elm Energy", "premium"),
        ] {
            let email = format!("admin@{}.example", name.to_lowercase().replace(' ', "-"));
            let tenant = NewTenant { name: name.into(), email, tier: tier.into(), ..NewTenant::default() };
            service.add_tenant(&actor, tenant).await?;
        }
        Ok(("/".to_owned(), Some("The sample is set up: two tiers, release 1.0.0 live, four tenants on their way. Release 1.1.0 waits to be rolled out.".to_owned())))
    };
    answer(doing.await, &()).await
}

/// Brings one stack to what it should run.
#[server(prefix = "/do", endpoint = "converge")]
pub async fn converge(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let id = super::id(&id, "the stack")?;
        service.converge(&actor, id).await?;
        Ok((format!("/stacks/{id}"), Some("It catches up now.".to_owned())))
    };
    answer(doing.await, &()).await
}
