//! The first page: who runs what, what runs, what waits, who is behind.

use super::{drift, fleet, page, pools};
use crate::parts::{capital, count, feed, link, post, state, time};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::State;
use axum::response::Response;
use domain::access::Permission;
use domain::fleet::{Why, header};
use domain::{Span, Timestamp};
use http::StatusCode;
use leptos::prelude::*;
use service::{Checklist, Inbox, NewRelease, NewTenant, Overview, SessionUser, StartRollout};
use store::{FleetRow, OpenGate};

pub async fn show(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/");
    let data = page!(ui, frame, ui.service.overview(&member.actor).await);
    let inbox = page!(ui, frame, ui.service.inbox(&member.actor).await);
    let flash = member.flash().await;
    let (user, now) = (member.user.clone(), ui.service.now());
    render(&ui, StatusCode::OK, frame, "Overview", flash, move || body(data.clone(), &inbox, &user, now))
        .await
}

fn body(data: Overview, inbox: &Inbox, user: &SessionUser, now: Timestamp) -> impl IntoView + use<> {
    let may = user.role.permissions();
    let live = data.live.as_ref().map(|r| r.version.to_string());
    let total: i64 = data.versions.iter().map(|v| v.tenants).sum();
    let lede = match &live {
        Some(_) => law(&data, total, now),
        None => "No release is live yet.".to_owned(),
    };
    view! {
        <header class="page-head"><div><h1>"Overview"</h1><p class="lede" id="overview-lede" data-live>{lede}</p></div>
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
                        <p>{capital(&r.summary.sentence)}</p></div>
                    </li></ul>
                </section>
            })}
            {fleet::attention(data.alarm.as_ref())}
            {drift::attention(data.drifted)}
            {pools::attention(&data.full_pools)}
            {needs_you(&data, inbox, user)}
            <section class="section"><header class="section-head"><h2>"Who runs what"</h2></header>{matrix(&data, live.as_deref())}</section>
            {health(&data)}
            {behind(&data, may.contains(&Permission::Rollouts))}
            <div class="grid-2 section">
                {newest(&data)}
                <section><header class="section-head"><h2>"Latest activity"</h2><a href="/activity">"All activity"</a></header>{feed(data.activity.clone())}</section>
            </div>
        </div>
    }
}

/// The single-version law in one sentence.
fn law(data: &Overview, total: i64, now: Timestamp) -> String {
    let live = data.live.as_ref().map(|r| r.version.to_string());
    let Some(version) = &live else { return String::new() };
    if total == 0 {
        return format!("{version} is live; nobody runs it yet.");
    }
    let sum = |rank: &str| -> i64 {
        data.versions.iter().filter(|v| rank_of(data, v.version.as_deref()) == rank).map(|v| v.tenants).sum()
    };
    let (on, ahead) = (sum("current"), sum("next"));
    if on == total {
        return format!("All {} run {version}.", count(total, "tenant"));
    }
    let other = |b: &&FleetRow| b.version != live && rank_of(data, b.version.as_deref()) != "next";
    let oldest = data.behind.iter().map(|line| &line.row).filter(other).map(|b| b.since).min();
    let by = oldest.map(|since| format!(", the oldest by {}", age(now - since))).unwrap_or_default();
    let late = total - on - ahead;
    let behind = if late > 0 { format!("; {late} behind{by}") } else { String::new() };
    if ahead == total {
        return format!("All {} have what is being rolled out.", count(total, "tenant"));
    }
    if ahead > 0 {
        return format!(
            "{ahead} of {} have what is being rolled out, {on} run {version}{behind}.",
            count(total, "tenant")
        );
    }
    // 99.97 % must not read as all of them.
    let share = (on as f64 * 1000.0 / total as f64).floor() / 10.0;
    format!("{share:.1} % of {} run {version}{behind}.", count(total, "tenant"))
}

/// How a version stands to the live one: `current`, `next` where a rollout has come, `behind`, or `failed` for none.
fn rank_of(data: &Overview, version: Option<&str>) -> &'static str {
    let Some(version) = version else { return "failed" };
    let Some(live) = data.live.as_ref().map(|r| &r.version) else { return "behind" };
    match domain::release::parse_version(version) {
        Ok(version) if version == *live => "current",
        Ok(version) if data.rollout.is_some() && version > *live => "next",
        _ => "behind",
    }
}

/// `2 days`, or shorter spans as they are.
fn age(span: Span) -> String {
    let days = span.0 / Span::days(1).0;
    if days >= 1 { count(days, "day") } else { span.max(Span::minutes(1)).to_string() }
}

fn health(data: &Overview) -> Option<impl IntoView + use<>> {
    let h = data.health;
    if h.all == 0 {
        return None;
    }
    let tenants = |state: &str| data.states.iter().find(|(s, _)| s == state).map_or(0, |(_, n)| *n);
    let stat = |label: &'static str, n: i64, href: Option<&'static str>, tone: &'static str| {
        let class = if n > 0 { tone } else { "" };
        let text = match href.filter(|_| n > 0) {
            Some(href) => view! { <a href=href>{n}</a> }.into_any(),
            None => n.into_any(),
        };
        view! { <div class="stat"><dt>{label}</dt><dd class=class>{text}</dd></div> }
    };
    Some(view! {
        <section class="section"><header class="section-head"><h2>"Health"</h2></header>
            <dl class="stats">
                {stat("Tenants served", tenants("active"), Some("/tenants?state=active"), "")}
                {stat("Suspended", tenants("suspended"), Some("/tenants?state=suspended"), "tone-warn")}
                {stat("Onboarding failed", tenants("failed"), Some("/tenants?state=failed"), "tone-bad")}
                {stat("Stacks", h.all, None, "")}
                {stat("Being changed", h.busy, None, "")}
                {stat("With a failure", h.failed, None, "tone-bad")}
            </dl>
        </section>
    })
}

/// The newest tenants: recent onboardings and how they went.
fn newest(data: &Overview) -> Option<impl IntoView + use<>> {
    if data.newest.is_empty() {
        return None;
    }
    let rows: Vec<_> = data
        .newest
        .iter()
        .map(|r| {
            let t = &r.tenant;
            view! {
                <li class="inbox-item" data-state=t.state.word()>
                    <div><h3><a href=format!("/tenants/{}", t.id)>{t.name.to_string()}</a></h3><p>{r.tier_key.clone()} " · " {time(t.created_at)}</p></div>
                    {state(t.state.word())}
                </li>
            }
        })
        .collect();
    Some(
        view! { <section><header class="section-head"><h2>"Recent onboardings"</h2><a href="/tenants?sort=newest">"All, newest first"</a></header><ul class="inbox">{rows}</ul></section> },
    )
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

fn gate(g: &OpenGate, others: Option<&str>) -> (bool, AnyView) {
    let href = format!("/gates/{}/{}", g.rollout, g.wave + 1);
    let who = g.group.as_ref().map(|g| format!(" from {g}")).unwrap_or_default();
    let mine = others.is_none();
    let review = mine.then(|| view! { <div class="actions"><a class="btn btn-primary btn-small" href=href.clone()>"Review"</a></div> });
    let why = others.map(|why| view! { <p class="muted">{capital(why)}</p> });
    let item = view! {
        <li class="inbox-item" data-state="gated">
            <div><h3><a href=href>{g.title.clone()}</a></h3><p>{format!("Waits for {}{who}", count(i64::from(g.missing), "approval"))}</p>{why}</div>
            {review}
        </li>
    };
    (mine, item.into_any())
}

fn needs_you(data: &Overview, inbox: &Inbox, user: &SessionUser) -> impl IntoView + use<> {
    let may = user.role.permissions();
    let yours = inbox.yours.iter().map(|g| gate(g, None));
    let gates = yours.chain(inbox.others.iter().map(|(g, why)| gate(g, Some(why))));
    let stuck = data.stuck.iter().filter(|p| p.summary.status != "running").map(|p| {
        use domain::process::ProcessKind as Kind;
        let (href, mine) = match (p.kind, p.summary.subject) {
            (Kind::Rollout, _) | (_, None) => (format!("/rollouts/{}", p.id), Permission::Rollouts),
            (Kind::Repair, Some(id)) => (format!("/stacks/{id}"), Permission::Rollouts),
            (Kind::Onboarding | Kind::Offboarding | Kind::TierChange, Some(id)) => (format!("/tenants/{id}"), Permission::Tenants),
        };
        let item = view! {
            <li class="inbox-item" data-state=p.summary.status.clone()>
                <div><h3><a href=href>{p.summary.title.clone()}</a></h3><p>{capital(&p.summary.sentence)}</p></div>
            </li>
        };
        (may.contains(&mine), item.into_any())
    });
    let answers = may.contains(&Permission::Tenants);
    let signups = data.signups.iter().map(|s| {
        let buttons = answers.then(|| view! {
            <div class="actions">
                {post("answer_signup", "Accept", "btn btn-primary btn-small", &[("id", s.id.to_string()), ("accept", "true".into())])}
                {post("answer_signup", "Decline", "btn btn-small", &[("id", s.id.to_string()), ("accept", "false".into())])}
            </div>
        });
        let item = view! {
            <li class="inbox-item" data-state="waiting">
                <div><h3>{s.organisation.to_string()} " asks to join"</h3><p>{s.email.to_string()} " · " {time(s.created_at)}</p></div>
                {buttons}
            </li>
        };
        (answers, item.into_any())
    });
    let decides = may.contains(&Permission::Decide);
    let tasks = data.tasks.iter().map(|task| {
        let review = decides.then(|| view! { <div class="actions"><a class="btn btn-primary btn-small" href="/approvals">"Review"</a></div> });
        let item = view! {
            <li class="inbox-item" data-state="gated">
                <div><h3><a href="/approvals">{task.title.clone()}</a></h3><p>"A pipeline waits for a decision on wave " {task.wave.clone()} " · " {time(task.received_at)}</p></div>
                {review}
            </li>
        };
        (decides, item.into_any())
    });
    let (mine, others): (Vec<_>, Vec<_>) =
        gates.chain(tasks).chain(stuck).chain(signups).partition(|(mine, _)| *mine);
    let section = |title: &'static str, items: Vec<(bool, AnyView)>| {
        let items: Vec<_> = items.into_iter().map(|(_, item)| item).collect();
        (!items.is_empty()).then(|| view! { <section class="section"><header class="section-head"><h2>{title}</h2></header><ul class="inbox">{items}</ul></section> })
    };
    (section("Needs you", mine), section("Waits for others", others))
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
                    let rank = rank_of(data, v.version.as_deref());
                    let known = v.version.clone();
                    let label = match v.version {
                        Some(version) => format!("{} on {version}", v.tenants),
                        None => format!("{}: what they run is not proved", v.tenants),
                    };
                    let href = match &known {
                        Some(version) => link("/tenants", &[("tier", &tier), ("version", version)]),
                        None => link("/tenants", &[("tier", &tier)]),
                    };
                    view! { <a class="matrix-seg" data-rank=rank style:--n=v.tenants.to_string() href=href aria-label=label.clone() title=label>{v.tenants}</a> }
                })
                .collect();
            let share = (on_live as f64 * 1000.0 / all.max(1) as f64).floor() / 10.0;
            let share = if on_live == all { "100".to_owned() } else { format!("{share:.1}") };
            let sum = live.map(|v| format!("{share} % on {v}")).unwrap_or_default();
            view! {
                <div class="matrix-row">
                    <a class="matrix-name" href=link("/tenants", &[("tier", &tier)])>{tier.clone()} " " <small>{count(all, "tenant")}</small></a>
                    <div class="matrix-bar">{segments}</div>
                    <span class="matrix-sum">{sum}</span>
                </div>
            }
        })
        .collect();
    view! { <div class="matrix">{rows}</div> }.into_any()
}

/// Who is behind longest; all of them, and what can be done, are on the page of the fleet.
fn behind(data: &Overview, may_repair: bool) -> impl IntoView + use<> {
    let n: i64 = data.fleet.iter().filter(|(why, _)| *why != Why::InSync).map(|(_, n)| n).sum();
    if data.behind.is_empty() {
        return None;
    }
    let rows: Vec<_> = data
        .behind
        .iter()
        .map(|line| {
            let b = &line.row;
            let unproved = if b.why == Why::Unproved { "unknown" } else { "nothing" };
            let (verb, label) = if b.why == Why::Drifted { ("repair", "Repair") } else { ("converge", "Catch up") };
            let button = (may_repair && !b.busy && !b.attended).then(|| post(verb, label, "btn btn-small", &[("id", b.stack.to_string())]));
            view! {
                <tr>
                    <td class="cell-main" data-label="Stack"><a href=format!("/stacks/{}", b.stack)>{b.name.clone()}</a></td>
                    <td data-label="Runs">{b.version.clone().unwrap_or_else(|| unproved.to_owned())}</td>
                    <td data-label="Should run">{b.desired.clone().unwrap_or_default()}</td>
                    <td class="num" data-label="Tenants">{b.tenants}</td>
                    <td data-label="Why">{fleet::why(line)}</td>
                    <td data-label="Behind since">{time(b.since)}</td>
                    <td class="cell-actions">{button}</td>
                </tr>
            }
        })
        .collect();
    let all = format!("All {n} that differ");
    Some(view! {
        <section class="section"><header class="section-head"><h2>{format!("Catch-up list ({n})")}</h2><a href="/fleet?why=differs">{all}</a></header>
            <p class="muted">{header(&data.fleet)}</p>
            <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Stacks that do not run what they should"</caption>
                <thead><tr><th scope="col">"Stack"</th><th scope="col">"Runs"</th><th scope="col">"Should run"</th><th scope="col" class="num">"Tenants"</th><th scope="col">"Why"</th><th scope="col">"Behind since"</th><th scope="col"><span class="visually-hidden">"Actions"</span></th></tr></thead>
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
