//! The rollout's timeline, live: the server sends what changed, the page puts it where it belongs.

mod cells;
mod drawer;
mod feed;
mod gate;
mod panel;
mod steering;

pub use gate::spark;

use super::channel::{Link, sign, signed_out};
use domain::StackId;
use domain::timeline::{BudgetWait, Cell, DENSE, Timeline, WaveView};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// Who looks, and what they may do here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Viewer {
    /// As decisions name them.
    pub name: String,
    /// Groups that approvals name.
    pub groups: Vec<String>,
    /// Pause, resume, stop, retry, roll back.
    pub steer: bool,
    /// Approve and reject.
    pub decide: bool,
}

/// The cells of a wave, each a signal of its own: one stack's change touches one cell.
type Cells = RwSignal<Vec<RwSignal<Cell>>>;

/// What the parts of the page share.
#[derive(Clone, Copy)]
struct Page {
    view: RwSignal<Timeline>,
    cells: StoredValue<Vec<Cells>>,
    viewer: StoredValue<Viewer>,
    /// The browser's clock; 0 before it was read, so that the server's page and the browser's are the same.
    now: RwSignal<i64>,
    link: RwSignal<Link>,
    /// The stack in the drawer.
    open: RwSignal<Option<StackId>>,
    /// The verb that is asked about.
    asked: RwSignal<Option<String>>,
}

impl Page {
    /// The cell of a stack, where its wave shows cells.
    fn cell(&self, stack: StackId) -> Option<RwSignal<Cell>> {
        let find = |cells: &Cells| {
            cells.with_untracked(|all| {
                all.iter().copied().find(|cell| cell.with_untracked(|c| c.stack == stack))
            })
        };
        self.cells.with_value(|waves| waves.iter().find_map(find))
    }

    /// A part of the view that changes seldom: what hangs on it is made again only then.
    fn part<T: Clone + PartialEq + Send + Sync + 'static>(
        &self,
        read: impl Fn(&Timeline) -> T + Send + Sync + 'static,
    ) -> Memo<T> {
        let view = self.view;
        Memo::new(move |_| view.with(&read))
    }
}

/// See the module.
#[island]
pub fn TimelineIsland(initial: Timeline, viewer: Viewer) -> impl IntoView {
    let mut head = initial;
    let cells = head
        .waves
        .iter_mut()
        .map(|w| RwSignal::new(std::mem::take(&mut w.cells).into_iter().map(RwSignal::new).collect()))
        .collect();
    let page = Page {
        view: RwSignal::new(head),
        cells: StoredValue::new(cells),
        viewer: StoredValue::new(viewer),
        now: RwSignal::new(0),
        link: RwSignal::new(Link::Off),
        open: RwSignal::new(None),
        asked: RwSignal::new(None),
    };
    Effect::new(move || {
        super::browser::at_work();
        feed::connect(page);
    });
    let view = page.view;
    let waves = (0..view.with_untracked(|v| v.waves.len())).map(|i| wave(i, page)).collect::<Vec<_>>();
    let status = page.part(|v| v.status.clone());
    let announced = page.part(announcement);
    let budget = page.part(|v| v.budget.iter().map(BudgetWait::sentence).collect::<Vec<_>>());
    view! {
        <div class="rollout" data-state=status>
            {signed_out(page.link)}
            <header class="rollout-head">
                <div class="rollout-title">
                    <h1>{page.part(|v| v.title.clone())}</h1>
                    <span class="state" data-state=status>{move || status.get().replace('_', " ")}</span>
                    {sign(page.link)}
                </div>
                {steering::buttons(page)}
            </header>
            <p class="rollout-sentence">{page.part(|v| v.sentence.clone())}</p>
            {move || budget.get().into_iter().map(|wait| view! { <p class="rollout-wait">{wait}</p> }).collect::<Vec<_>>()}
            <p class="visually-hidden" role="status">{announced}</p>
            {bar(page)}
            <div class="waves-wrap"><ol class="waves">{waves}</ol></div>
            {panel::panel(page)}
            {drawer::drawer(page)}
            {steering::dialog(page)}
        </div>
    }
}

/// What a screen reader says when it changes: not each stack, but each turn.
fn announcement(view: &Timeline) -> String {
    let mut text = format!("{} is {}", view.title, view.status.replace('_', " "));
    let done = |w: &WaveView| matches!(w.state.as_str(), "passed" | "skipped");
    if let Some((i, wave)) = view.waves.iter().enumerate().find(|(_, w)| !done(w)) {
        let what = match wave.state.as_str() {
            "gated" if wave.asking => "asks for approval",
            "gated" => "is watched",
            state => state,
        };
        text += &format!(", wave {} {what}", i + 1);
    }
    if view.failed > 0 {
        text += &format!(", {} failed", plural(view.failed, "stack"));
    }
    text
}

fn bar(page: Page) -> impl IntoView {
    let view = page.view;
    let width = move |part: fn(&Timeline) -> u64| move || view.with(|v| part(v).to_string());
    let done = width(|v| v.tenants.0);
    let failed = width(|v| v.failed_tenants);
    let rest = width(|v| v.tenants.1.saturating_sub(v.tenants.0 + v.failed_tenants));
    let note = page.part(|v| {
        let mut text = format!(
            "{} of {} · {} of {}",
            v.tenants.0,
            plural(v.tenants.1, "tenant"),
            v.stacks.0,
            plural(v.stacks.1, "stack")
        );
        if v.failed > 0 {
            text += &format!(" · {} failed", v.failed);
        }
        if let Some(left) = v.left {
            text += &format!(" · about {left} left in this wave");
        }
        text
    });
    let (by, at) = view.with_untracked(|v| (v.started_by.clone(), v.started_at));
    let now = page.now;
    // To the minute: the line is not written again each second.
    let ago = Memo::new(move |_| {
        let minutes = (now.get() - at.0).max(0) / 60_000;
        match now.get() {
            0 => format!("{} UTC", at.human()),
            _ if minutes == 0 => "just now".to_owned(),
            _ => format!("{} ago", domain::Span::minutes(minutes)),
        }
    });
    view! {
        <div>
            <div class="progress" role="img" aria-label=note>
                <i data-state="succeeded" style:--n=done></i>
                <i data-state="failed" style:--n=failed></i>
                <i data-state="queued" style:--n=rest></i>
            </div>
            <p class="progress-note">
                <span>{note}</span>
                <span>"started by " {by} ", " <time datetime=at.rfc3339() title=format!("{} UTC", at.human())>{ago}</time></span>
            </p>
        </div>
    }
}

fn wave(i: usize, page: Page) -> impl IntoView {
    let part =
        move |read: fn(&WaveView) -> String| page.part(move |v| v.waves.get(i).map(read).unwrap_or_default());
    let state = part(|w| w.state.clone());
    let number = i + 1;
    let counts = part(|w| {
        let there = w.counts.iter().find(|(state, _)| state == "succeeded").map_or(0, |(_, n)| *n);
        let (tenants, stacks) = (plural(w.tenants, "tenant"), plural(w.done.1, "stack"));
        format!("{} of {tenants} · {there} of {stacks}", w.reached)
    });
    let dense = page.part(move |v| v.waves.get(i).is_some_and(|w| w.done.1 > DENSE as u64));
    let cells = page.cells.with_value(|c| c[i]);
    view! {
        <li class="wave" data-state=state>
            <header class="wave-head">
                <span class="wave-no">{number}</span>
                <h2 class="wave-title">{part(|w| w.name.clone())}</h2>
                <span class="state state-plain" data-state=state>{state}</span>
            </header>
            <p class="wave-counts" title=part(|w| w.selector.clone())>{counts}</p>
            {move || {
                if dense.get() { cells::density(i, page).into_any() } else { cells::grid(i, cells, page).into_any() }
            }}
            {gate::gate(i, page)}
        </li>
    }
}

fn plural(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
