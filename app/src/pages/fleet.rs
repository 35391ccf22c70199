//! The fleet: every live stack with what it runs and should run, why the two differ and until when; the queue that
//! brings stacks there; and how far one may be behind.

use super::page;
use crate::islands::Refine;
use crate::parts::{capital, icon, link, post, time};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Query, RawQuery, State};
use axum::response::Response;
use domain::StackId;
use domain::access::Permission;
use domain::fleet::{Ends, Why, header, plural};
use domain::stack::StackKind;
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{CatchUpPreview, Chosen, Error, FleetLine, FleetList, RulesForm};
use store::FleetFilter;

mod queue;

pub use queue::attention;

const PAGE: u32 = 100;
/// So many stacks are chosen one by one, at most.
const MOST: usize = 500;
/// How many names the page shows before it says how many more there are.
const NAMES: usize = 100;

/// The list's address: what is searched, what is left out, where the page begins.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    q: String,
    tier: String,
    region: String,
    version: String,
    why: String,
    after: String,
}

impl Wanted {
    fn filter(&self) -> FleetFilter {
        let some = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        FleetFilter {
            search: some(&self.q),
            tier: some(&self.tier),
            region: some(&self.region),
            version: some(&self.version),
            why: self.why.parse().ok(),
            differs: self.why == DIFFERS,
            troubled_first: true,
            after: some(&self.after),
            limit: PAGE,
            ..FleetFilter::default()
        }
    }

    fn pairs(&self) -> [(&'static str, &str); 5] {
        [
            ("q", self.q.trim()),
            ("tier", &self.tier),
            ("region", &self.region),
            ("version", &self.version),
            ("why", &self.why),
        ]
    }

    fn narrows(&self) -> bool {
        self.pairs().iter().any(|(_, value)| !value.is_empty())
    }

    fn with(&self, why: &str, after: &str) -> String {
        let mut pairs = self.pairs().to_vec();
        pairs[4].1 = why;
        pairs.push(("after", after));
        link("/fleet", &pairs)
    }
}

/// In an address: whatever differs, for whichever reason.
const DIFFERS: &str = "differs";

pub async fn list(State(ui): State<Ui>, member: Member, Query(wanted): Query<Wanted>) -> Response {
    let frame = member.frame("/fleet");
    let list = page!(ui, frame, ui.service.fleet(&member.actor, &wanted.filter()).await);
    let state = page!(ui, frame, ui.service.convergence(&member.actor).await);
    let tiers = page!(ui, frame, ui.service.tiers(&member.actor).await);
    let (releases, _) = page!(ui, frame, ui.service.releases(&member.actor).await);
    let flash = member.flash().await;
    let again = flash.clone();
    let may = member.actor.may(Permission::Rollouts);
    let sets = member.actor.may(Permission::Settings);
    let tier_words: Vec<String> = tiers.iter().map(|t| t.tier.key.to_string()).collect();
    let mut regions: Vec<String> =
        tiers.iter().flat_map(|t| t.tier.spec.regions.iter().map(ToString::to_string)).collect();
    regions.sort();
    regions.dedup();
    let versions: Vec<String> = releases.iter().take(30).map(|r| r.version.to_string()).collect();
    let now = ui.service.now();
    render(&ui, StatusCode::OK, frame, "Fleet", flash, move || {
        let next = list.next.as_ref().map(|after| {
            view! { <a class="btn btn-small" rel="next" href=wanted.with(&wanted.why, after)>"Next"</a> }
        });
        let first = (!wanted.after.is_empty())
            .then(|| view! { <a class="btn btn-small" href=wanted.with(&wanted.why, "")>"First page"</a> });
        let body = if list.lines.is_empty() { empty(&wanted) } else { table(&list, &wanted, may) };
        view! {
            <header class="page-head"><div><h1>"Fleet"</h1><p class="lede" id="fleet-lede" data-live="stack,repair,rollout,fleet,tenant">{header(&state.counts)}</p></div></header>
            {queue::alarm(&state)}
            {queue::standing(&state, may, now)}
            <form class="toolbar" role="search" id="fleet-search" method="get" action="/fleet">
                <label class="search">{icon("search")}<span class="visually-hidden">"Search"</span>
                    <input type="search" name="q" placeholder="Stack or tenant" maxlength="200" value=wanted.q.clone() /></label>
                <div class="filters">
                    {filter_select("tier", "Tier", &tier_words, &wanted.tier)}
                    {filter_select("version", "Version", &versions, &wanted.version)}
                    {(regions.len() > 1 || !wanted.region.is_empty()).then(|| filter_select("region", "Region", &regions, &wanted.region))}
                </div>
                {(!wanted.why.is_empty()).then(|| view! { <input type="hidden" name="why" value=wanted.why.clone() /> })}
                <button class="btn" type="submit">"Show"</button>
                <a class="btn btn-quiet" href="/fleet">"Clear"</a>
            </form>
            <Refine form="fleet-search".to_owned() />
            <div id="fleet" data-live="stack,repair,rollout,fleet,tenant" data-refine>
                {tallies(&list, &wanted)}
                {body}
            </div>
            <nav class="pagination" id="fleet-pages" data-refine aria-label="Pages">{first}{next}</nav>
            {queue::rules(&state, &again, sets)}
        }
    })
    .await
}

fn filter_select(name: &'static str, label: &'static str, words: &[String], chosen: &str) -> AnyView {
    // What was asked for is shown, even where the list no longer has it.
    let other = (!chosen.is_empty() && !words.iter().any(|w| w == chosen)).then(|| chosen.to_owned());
    let options: Vec<_> = words
        .iter()
        .cloned()
        .chain(other)
        .map(|w| view! { <option value=w.clone() selected=w == chosen>{w.clone()}</option> })
        .collect();
    view! { <label class="filter"><span>{label}</span><select name=name><option value="">"any"</option>{options}</select></label> }.into_any()
}

/// How those that the search finds stand, each a link to those alone.
fn tallies(list: &FleetList, wanted: &Wanted) -> AnyView {
    let differ: i64 = list.counts.iter().filter(|(why, _)| *why != Why::InSync).map(|(_, n)| n).sum();
    let all: i64 = list.counts.iter().map(|(_, n)| n).sum();
    let one = |why: &'static str, shape: &'static str, text: String| {
        let current = (wanted.why == why).then_some("true");
        let to = if current.is_some() { "" } else { why };
        view! { <a class="state" data-state=shape href=wanted.with(to, "") aria-current=current>{text}</a> }
    };
    let each: Vec<_> = list
        .counts
        .iter()
        .filter(|(why, _)| *why != Why::InSync)
        .map(|(why, n)| one(why.word(), shape(*why), format!("{n} {}", label(*why).to_lowercase())))
        .collect();
    let differ = (differ > 0).then(|| one(DIFFERS, "behind", format!("{differ} differ")));
    let clear = wanted.narrows().then(|| view! { " " <a href="/fleet">"All stacks"</a> });
    let colon = differ.is_some().then_some(":");
    view! { <p class="tallies">{plural(all, "stack")} {colon} " " {differ} {each} {clear}</p> }.into_any()
}

fn empty(wanted: &Wanted) -> AnyView {
    let (title, text) = if wanted.narrows() {
        ("No stack matches", "None fits this search and these filters. Clear some of them to see more.")
    } else {
        ("No stack is live yet", "Stacks appear here as soon as they run.")
    };
    view! { <div class="empty">{icon("tenants")}<h2>{title}</h2><p>{text}</p></div> }.into_any()
}

fn table(list: &FleetList, wanted: &Wanted, may: bool) -> AnyView {
    let rows: Vec<_> = list.lines.iter().map(|line| row(line, may)).collect();
    let boxes = may.then(
        || view! { <th scope="col" class="cell-check"><span class="visually-hidden">"Choose"</span></th> },
    );
    let table = view! {
        <table class="table"><caption class="visually-hidden">"Live stacks and whether they run what they should"</caption>
            <thead><tr>{boxes}
                <th scope="col">"Stack"</th><th scope="col">"State"</th><th scope="col">"Runs"</th><th scope="col">"Should run"</th>
                <th scope="col">"Why, and until when"</th><th scope="col">"Behind since"</th>
                <th scope="col" class="num wide-only">"Tenants"</th><th scope="col" class="wide-only">"Tier"</th><th scope="col" class="wide-only">"Region"</th>
            </tr></thead>
            <tbody>{rows}</tbody></table>
    };
    if !may {
        return view! { <div class="table-wrap">{table}</div> }.into_any();
    }
    let of_filter = |(why, _): &&(Why, i64)| match wanted.why.as_str() {
        "" | DIFFERS => *why != Why::InSync,
        word => why.word() == word && *why != Why::InSync,
    };
    let differ: i64 = list.counts.iter().filter(of_filter).map(|(_, n)| n).sum();
    let mut all = wanted.pairs().to_vec();
    all.push(("all", "1"));
    let every = (differ > 0).then(|| {
        let matching = if wanted.narrows() { " and match" } else { "" };
        let text = match (differ, matching) {
            (1, "") => "Bring the one that differs there…".to_owned(),
            (1, _) => "Bring the one that differs and matches there…".to_owned(),
            (n, matching) => format!("Bring all {n} that differ{matching} there…"),
        };
        view! { <p class="small bulk-all"><a href=link("/fleet/catch-up", &all)>{text}</a></p> }
    });
    view! {
        <form method="get" action="/fleet/catch-up">
            <div class="table-wrap">{table}
                <div class="bulk-bar"><span class="small muted">"With the chosen ones:"</span>
                    <button class="btn btn-small" type="submit">"Bring these there now…"</button></div>
            </div>
            {every}
        </form>
    }
    .into_any()
}

fn row(line: &FleetLine, may: bool) -> AnyView {
    let row = &line.row;
    let differs = row.why != Why::InSync;
    let with = |version: &Option<String>, revision: Option<i64>, nothing: &str| match version {
        Some(version) => match revision {
            Some(revision) if row.version == row.desired && row.revision != row.desired_revision => {
                format!("{version} r{revision}")
            }
            _ => version.clone(),
        },
        None => nothing.to_owned(),
    };
    // The same version and tier, and yet not the same.
    let other = differs
        && row.version.is_some()
        && (&row.version, row.revision) == (&row.desired, row.desired_revision);
    let other = (other && !matches!(row.why, Why::Failed | Why::Down | Why::Drifted | Why::Busy))
        .then_some(" with other parameters");
    let unknown = if row.why == Why::Unproved { "unknown" } else { "nothing" };
    let rank = if differs { "behind" } else { "current" };
    let choose = may.then(|| {
        let label = format!("Choose {}", row.name);
        let input = (differs && !row.busy).then(
            || view! { <input type="checkbox" name="ids[]" value=row.stack.to_string() aria-label=label /> },
        );
        view! { <td class="cell-check">{input}</td> }
    });
    // Only a tenant's own stack can be held.
    let hold = (may && row.kind == StackKind::Silo).then(|| {
        let text = if row.why == Why::Held { "Held…" } else { "Hold…" };
        view! { <br /><a class="small" href=format!("/stacks/{}#hold", row.stack)>{text}</a> }
    });
    let since = differs.then(|| {
        let versions = (line.skew.versions > 0).then(|| plural(line.skew.versions.into(), "version"));
        let days = (line.skew.days() > 0).then(|| plural(line.skew.days(), "day"));
        let behind: Vec<_> = versions.into_iter().chain(days).collect();
        let behind = (!behind.is_empty())
            .then(|| view! { " " <small class="muted">{format!("{} behind", behind.join(", "))}</small> });
        view! { {time(row.since)} {behind} }
    });
    view! {
        <tr data-key=row.stack.to_string() data-state=shape(row.why)>
            {choose}
            <td class="cell-main" data-label="Stack"><a href=format!("/stacks/{}", row.stack)>{row.name.clone()}</a>{hold}</td>
            <td data-label="State"><span class="state" data-state=shape(row.why)>{label(row.why)}</span></td>
            <td data-label="Runs"><span class="version" data-rank=rank>{with(&row.version, row.revision, unknown)}</span></td>
            <td data-label="Should run">{with(&row.desired, row.desired_revision, "not said yet")}{other}</td>
            <td data-label="Why, and until when">{why(line)}</td>
            <td data-label="Behind since">{since}</td>
            <td class="num wide-only" data-label="Tenants">{row.tenants}</td>
            <td class="wide-only" data-label="Tier">{row.tier.clone()}</td>
            <td class="wide-only" data-label="Region">{row.region.to_string()}</td>
        </tr>
    }
    .into_any()
}

/// Why a stack does not run what it should, and until when.
pub fn why(line: &FleetLine) -> AnyView {
    let reason = line.reason.as_ref().map(|reason| capital(&reason.sentence));
    let until = line.until.as_ref().map(|until| match (until.ends, until.at) {
        (Ends::NextTry, Some(at)) => view! { "Next try " {time(at)} }.into_any(),
        (Ends::Opening, Some(at)) => view! { "Until " {time(at)} }.into_any(),
        _ => capital(&until.sentence).into_any(),
    });
    // An empty cell has no label on a narrow screen.
    if reason.is_none() && until.is_none() {
        return ().into_any();
    }
    view! { <div>{reason} {until.map(|until| view! { <br /><small class="muted">{until}</small> })}</div> }
        .into_any()
}

/// How a stack stands, as its own page shows it; nothing where it runs what it should.
pub fn section(line: &FleetLine, may: bool) -> Option<AnyView> {
    let row = &line.row;
    if row.why == Why::InSync {
        return None;
    }
    let should = row.desired.clone().map(|v| format!("It should run {v}. ")).unwrap_or_default();
    let closed = matches!(row.why, Why::Busy) || row.attended;
    let button = (may && !closed && !row.gone && row.why != Why::Drifted)
        .then(|| post("converge", "Catch up", "btn btn-small", &[("id", row.stack.to_string())]));
    Some(
        view! {
            <section class="section" data-key="standing"><header class="section-head">
                <h3>"Catch-up list " <span class="state" data-state=shape(row.why)>{label(row.why)}</span></h3>{button}</header>
                <p>{should}</p> {why(line)}
                <p class="small muted">"Behind since " {time(row.since)} " UTC. " <a href="/fleet?why=differs">"All that differ"</a></p>
            </section>
        }
        .into_any(),
    )
}

/// The shape of a chip.
pub const fn shape(why: Why) -> &'static str {
    match why {
        Why::InSync => "healthy",
        Why::Busy => "in_progress",
        Why::Down | Why::Failed | Why::Drifted => "failed",
        Why::Held | Why::Frozen | Why::OutsideWindow => "blocked",
        Why::JoinedLate
        | Why::TenantLeft
        | Why::Superseded
        | Why::TakenBack
        | Why::Edited
        | Why::Unproved => "waiting",
        Why::Skipped | Why::Missed => "waiting",
    }
}

/// The words of a chip.
pub const fn label(why: Why) -> &'static str {
    match why {
        Why::InSync => "In sync",
        Why::Busy => "Being worked on",
        Why::Down => "Down",
        Why::Drifted => "Drifted",
        Why::Failed => "Failed",
        Why::Held => "Held",
        Why::Frozen => "Frozen",
        Why::OutsideWindow => "Outside its window",
        Why::JoinedLate => "Joined late",
        Why::TenantLeft => "Tenant leaves",
        Why::Superseded => "Overtaken",
        Why::TakenBack => "Taken back",
        Why::Edited => "Edited",
        Why::Unproved => "Not proved",
        Why::Skipped => "Left out",
        Why::Missed => "Not reached",
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Picked {
    ids: Vec<String>,
    all: String,
}

fn chosen(picked: &Picked, wanted: &Wanted) -> Chosen {
    if picked.all.is_empty() {
        Chosen::Stacks(picked.ids.iter().take(MOST).filter_map(|id| id.parse::<StackId>().ok()).collect())
    } else {
        Chosen::Filter(wanted.filter())
    }
}

/// Whom it would bring there, before anybody is.
pub async fn confirm(
    State(ui): State<Ui>,
    member: Member,
    Query(wanted): Query<Wanted>,
    RawQuery(query): RawQuery,
) -> Response {
    let frame = member.frame("/fleet");
    let query = query.unwrap_or_default();
    let picked: Picked = serde_qs::Config::new(5, false).deserialize_str(&query).unwrap_or_default();
    let found = page!(ui, frame, ui.service.preview_catch_up(&member.actor, &chosen(&picked, &wanted)).await);
    let state = page!(ui, frame, ui.service.convergence(&member.actor).await);
    let flash = member.flash().await;
    let pace = state.rules.policy;
    render(&ui, StatusCode::OK, frame, "Bring stacks there", flash, move || {
        let pace = format!(
            "They go in batches of {}, {} at once. The queue stops when more than {} in a batch.",
            pace.batch,
            pace.at_once,
            if pace.failures == 1 { "1 fails".to_owned() } else { format!("{} fail", pace.failures) }
        );
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/fleet">"Fleet"</a></li><li aria-current="page">"Bring stacks there"</li></ol></nav>
            <header class="page-head"><h1>"Bring stacks to what they should run"</h1></header>
            {confirmation(&found, &picked, &wanted, &pace)}
        }
    })
    .await
}

fn confirmation(found: &CatchUpPreview, picked: &Picked, wanted: &Wanted, pace: &str) -> AnyView {
    let n = found.go.len();
    let left: Vec<_> = found
        .left
        .iter()
        .take(NAMES)
        .map(|(name, reason)| view! { <li>{name.clone()} " " <span class="muted">{reason.sentence.clone()}</span></li> })
        .collect();
    let left = (!left.is_empty()).then(|| {
        let title = format!("{} left as they are", plural(found.left.len() as i64, "stack"));
        view! { <details class="disclosure" open><summary>{title}</summary><ul class="name-list">{left}</ul></details> }
    });
    if n == 0 {
        return view! { <p class="alert alert-warning section">"None of the chosen stacks can be brought there now."</p> {left} }.into_any();
    }
    let hidden: Vec<_> = if picked.all.is_empty() {
        let one = |(id, _): &(StackId, String)| {
            view! { <input type="hidden" name="form[ids][]" value=id.to_string() /> }.into_any()
        };
        found.go.iter().map(one).collect()
    } else {
        let one = |(name, value): (&'static str, &str)| {
            view! { <input type="hidden" name=format!("form[{name}]") value=value.to_owned() /> }.into_any()
        };
        wanted.pairs().into_iter().chain([("all", "1")]).map(one).collect()
    };
    let names: Vec<_> = found
        .go
        .iter()
        .take(NAMES)
        .map(|(id, name)| view! { <li><a href=format!("/stacks/{id}")>{name.clone()}</a></li> })
        .collect();
    let more = n.saturating_sub(NAMES);
    let all = plural(n as i64, "stack");
    view! {
        <form class="form section" method="post" action="/do/catch_up">
            <p class="live-sentence">{format!("{all} will be brought to what they should run. {pace}")}</p>
            {hidden}
            <input type="hidden" name="form[seen]" value=n.to_string() />
            <details class="disclosure" open=n <= 12><summary>{format!("Which: {all}")}</summary>
                <ul class="name-list">{names}</ul>{(more > 0).then(|| view! { <p class="muted">{format!("and {more} more")}</p> })}</details>
            {left}
            <div class="form-actions"><button class="btn btn-primary" type="submit">{format!("Bring {all} there now")}</button><a class="btn btn-quiet" href="/fleet">{icon("cross")} " Leave them as they are"</a></div>
        </form>
    }
    .into_any()
}

/// What the form says.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Bringing {
    ids: Vec<String>,
    all: String,
    seen: String,
    q: String,
    tier: String,
    region: String,
    version: String,
    why: String,
}

/// Brings stacks to what they should run.
#[server(prefix = "/do", endpoint = "catch_up")]
pub async fn catch_up(form: Bringing) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let Bringing { ids, all, seen, q, tier, region, version, why } = form.clone();
        let wanted = Wanted { q, tier, region, version, why, after: String::new() };
        let picked = Picked { ids, all };
        let seen = seen.parse().map_err(|_| Error::field("seen", "is no number; look at them again"))?;
        let n = service.catch_up(&actor, &chosen(&picked, &wanted), Some(seen)).await?;
        let done = format!(
            "{} in the catch-up queue now.",
            if n == 1 { "1 stack is".to_owned() } else { format!("{n} stacks are") }
        );
        Ok(("/fleet?why=differs".to_owned(), Some(done)))
    };
    answer(doing.await, &()).await
}

/// Lets the queue go on.
#[server(prefix = "/do", endpoint = "resume_catch_up")]
pub async fn resume_catch_up() -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.resume_catch_up(&actor).await?;
        Ok(("/fleet".to_owned(), Some("The queue goes on.".to_owned())))
    };
    answer(doing.await, &()).await
}

/// Sets how stacks converge.
#[server(prefix = "/do", endpoint = "save_convergence")]
pub async fn save_convergence(form: RulesForm) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.save_convergence(&actor, &form).await?;
        Ok(("/fleet".to_owned(), Some("Saved.".to_owned())))
    };
    answer(doing.await, &form).await
}
