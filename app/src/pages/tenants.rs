//! Tenants: the list that people search and filter.

use super::page;
use crate::islands::Refine;
use crate::parts::{count, encoded, icon, link, state, time};
use crate::session::{Member, Ui};
use crate::shell::render;
use axum::extract::{Query, State};
use axum::response::Response;
use domain::access::Permission;
use domain::tenant::TenantState;
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;
use store::{TenantFilter, TenantOrder, TenantRow};

const PAGE: u32 = 50;

/// The list's address: what is searched, how it is ordered, where the page begins.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    q: String,
    tier: String,
    state: String,
    version: String,
    region: String,
    tag: String,
    sort: String,
    after: String,
}

impl Wanted {
    pub fn filter(&self) -> TenantFilter {
        let some = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        TenantFilter {
            search: some(&self.q),
            tier: some(&self.tier),
            state: self.state.parse().ok(),
            version: some(&self.version),
            region: some(&self.region),
            tag: some(&self.tag),
            order: match self.sort.as_str() {
                "tier" => TenantOrder::Tier,
                "version" => TenantOrder::Version,
                _ => TenantOrder::Name,
            },
            newest: self.sort == "newest",
            after: some(&self.after),
            limit: PAGE + 1,
        }
    }

    /// Whether some tenants are left out.
    pub fn narrows(&self) -> bool {
        self.pairs().iter().any(|(_, value)| !value.is_empty())
    }

    /// What narrows the list, as pairs of its address.
    pub fn pairs(&self) -> [(&'static str, &str); 6] {
        [
            ("q", self.q.trim()),
            ("tier", &self.tier),
            ("state", &self.state),
            ("version", &self.version),
            ("region", &self.region),
            ("tag", self.tag.trim()),
        ]
    }

    fn link(&self, sort: &str, after: &str) -> String {
        let mut pairs = self.pairs().to_vec();
        pairs.extend([("sort", sort), ("after", after)]);
        link("/tenants", &pairs)
    }
}

pub async fn list(State(ui): State<Ui>, member: Member, Query(wanted): Query<Wanted>) -> Response {
    let frame = member.frame("/tenants");
    let (mut rows, total) = page!(ui, frame, ui.service.tenants(&member.actor, &wanted.filter()).await);
    let tiers = page!(ui, frame, ui.service.tiers(&member.actor).await);
    let (releases, _) = page!(ui, frame, ui.service.releases(&member.actor).await);
    let tags = page!(ui, frame, ui.service.tenant_tags(&member.actor).await);
    let flash = member.flash().await;
    let more = rows.len() > PAGE as usize;
    rows.truncate(PAGE as usize);
    let may = member.actor.may(Permission::Tenants);
    let tier_words: Vec<String> = tiers.iter().map(|t| t.tier.key.to_string()).collect();
    let mut regions: Vec<String> =
        tiers.iter().flat_map(|t| t.tier.spec.regions.iter().map(ToString::to_string)).collect();
    regions.sort();
    regions.dedup();
    let versions: Vec<String> = releases.iter().take(30).map(|r| r.version.to_string()).collect();
    let states: Vec<String> = TenantState::ALL.iter().map(|s| s.word().to_owned()).collect();
    let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
    render(&ui, StatusCode::OK, frame, "Tenants", flash, move || {
        let next = rows.last().filter(|_| more).map(|r| {
            let href = wanted.link(&wanted.sort, &r.cursor);
            view! { <a class="btn btn-small" rel="next" href=href>"Next"</a> }
        });
        let first = (!wanted.after.is_empty()).then(|| view! { <a class="btn btn-small" href=wanted.link(&wanted.sort, "")>"First page"</a> });
        let body = if rows.is_empty() { empty(!wanted.narrows(), may).into_any() } else { table(&rows, &wanted, total, may).into_any() };
        let lede = if wanted.narrows() { format!("{} of this kind", count(total, "tenant")) } else { count(total, "tenant") };
        view! {
            <header class="page-head"><div><h1>"Tenants"</h1><p class="lede" id="tenants-count" data-refine role="status">{lede}</p></div>
                <div class="actions">{may.then(|| view! { <a class="btn btn-primary" href="/tenants/new">{icon("plus")} " New tenant"</a> })}</div>
            </header>
            <form class="toolbar" role="search" id="tenants-search" method="get" action="/tenants">
                <label class="search">{icon("search")}<span class="visually-hidden">"Search"</span>
                    <input type="search" name="q" placeholder="Name, address or e-mail" maxlength="200" value=wanted.q.clone() /></label>
                <div class="filters">
                    {filter_select("tier", "Tier", &tier_words, &wanted.tier)}
                    {filter_select("state", "State", &states, &wanted.state)}
                    {filter_select("version", "Version", &versions, &wanted.version)}
                    {(regions.len() > 1 || !wanted.region.is_empty()).then(|| filter_select("region", "Region", &regions, &wanted.region))}
                    {(!tags.is_empty() || !wanted.tag.is_empty()).then(|| filter_select("tag", "Tag", &tags, &wanted.tag))}
                </div>
                {(!wanted.sort.is_empty()).then(|| view! { <input type="hidden" name="sort" value=wanted.sort.clone() /> })}
                <button class="btn" type="submit">"Show"</button>
                <a class="btn btn-quiet" href="/tenants">"Clear"</a>
            </form>
            <Refine form="tenants-search".to_owned() />
            <div id="tenants" data-live data-refine>{body}</div>
            <nav class="pagination" id="tenants-pages" data-refine aria-label="Pages">{first}{next}</nav>
        }
    })
    .await
}

fn filter_select(
    name: &'static str,
    label: &'static str,
    words: &[String],
    chosen: &str,
) -> impl IntoView + use<> {
    // What was asked for is shown, even where the list no longer has it.
    let other = (!chosen.is_empty() && !words.iter().any(|w| w == chosen)).then(|| chosen.to_owned());
    let options: Vec<_> = words
        .iter()
        .cloned()
        .chain(other)
        .map(|w| view! { <option value=w.clone() selected=w == chosen>{w.replace('_', " ")}</option> })
        .collect();
    view! { <label class="filter"><span>{label}</span><select name=name><option value="">"any"</option>{options}</select></label> }
}

fn empty(nobody: bool, add: bool) -> impl IntoView {
    let (title, text) = if nobody {
        ("No tenants yet", "Add the first one, or let customers sign up by themselves.")
    } else {
        ("No tenant matches", "Nobody fits this search and these filters. Clear some of them to see more.")
    };
    let action = match (nobody, add) {
        (true, true) => {
            Some(view! { <a class="btn btn-primary" href="/tenants/new">"New tenant"</a> }.into_any())
        }
        (true, false) => None,
        (false, _) => Some(view! { <a class="btn" href="/tenants">"Show all tenants"</a> }.into_any()),
    };
    view! {
        <div class="empty">{icon("tenants")}<h2>{title}</h2><p>{text}</p>
            <div class="actions">{action}</div>
        </div>
    }
}

fn table(rows: &[TenantRow], wanted: &Wanted, total: i64, may: bool) -> impl IntoView + use<> {
    let lines: Vec<_> = rows.iter().map(|r| line(r, may)).collect();
    let head = |sort: &'static str, label: &'static str| {
        let on = wanted.sort == sort;
        let way = on.then_some(if sort == "newest" { "descending" } else { "ascending" });
        view! { <th scope="col" aria-sort=way><a href=wanted.link(sort, "")>{label}</a></th> }
    };
    let boxes = may.then(
        || view! { <th scope="col" class="cell-check"><span class="visually-hidden">"Choose"</span></th> },
    );
    let table = view! {
        <table class="table"><caption class="visually-hidden">"Tenants"</caption>
            <thead><tr>
                {boxes}
                {head("", "Name")}
                <th scope="col">"State"</th>{head("tier", "Tier")}{head("version", "Version")}
                <th scope="col" class="wide-only">"Stack"</th><th scope="col" class="wide-only">"Region"</th><th scope="col" class="wide-only">"Tags"</th>
                {head("newest", "Since")}
            </tr></thead>
            <tbody>{lines}</tbody></table>
    };
    if !may {
        return view! { <div class="table-wrap">{table}</div> }.into_any();
    }
    let verb = |verb: &'static str, label: &'static str| {
        view! { <button class="btn btn-small" name="verb" value=verb>{label}</button> }
    };
    let mut all = wanted.pairs().to_vec();
    all.push(("all", "1"));
    let every = (total <= 500 && (total > rows.len() as i64 || wanted.narrows())).then(|| {
        view! { <p class="small bulk-all"><a href=link("/tenants/bulk", &all)>{format!("Change all {total} that match…")}</a></p> }
    });
    view! {
        <form method="get" action="/tenants/bulk">
            <div class="table-wrap">{table}
                <div class="bulk-bar"><span class="small muted">"With the chosen ones:"</span>
                    {verb("suspend", "Suspend…")}{verb("reactivate", "Reactivate…")}{verb("tag", "Add tags…")}{verb("untag", "Remove tags…")}</div>
            </div>
            {every}
        </form>
    }
    .into_any()
}

fn line(r: &TenantRow, may: bool) -> impl IntoView + use<> {
    let t = &r.tenant;
    let rank = if r.in_sync { "current" } else { "behind" };
    let version = r.version.clone().map(|v| view! { <span class="version" data-rank=rank>{v}</span> });
    let tags: Vec<_> = t
        .tags
        .iter()
        .map(|tag| view! { <a class="badge" href=format!("/tenants?tag={}", encoded(tag.as_str()))>{tag.to_string()}</a> " " })
        .collect();
    let choose = may.then(|| {
        let label = format!("Choose {}", t.name);
        view! { <td class="cell-check"><input type="checkbox" name="ids[]" value=t.id.to_string() aria-label=label /></td> }
    });
    view! {
        <tr data-state=t.state.word()>
            {choose}
            <td class="cell-main" data-label="Name"><a href=format!("/tenants/{}", t.id)>{t.name.to_string()}</a> " " <small>{t.slug.to_string()}</small></td>
            <td data-label="State">{state(t.state.word())}</td>
            <td data-label="Tier">{r.tier_key.clone()}</td>
            <td data-label="Version">{version}</td>
            <td data-label="Stack" class="wide-only">{r.stack.clone()}</td>
            <td data-label="Region" class="wide-only">{t.region.to_string()}</td>
            <td data-label="Tags" class="wide-only">{tags}</td>
            <td data-label="Since" class="no-phone">{time(t.created_at)}</td>
        </tr>
    }
}
