//! The rollout's timeline, live: the server sends what changed, the page puts it where it belongs.

use domain::timeline::{Cell, Chip, Timeline, WaveView};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// What the person who looks may do here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Steering {
    /// Pause, resume, stop, retry, roll back.
    pub steer: bool,
    /// Approve and reject.
    pub decide: bool,
}

/// More cells than this become a density strip.
const DENSE: usize = 500;

/// The cells of a wave, each a signal of its own: one stack's change touches one cell.
type Cells = Vec<RwSignal<Vec<RwSignal<Cell>>>>;

/// See the module.
#[island]
pub fn TimelineIsland(initial: Timeline, can: Steering) -> impl IntoView {
    let mut head = initial;
    let cells: Cells = head
        .waves
        .iter_mut()
        .map(|w| RwSignal::new(std::mem::take(&mut w.cells).into_iter().map(RwSignal::new).collect()))
        .collect();
    let cells = StoredValue::new(cells);
    let view = RwSignal::new(head);
    let now = RwSignal::new(0_i64);
    let connection = RwSignal::new("off");
    let drawer = RwSignal::new(None::<String>);
    #[cfg(feature = "hydrate")]
    Effect::new(move || connect(view, cells, connection, now));

    let waves = (0..view.with_untracked(|v| v.waves.len()))
        .map(|i| wave(i, view, cells.with_value(|c| c[i]), now, can, drawer))
        .collect::<Vec<_>>();
    let status = move || view.with(|v| v.status.clone());
    view! {
        <div class="rollout" data-state=status>
            <header class="rollout-head">
                <div class="rollout-title">
                    <h1>{move || view.with(|v| v.title.clone())}</h1>
                    <span class="state" data-state=status>{move || status().replace('_', " ")}</span>
                    <span class="live" data-live-state=move || connection.get() role="status">
                        {move || match connection.get() { "live" => "Live", "reconnecting" => "Reconnecting…", _ => "" }}
                    </span>
                </div>
                {can.steer.then(|| actions(view))}
            </header>
            <p class="rollout-sentence">{move || view.with(|v| v.sentence.clone())}</p>
            {bar(view)}
            <div class="waves-wrap"><ol class="waves">{waves}</ol></div>
            <Show when=move || drawer.get().is_some()>
                <dialog class="drawer" open aria-label="Stack">
                    <header class="drawer-head">
                        <h2>"Stack"</h2>
                        <button class="btn btn-quiet btn-small" type="button" on:click=move |_| drawer.set(None)>"Close"</button>
                    </header>
                    <div class="drawer-body" inner_html=move || drawer.get().unwrap_or_default()></div>
                </dialog>
            </Show>
        </div>
    }
}

#[cfg(feature = "hydrate")]
fn connect(
    view: RwSignal<Timeline>,
    cells: StoredValue<Cells>,
    connection: RwSignal<&'static str>,
    now: RwSignal<i64>,
) {
    use super::browser::{every, now as clock, subscribe};
    now.set(clock());
    every(1000, move || now.set(clock()));
    let (id, seq) = view.with_untracked(|v| (v.id, v.seq));
    let Ok(source) = web_sys::EventSource::new(&format!("/live/rollouts/{id}?from={seq}")) else { return };
    subscribe(&source, "open", move |_| connection.set("live"));
    subscribe(&source, "error", move |_| connection.set("reconnecting"));
    subscribe(&source, "view", move |data| {
        if let Ok(mut fresh) = serde_json::from_str::<Timeline>(&data) {
            let all: Vec<_> = fresh.waves.iter_mut().map(|w| std::mem::take(&mut w.cells)).collect();
            for (i, mut new) in all.into_iter().enumerate() {
                let Some(wave) = cells.with_value(|c| c.get(i).copied()) else { continue };
                let known = wave.get_untracked();
                // In place: the grid keeps one cell for each stack.
                let more = new.split_off(known.len().min(new.len()));
                for (cell, fresh) in known.iter().zip(new) {
                    cell.set(fresh);
                }
                if !more.is_empty() {
                    wave.update(|c| c.extend(more.into_iter().map(RwSignal::new)));
                }
            }
            view.set(fresh);
        }
    });
    subscribe(&source, "patch", move |data| {
        let Ok(patch) = serde_json::from_str::<domain::timeline::Patch>(&data) else { return };
        // A patch that was there before, or one after a gap: the server sends the whole view after a gap.
        if patch.from != view.with_untracked(|v| v.seq) {
            return;
        }
        for (w, i, cell) in patch.cells {
            let Some(wave) = cells.with_value(|c| c.get(w).copied()) else { continue };
            match wave.with_untracked(|c| c.get(i).copied()) {
                Some(known) => known.set(cell),
                None => wave.update(|c| c.push(RwSignal::new(cell))),
            }
        }
        view.set(patch.head);
    });
}

fn bar(view: RwSignal<Timeline>) -> impl IntoView {
    let width = move |part: fn(&Timeline) -> u64| move || view.with(|v| part(v).to_string());
    let done = width(|v| v.stacks.0);
    let failed = width(|v| v.failed);
    let rest = width(|v| v.stacks.1.saturating_sub(v.stacks.0 + v.failed));
    let note = move || {
        view.with(|v| {
            let mut text = format!(
                "{} of {} tenants · {} of {} stacks",
                v.tenants.0, v.tenants.1, v.stacks.0, v.stacks.1
            );
            if v.failed > 0 {
                text += &format!(" · {} failed", v.failed);
            }
            if let Some(left) = v.left {
                text += &format!(" · about {left} left in this wave");
            }
            text
        })
    };
    view! {
        <div class="progress" role="img" aria-label=note>
            <i data-state="succeeded" style:--n=done></i>
            <i data-state="failed" style:--n=failed></i>
            <i data-state="queued" style:--n=rest></i>
        </div>
        <p class="progress-note">{note}</p>
    }
}

fn actions(view: RwSignal<Timeline>) -> impl IntoView {
    let id = view.with_untracked(|v| v.id.to_string());
    let button = move |verb: &'static str, label: &'static str, class: &'static str| {
        let id = id.clone();
        move || {
            view! {
                <form method="post" action="/do/steer">
                    <input type="hidden" name="id" value=id.clone() />
                    <input type="hidden" name="verb" value=verb />
                    <input type="hidden" name="comment" value="" />
                    <button class=class type="submit">{label}</button>
                </form>
            }
        }
    };
    let pause = button("pause", "Pause", "btn");
    let resume = button("resume", "Resume", "btn btn-primary");
    let retry = button("retry", "Retry failed", "btn");
    let rollback = button("rollback", "Roll back", "btn btn-danger");
    let stop = button("stop", "Stop", "btn btn-danger");
    let close = button("stop", "Close", "btn");
    let status = move || view.with(|v| v.status.clone());
    view! {
        <div class="actions">
            {move || match status().as_str() {
                "running" => view! { {pause()} {rollback()} {stop()} }.into_any(),
                "paused" => view! { {resume()} {rollback()} {stop()} }.into_any(),
                "halted" => view! { {retry()} {rollback()} {close()} }.into_any(),
                "rolling_back" => view! { {pause()} }.into_any(),
                _ => ().into_any(),
            }}
        </div>
    }
}

fn wave(
    i: usize,
    view: RwSignal<Timeline>,
    cells: RwSignal<Vec<RwSignal<Cell>>>,
    now: RwSignal<i64>,
    can: Steering,
    drawer: RwSignal<Option<String>>,
) -> impl IntoView {
    let part = move |read: fn(&WaveView) -> String| {
        move || view.with(|v| v.waves.get(i).map(read).unwrap_or_default())
    };
    let state = part(|w| w.state.clone());
    let number = i + 1;
    let counts =
        part(|w| format!("{} / {} · {}", w.done.0, plural(w.done.1, "stack"), plural(w.tenants, "tenant")));
    let id = view.with_untracked(|v| v.id.to_string());
    let asking = move || view.with(|v| v.waves.get(i).is_some_and(|w| w.asking));
    let chips = move || {
        let all = view.with(|v| v.waves.get(i).map(|w| w.gate.clone()).unwrap_or_default());
        all.into_iter().map(|c| chip(c, now)).collect::<Vec<_>>()
    };
    let gate_state = move || match state().as_str() {
        "passed" => "open",
        "gated" => "waiting",
        "failed" => "failed",
        _ => "closed",
    };
    let dense = cells.with_untracked(Vec::len) > DENSE;
    view! {
        <li class="wave" data-state=state>
            <header class="wave-head">
                <span class="wave-no">{number}</span>
                <h2 class="wave-title">{part(|w| w.name.clone())}</h2>
                <span class="state state-plain" data-state=state>{state}</span>
            </header>
            <p class="wave-counts" title=part(|w| w.selector.clone())>{counts}</p>
            {if dense { density(cells).into_any() } else { grid(number, cells, drawer).into_any() }}
            <section class="gate" data-state=gate_state aria-label=format!("Gate after wave {number}")>
                <ul class="gate-chips">{chips}</ul>
                {move || asking().then(|| {
                    let text = if can.decide { "Review" } else { "See the gate" };
                    view! { <a class="btn btn-primary btn-small btn-block" href=format!("/gates/{id}/{number}")>{text}</a> }
                })}
            </section>
        </li>
    }
}

fn grid(
    number: usize,
    cells: RwSignal<Vec<RwSignal<Cell>>>,
    drawer: RwSignal<Option<String>>,
) -> impl IntoView {
    view! {
        <div class="cells" role="group" aria-label=format!("Stacks of wave {number}")>
            <For each=move || cells.get() key=|cell| cell.with_untracked(|c| c.stack) let(cell)>
                <a
                    class="cell"
                    data-state=move || cell.with(|c| c.state.clone())
                    href=move || cell.with(|c| format!("/stacks/{}", c.stack))
                    title=move || cell.with(describe)
                    aria-label=move || cell.with(describe)
                    on:click=move |event| open(&event, cell, drawer)
                ></a>
            </For>
        </div>
    }
}

/// Many stacks: a strip with counts by state; the list of them is a page.
fn density(cells: RwSignal<Vec<RwSignal<Cell>>>) -> impl IntoView {
    let counts = Memo::new(move |_| {
        let mut counts = [("failed", 0_usize), ("in_progress", 0), ("succeeded", 0), ("queued", 0)];
        for cell in cells.get() {
            let i = cell.with(|c| match c.state.as_str() {
                "failed" => 0,
                "submitted" | "in_progress" | "waiting" => 1,
                "succeeded" => 2,
                _ => 3,
            });
            counts[i].1 += 1;
        }
        counts
    });
    view! {
        <div class="density">
            <div class="density-bar" aria-hidden="true">
                {move || counts.get().map(|(state, n)| view! { <i data-state=state style:--n=n.to_string()></i> })}
            </div>
            <ul class="density-list">
                {move || counts.get().map(|(state, n)| {
                    view! { <li><i class="glyph" data-state=state></i> {state.replace('_', " ")} " " <b>{n}</b></li> }
                })}
            </ul>
        </div>
    }
}

fn describe(cell: &Cell) -> String {
    let mut text = format!("{}: {}", cell.name, cell.state.replace('_', " "));
    if !cell.detail.is_empty() {
        text += ", ";
        text += &cell.detail;
    }
    text
}

/// Opens the drawer instead of leaving the page.
fn open(event: &leptos::ev::MouseEvent, cell: RwSignal<Cell>, drawer: RwSignal<Option<String>>) {
    #[cfg(feature = "hydrate")]
    {
        if event.ctrl_key() || event.meta_key() {
            return;
        }
        event.prevent_default();
        let url = cell.with_untracked(|c| format!("/stacks/{}/drawer", c.stack));
        leptos::task::spawn_local(async move {
            drawer.set(super::browser::fetch_text(&url).await);
        });
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (event, cell, drawer);
}

fn chip(chip: Chip, now: RwSignal<i64>) -> impl IntoView {
    let state = match chip.state.as_str() {
        "ok" => "passed",
        "running" => "waiting",
        "failed" => "failed",
        _ => "pending",
    };
    let line = spark(&chip.values);
    let until = chip.until;
    let left = move || {
        let now = now.get();
        until.filter(|_| now > 0).map(|at| domain::Span((at.0 - now).max(0)).to_string()).unwrap_or_default()
    };
    view! {
        <li class="gate-chip" data-state=state>
            <span class="gate-label">{chip.label}</span>
            <span class="gate-value">
                {until.map(|at| view! { <time class="countdown" datetime=at.rfc3339()>{left}</time> })} {chip.detail}
            </span>
            {line}
        </li>
    }
}

fn spark(values: &[(i64, bool)]) -> Option<impl IntoView + use<>> {
    if values.len() < 2 {
        return None;
    }
    let most = values.iter().map(|(v, _)| *v).max().unwrap_or(0).max(1) as f64;
    let step = 100.0 / (values.len() - 1) as f64;
    let points = values.iter().enumerate().map(|(i, (v, _))| {
        let y = 22.0 - 20.0 * *v as f64 / most;
        format!("{}{:.1} {y:.1}", if i == 0 { "M" } else { "L" }, i as f64 * step)
    });
    let path = points.collect::<String>();
    Some(view! {
        <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
            <path class="spark-line" d=path />
        </svg>
    })
}

fn plural(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
