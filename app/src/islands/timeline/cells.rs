//! The stacks of a wave: a cell each, failures first, or a strip with counts where there are too many.

use super::{Cells, Page, plural};
use domain::StackId;
use domain::timeline::{Cell, rank, state_label};
use leptos::ev::{KeyboardEvent, MouseEvent};
use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast as _;
use web_sys::HtmlElement;

pub(super) fn grid(i: usize, cells: Cells, page: Page) -> impl IntoView {
    let grid = NodeRef::<html::Div>::new();
    // While somebody points at the cells or walks through them, none moves away under them.
    let held = RwSignal::new(false);
    let order = Memo::new(move |before: Option<&Vec<usize>>| order(&cells.get(), held.get(), before));
    let all = move || {
        let cells = cells.get();
        order.get().into_iter().filter_map(|at| cells.get(at).copied()).collect::<Vec<_>>()
    };
    // One stop for the tab key, arrows from there; without scripts every cell is a stop.
    let scripted = RwSignal::new(false);
    let last = RwSignal::new(None::<StackId>);
    let stop = Memo::new(move |_| {
        let cells = cells.get();
        let first = order.with(|o| o.first().and_then(|at| cells.get(*at)).map(|c| c.with(|c| c.stack)));
        last.get().or(first)
    });
    Effect::new(move || scripted.set(true));
    let named = RwSignal::new(None::<RwSignal<Cell>>);
    let caption = move || match named.get() {
        Some(cell) => cell.with(describe),
        None => summary(page, i),
    };
    let leave = move || {
        held.set(false);
        named.set(None);
    };
    view! {
        <div class="cells-wrap">
            <div
                class="cells"
                role="group"
                aria-label=format!("Stacks of wave {}", i + 1)
                node_ref=grid
                on:keydown=move |event| walk(&event, grid)
                on:mouseenter=move |_| held.set(true)
                on:mouseleave=move |_| leave()
                on:focusout=move |_| leave()
            >
                <For each=all key=|cell| cell.with_untracked(|c| c.stack) let(cell)>
                    {
                        let stack = cell.with_untracked(|c| c.stack);
                        let enter = move || {
                            held.set(true);
                            named.set(Some(cell));
                        };
                        view! {
                            <a
                                class="cell"
                                data-state=move || cell.with(|c| c.state.clone())
                                href=format!("/stacks/{stack}")
                                aria-label=move || cell.with(describe)
                                aria-current=move || (page.open.get() == Some(stack)).then_some("true")
                                tabindex=move || {
                                    scripted.get().then(|| if stop.get() == Some(stack) { "0" } else { "-1" })
                                }
                                on:mouseover=move |_| enter()
                                on:focusin=move |_| {
                                    enter();
                                    last.set(Some(stack));
                                }
                                on:click=move |event| open(&event, stack, page)
                            ></a>
                        }
                    }
                </For>
            </div>
            <p class="cells-caption" aria-hidden="true">{caption}</p>
        </div>
    }
}

fn order(cells: &[RwSignal<Cell>], held: bool, before: Option<&Vec<usize>>) -> Vec<usize> {
    let mut order: Vec<_> = (0..cells.len()).collect();
    match before.filter(|_| held) {
        Some(before) => order.sort_by_key(|at| before.iter().position(|b| b == at).unwrap_or(*at)),
        None => order.sort_by_key(|at| cells[*at].with(|c| rank(&c.state))),
    }
    order
}

/// Opens the drawer instead of leaving the page.
pub(super) fn open(event: &MouseEvent, stack: StackId, page: Page) {
    if event.ctrl_key() || event.meta_key() || event.shift_key() {
        return;
    }
    event.prevent_default();
    page.open.set(Some(stack));
}

fn walk(event: &KeyboardEvent, grid: NodeRef<html::Div>) {
    let Some(grid) = grid.get_untracked() else { return };
    let Ok(found) = grid.query_selector_all(".cell") else { return };
    let cell = |at: u32| found.item(at).and_then(|n| n.dyn_into::<HtmlElement>().ok());
    let Some(focused) = document().active_element() else { return };
    let n = found.length();
    let Some(at) = (0..n).find(|at| found.item(*at).is_some_and(|c| c.is_same_node(Some(&focused)))) else {
        return;
    };
    // The nearest cell of the next line up or down.
    let line = |mut places: Box<dyn Iterator<Item = u32>>| {
        let here = cell(at)?;
        let next = places.find(|p| cell(*p).is_some_and(|c| c.offset_top() != here.offset_top()))?;
        let top = cell(next)?.offset_top();
        let same = (0..n).filter(|p| cell(*p).is_some_and(|c| c.offset_top() == top));
        same.min_by_key(|p| cell(*p).map_or(0, |c| (c.offset_left() - here.offset_left()).abs()))
    };
    let to = match event.key().as_str() {
        "ArrowRight" => (at + 1 < n).then_some(at + 1),
        "ArrowLeft" => at.checked_sub(1),
        "ArrowDown" => line(Box::new(at + 1..n)),
        "ArrowUp" => line(Box::new((0..at).rev())),
        "Home" => Some(0),
        "End" => n.checked_sub(1),
        _ => return,
    };
    event.prevent_default();
    if let Some(to) = to.and_then(cell) {
        let _ = to.focus();
    }
}

/// Many stacks: a strip with counts by state; each count leads to its stacks.
pub(super) fn density(i: usize, page: Page) -> impl IntoView {
    let counts = page.part(move |v| v.waves.get(i).map(|w| w.counts.clone()).unwrap_or_default());
    let id = page.view.with_untracked(|v| v.id);
    let strip = move || {
        let all = counts.get().into_iter();
        all.map(|(state, n)| view! { <i data-state=state style:--n=n.to_string()></i> }).collect::<Vec<_>>()
    };
    let one = move |state: String| {
        let n = {
            let state = state.clone();
            move || counts.with(|c| c.iter().find(|(s, _)| *s == state).map_or(0, |(_, n)| *n))
        };
        view! {
            <li>
                <a href=format!("/rollouts/{id}/stacks?wave={}&state={state}", i + 1)>
                    <i class="glyph" data-state=state.clone()></i>
                    <span>{state_label(&state).to_owned()}</span>
                    <b class="num">{n}</b>
                </a>
            </li>
        }
    };
    let states = move || counts.get().into_iter().map(|(state, _)| state).collect::<Vec<_>>();
    view! {
        <div class="density">
            <div class="density-bar" aria-hidden="true">{strip}</div>
            <ul class="density-list">
                <For each=states key=Clone::clone let(state)>{one(state)}</For>
            </ul>
            <a class="small" href=format!("/rollouts/{id}/stacks?wave={}", i + 1)>"List of the stacks"</a>
        </div>
    }
}

fn summary(page: Page, i: usize) -> String {
    page.view.with(|v| {
        let counts = v.waves.get(i).map(|w| w.counts.as_slice()).unwrap_or_default();
        let all = counts.iter().map(|(state, n)| format!("{n} {}", state_label(state)));
        all.collect::<Vec<_>>().join(" · ")
    })
}

fn describe(cell: &Cell) -> String {
    let mut text = format!("{}: {}", cell.name, state_label(&cell.state));
    if cell.tenants != 1 {
        text += &format!(", {}", plural(u64::from(cell.tenants), "tenant"));
    }
    if !cell.detail.is_empty() {
        text += ", ";
        text += &cell.detail;
    }
    text
}
