//! What the server sends: the whole view where a gap could be, else what changed.

use super::Page;
use crate::islands::browser::{every, now as clock};
use crate::islands::channel::Channel;
use domain::timeline::{Cell, Patch, Timeline};
use leptos::prelude::*;

pub(super) fn connect(page: Page) {
    let now = page.now;
    now.set(clock());
    every(1000, move || now.set(clock()));
    let id = page.view.with_untracked(|v| v.id);
    let again = StoredValue::new_local(None::<Channel>);
    let url = move || format!("/live/rollouts/{id}?from={}", page.view.with_untracked(|v| v.seq));
    let channel = Channel::open(page.link, url, &["view", "patch"], move |name, data| match name {
        "view" => {
            if let Ok(fresh) = serde_json::from_str(&data) {
                whole(page, fresh);
            }
        }
        _ => {
            let Ok(patch) = serde_json::from_str::<Patch>(&data) else { return };
            let known = page.view.with_untracked(|v| v.seq);
            if patch.from == known {
                put(page, patch);
            } else if patch.from > known {
                // Something between was missed: from what is known on, the server sends it.
                again.with_value(|channel| channel.iter().for_each(Channel::connect));
            }
        }
    });
    again.set_value(Some(channel));
}

fn whole(page: Page, mut fresh: Timeline) {
    for (i, wave) in fresh.waves.iter_mut().enumerate() {
        let Some(cells) = page.cells.with_value(|c| c.get(i).copied()) else { continue };
        let new = std::mem::take(&mut wave.cells);
        let known = cells.with_untracked(Vec::len);
        if new.len() < known {
            cells.update(|c| c.truncate(new.len()));
        }
        for (place, cell) in new.into_iter().enumerate() {
            set(cells, place, cell);
        }
    }
    page.view.set(fresh);
}

fn put(page: Page, patch: Patch) {
    for (wave, place, cell) in patch.cells {
        if let Some(cells) = page.cells.with_value(|c| c.get(wave).copied()) {
            set(cells, place, cell);
        }
    }
    let mut head = patch.head;
    head.activity = page.view.with_untracked(|v| Timeline::lines(head.activity, &v.activity));
    page.view.set(head);
}

/// In place: the grid keeps one cell for each stack.
fn set(cells: super::Cells, place: usize, cell: Cell) {
    match cells.with_untracked(|c| c.get(place).copied()) {
        Some(known) if known.with_untracked(|k| *k == cell) => {}
        Some(known) => known.set(cell),
        None => cells.update(|c| c.push(RwSignal::new(cell))),
    }
}
