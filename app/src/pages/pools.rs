//! Pools: how full the shared stacks of each tier are in each region, whom they take, and one more of them by hand.

use super::page;
use crate::parts::{capital, count, described, field_error, icon, post, state_as, time};
use crate::session::{Flash, Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::State;
use axum::response::Response;
use domain::StackId;
use domain::access::Permission;
use domain::placement::{PoolOrder, PoolState, Standing, WhenFull};
use http::StatusCode;
use leptos::prelude::*;
use serde::Serialize;
use service::{PoolAlarm, PoolCard, PoolForm, PoolGroup};

pub async fn show(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/tiers");
    let groups = page!(ui, frame, ui.service.pools(&member.actor).await);
    let flash = member.flash().await;
    let again = flash.clone();
    let may = member.actor.may(Permission::Tenants);
    render(&ui, StatusCode::OK, frame, "Pools", flash, move || {
        let pools: usize = groups.iter().map(|group| group.pools.len()).sum();
        let tenants: u64 = groups.iter().map(|group| group.occupancy.tenants).sum();
        let lede = format!(
            "{} for {}",
            count(pools as i64, "shared stack"),
            count(i64::try_from(tenants).unwrap_or(i64::MAX), "tenant")
        );
        let body = if groups.is_empty() {
            view! { <div class="empty">{icon("stack")}<h2>"No tier shares stacks"</h2><p>"Pools are the shared stacks of tiers with the deployment model pool or hybrid."</p></div> }.into_any()
        } else {
            groups.iter().map(|group| section(group, may, &again)).collect_view().into_any()
        };
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/tiers">"Tiers"</a></li><li aria-current="page">"Pools"</li></ol></nav>
            <header class="page-head"><div><h1>"Pools"</h1><p class="lede" id="pools-lede" data-live="onboarding,offboarding,tenant,repair">{lede}</p></div></header>
            <div id="pools" data-live="stack,repair,onboarding,offboarding,rollout,tenant,tier">{body}</div>
        }
    })
    .await
}

fn section(group: &PoolGroup, may: bool, flash: &Flash) -> AnyView {
    let (tier, region) = (group.tier.key.to_string(), group.region.to_string());
    let spot = [("tier", tier.clone()), ("region", region.clone())];
    let broken = group.pools.iter().any(|card| card.row.standing == Standing::Unmade);
    let full = !broken && group.pools.len() >= group.rules().most as usize;
    let button = (may && group.wanted.is_none() && !full).then(|| {
        let label = if broken { "Try the failed one again" } else { "Make a pool now" };
        post("make_pool", label, "btn btn-small", &spot)
    });
    let occupancy = &group.occupancy;
    let tight = occupancy.is_tight() && !group.pools.is_empty();
    let forecast = capital(&occupancy.forecast());
    let forecast = if tight {
        view! { <p class="alert alert-warning">{forecast} "." " Raise a pool's capacity, open one, or let the tier make the next."</p> }.into_any()
    } else {
        view! { <p>{forecast} "."</p> }.into_any()
    };
    let waiting = (group.waiting > 0).then(|| {
        let waits = if group.waiting == 1 { "waits" } else { "wait" };
        view! { <p class="alert alert-info">{count(group.waiting, "tenant")} " " {waits} " here for a place. " <a href=format!("/tenants?state=provisioning&tier={tier}")>"Look at them"</a></p> }
    });
    let wanted = group.wanted.as_ref().map(|wanted| {
        let why = wanted.reason.as_ref().map(|reason| format!(" It waits: {}.", reason.sentence));
        let forget = may.then(|| post("forget_pool", "Never mind", "btn btn-small", &spot));
        view! { <div class="alert alert-info"><p>{format!("{} asked for one more pool, ", wanted.by)} {time(wanted.at)} " UTC." {why}</p>{forget}</div> }
    });
    let table = if group.pools.is_empty() {
        view! { <p class="muted">"No pool yet: the first tenant that comes here makes it."</p> }.into_any()
    } else {
        let rows = group.pools.iter().map(|card| row(card, may)).collect_view();
        let changes = may.then(|| group.pools.iter().map(|card| change(card, flash)).collect_view());
        let acts = may.then(|| view! { <th scope="col"><span class="visually-hidden">"Actions"</span></th> });
        view! {
            <div class="table-wrap"><table class="table pools"><caption class="visually-hidden">{format!("Pools of {tier} in {region}")}</caption>
                <thead><tr><th scope="col">"Pool"</th><th scope="col">"Tenants"</th><th scope="col">"Takes new ones"</th><th scope="col">"State"</th><th scope="col">"Runs"</th>{acts}</tr></thead>
                <tbody>{rows}</tbody></table></div>
            <div>{changes}</div>
        }
        .into_any()
    };
    let title = format!("{} in {region}", group.tier.spec.name);
    view! {
        <section class="section" data-key=format!("{tier}/{region}")><header class="section-head"><h2><a href=format!("/tiers/{}", group.tier.id)>{title}</a></h2>{button}</header>
            <div class="stack stack-tight">{waiting} {wanted} {forecast}
                <p class="small muted">{rules(group)}</p>
                {table}</div>
        </section>
    }
    .into_any()
}

/// The tier's rules in one sentence.
fn rules(group: &PoolGroup) -> String {
    let rules = group.rules();
    let first = match rules.order {
        PoolOrder::Fill => "The fullest pool with room is filled first",
        PoolOrder::Spread => "The emptiest pool is filled first",
    };
    let next = match (rules.when_full, rules.spare) {
        (WhenFull::Wait, _) => "whoever finds none waits for you".to_owned(),
        (WhenFull::Create, 0) => format!("when none has room the next is made, at most {}", rules.most),
        (WhenFull::Create, spare) => {
            format!("with fewer than {spare} free places the next is made ahead, at most {}", rules.most)
        }
    };
    format!(
        "{first}; {next}. A new pool takes {}.",
        count(i64::from(group.tier.spec.pool_capacity), "tenant")
    )
}

fn row(card: &PoolCard, may: bool) -> AnyView {
    let row = &card.row;
    let pool = card.pool();
    let (taken, free) = (row.tenants, card.capacity.saturating_sub(row.tenants));
    let tone = match (pool.room(), row.setting.state) {
        (_, PoolState::Closed | PoolState::Draining) => "skipped",
        (0, PoolState::Open) => "gated",
        (_, PoolState::Open) => "healthy",
    };
    let text = format!("{taken} of {}", card.capacity);
    let label = (!row.setting.label.is_empty())
        .then(|| view! { <p class="small muted">{row.setting.label.clone()}</p> });
    let takes = match (row.setting.state, pool.room()) {
        (PoolState::Open, 0) => "full".to_owned(),
        (PoolState::Open, n) => format!("{n} more"),
        (PoolState::Closed, _) => "closed".to_owned(),
        (PoolState::Draining, _) if taken == 0 => "draining, empty".to_owned(),
        (PoolState::Draining, _) => "draining".to_owned(),
    };
    let only = (!row.setting.tags.is_empty()).then(|| {
        let tags: Vec<_> = row.setting.tags.iter().map(ToString::to_string).collect();
        view! { <p class="small muted">"only with the tag " {tags.join(", ")}</p> }
    });
    let rank = (row.setting.rank > 0)
        .then(|| view! { <p class="small muted">{format!("rank {}", row.setting.rank)}</p> });
    let still = (!card.still_in.is_empty()).then(|| {
        let more = (taken as usize).saturating_sub(card.still_in.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        view! { <p class="small muted">"Still in it: " {card.still_in.join(", ")} {more}</p> }
    });
    let (word, shape_of) = match row.standing {
        Standing::Live if row.busy => ("being changed", "in_progress"),
        Standing::Live => ("live", "healthy"),
        Standing::Making => ("being made", "in_progress"),
        Standing::Unmade => ("could not be made", "failed"),
        Standing::Troubled => ("troubled", "failed"),
    };
    let why = row.reason.as_ref().filter(|_| row.standing != Standing::Live);
    let why = why.map(|reason| view! { <p class="small muted">{capital(&reason.sentence)}</p> });
    let actions = may.then(|| view! { <td data-label="Change">{actions(card)}</td> });
    view! {
        <tr data-key=row.stack.to_string()>
            <td class="cell-main" data-label="Pool"><div><a href=format!("/stacks/{}", row.stack)>{row.name.clone()}</a>{label}</div></td>
            <td data-label="Tenants"><div class="pool-fill"><span>{text.clone()}</span>
                <div class="progress progress-thin" role="img" aria-label=format!("{text} places are taken")>
                    <i data-state=tone style:--n=taken.to_string()></i><i data-state="pending" style:--n=free.to_string()></i></div></div></td>
            <td data-label="Takes new ones"><div>{takes}{only}{rank}{still}</div></td>
            <td data-label="State"><div>{state_as(shape_of, word)}{why}</div></td>
            <td data-label="Runs">{row.version.clone().unwrap_or_else(|| "nothing yet".to_owned())}</td>
            {actions}
        </tr>
    }
    .into_any()
}

fn actions(card: &PoolCard) -> AnyView {
    let row = &card.row;
    let id = row.stack.to_string();
    let to = |label: &str, state: PoolState| {
        let values = [("id", id.clone()), ("form[state]", state.word().to_owned())];
        post("edit_pool", label, "btn btn-small", &values)
    };
    let buttons = match row.setting.state {
        PoolState::Open => vec![to("Close", PoolState::Closed), to("Drain", PoolState::Draining)],
        PoolState::Closed => vec![to("Open", PoolState::Open), to("Drain", PoolState::Draining)],
        PoolState::Draining if row.tenants == 0 && !row.busy => {
            vec![
                to("Open", PoolState::Open),
                post("remove_pool", "Remove", "btn btn-small", &[("id", id.clone())]),
            ]
        }
        PoolState::Draining => vec![to("Open", PoolState::Open)],
    };
    view! { <div class="pool-actions">{buttons}</div> }.into_any()
}

/// What else may be said of a pool, folded away below the list.
fn change(card: &PoolCard, flash: &Flash) -> AnyView {
    let row = &card.row;
    let id = row.stack.to_string();
    // What was refused stands where it was written.
    let mine = flash.values.get("id") == Some(&id) && flash.failed.is_some();
    let notes = if mine { flash.clone() } else { Flash::default() };
    let tags: Vec<_> = row.setting.tags.iter().map(ToString::to_string).collect();
    let capacity = row.setting.capacity.map(|n| n.to_string()).unwrap_or_default();
    let fields = [
        ("capacity", "Tenants", "Empty for what the tier says.", capacity),
        ("rank", "Rank", "Pools of a lower rank come first.", row.setting.rank.to_string()),
        ("label", "Label", "What you call it.", row.setting.label.clone()),
        ("tags", "Only for tags", "By commas; empty for everybody.", tags.join(", ")),
    ];
    let fields = fields.map(|(name, label, hint, value)| {
        let at = format!("{name}-{id}");
        let problem = notes.problem(name);
        let value = notes.value(&format!("form.{name}"), &value);
        view! {
            <div class="field"><label for=at.clone()>{label}</label><p class="hint" id=format!("{at}-h")>{hint}</p>
                <input id=at.clone() name=format!("form[{name}]") value=value aria-describedby=described(&at, true, problem.is_some()) aria-invalid=problem.is_some().then_some("true") />
                {problem.map(|text| field_error(&at, &text))}</div>
        }
    });
    view! {
        <details class="disclosure" open=mine data-key=format!("change-{id}")><summary>{format!("Change {}", row.name)}</summary>
            <form class="form" method="post" action="/do/edit_pool"><input type="hidden" name="id" value=id.clone() />
                <div class="field-row">{fields.into_iter().collect_view()}</div>
                <p><button class="btn btn-small" type="submit">"Save"</button></p>
            </form></details>
    }
    .into_any()
}

/// The banner on the first page.
pub fn attention(alarms: &[PoolAlarm]) -> Option<AnyView> {
    if alarms.is_empty() {
        return None;
    }
    let lines = alarms.iter().map(|alarm| {
        let waiting =
            (alarm.waiting > 0).then(|| format!(" ({} waiting)", count(alarm.waiting, "tenant")));
        view! { <p class="alert alert-warning"><a href="/pools">{format!("Pools of {} in {}", alarm.tier, alarm.region)}</a> ": " {alarm.forecast.clone()} {waiting} "."</p> }
    });
    Some(view! { <section class="section">{lines.collect_view()}</section> }.into_any())
}

#[derive(Serialize)]
struct Written {
    id: String,
    form: PoolForm,
}

/// Changes a pool.
#[server(prefix = "/do", endpoint = "edit_pool")]
pub async fn edit_pool(id: String, form: PoolForm) -> Result<(), ServerFnError> {
    let written = Written { id: id.clone(), form: form.clone() };
    let doing = async {
        let (service, actor) = actor().await?;
        let pool: StackId = super::id(&id, "the pool")?;
        service.edit_pool(&actor, pool, &form).await?;
        let done = match form.state.as_deref() {
            Some("open") => "It takes new tenants.",
            Some("closed") => "It takes no new tenants; whoever lives there stays.",
            Some("draining") => "It takes no new tenants, and the list says who is still in it.",
            _ => "Saved.",
        };
        Ok(("/pools".to_owned(), Some(done.to_owned())))
    };
    answer(doing.await, &written).await
}

/// Takes an empty pool away.
#[server(prefix = "/do", endpoint = "remove_pool")]
pub async fn remove_pool(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.remove_pool(&actor, super::id(&id, "the pool")?).await?;
        Ok(("/pools".to_owned(), Some("It is taken away now.".to_owned())))
    };
    answer(doing.await, &()).await
}

/// Asks for one more pool.
#[server(prefix = "/do", endpoint = "make_pool")]
pub async fn make_pool(tier: String, region: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.make_pool(&actor, &tier, &region).await?;
        Ok(("/pools".to_owned(), Some("One more pool is asked for; it is made now.".to_owned())))
    };
    answer(doing.await, &()).await
}

/// Takes the wish for one more pool back.
#[server(prefix = "/do", endpoint = "forget_pool")]
pub async fn forget_pool(tier: String, region: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.forget_wanted_pool(&actor, &tier, &region).await?;
        Ok(("/pools".to_owned(), Some("No more pool is asked for there.".to_owned())))
    };
    answer(doing.await, &()).await
}
