//! The gate after a wave, chip by chip, and the way to decide it.

use super::Page;
use domain::timeline::{Asks, Chip, Timeline};
use leptos::prelude::*;

pub(super) fn gate(i: usize, page: Page) -> impl IntoView {
    let number = i + 1;
    let id = page.view.with_untracked(|v| v.id);
    let state = page.part(move |v| match v.waves.get(i).map_or("", |w| w.state.as_str()) {
        "passed" => "open",
        "gated" => "waiting",
        "failed" => "failed",
        _ => "closed",
    });
    let chips = page.part(move |v| v.waves.get(i).map(|w| w.gate.clone()).unwrap_or_default());
    let chips = move || chips.get().into_iter().map(|c| chip(c, page.now)).collect::<Vec<_>>();
    let asks =
        page.part(move |v| v.waves.get(i).and_then(|w| w.asks.clone().map(|asks| yours(&asks, v, page))));
    let review = move || {
        asks.get().map(|yours| {
            let (text, class) = if yours {
                ("Review", "btn btn-primary btn-small btn-block")
            } else {
                ("See the gate", "btn btn-small btn-block")
            };
            view! { <a class=class href=format!("/gates/{id}/{number}")>{text}</a> }
        })
    };
    view! {
        <section class="gate" data-state=state aria-label=format!("Gate after wave {number}")>
            <ul class="gate-chips">{chips}</ul>
            {review}
        </section>
    }
}

/// Whether a gate asks whoever looks: they may decide, are in one of its groups, have not decided, and did not start it.
pub(super) fn yours(asks: &Asks, view: &Timeline, page: Page) -> bool {
    page.viewer.with_value(|me| {
        me.decide
            && (asks.groups.is_empty() || asks.groups.iter().any(|group| me.groups.contains(group)))
            && !asks.said.contains(&me.name)
            && view.started_by != me.name
    })
}

fn chip(chip: Chip, now: RwSignal<i64>) -> impl IntoView {
    let state = match chip.state.as_str() {
        "ok" => "passed",
        "running" => "waiting",
        "failed" => "failed",
        _ => "pending",
    };
    let line = spark(&chip.values);
    let countdown = chip.until.map(|at| {
        let left = move || match now.get() {
            // Before the browser's clock is known, and without scripts: the instant itself.
            0 => format!("until {} UTC", at.human()),
            now => domain::Span((at.0 - now).max(0)).to_string(),
        };
        let urgent = move || (now.get() > 0 && at.0 - now.get() < 600_000).then_some("");
        view! {
            <time class="countdown" datetime=at.rfc3339() title=format!("until {} UTC", at.human()) data-urgent=urgent>{left}</time>
        }
    });
    view! {
        <li class="gate-chip" data-state=state>
            <span class="gate-label">{chip.label}</span>
            {countdown}
            {(!chip.detail.is_empty()).then(|| view! { <span class="gate-value" title=chip.detail.clone()>{chip.detail.clone()}</span> })}
            {line}
        </li>
    }
}

/// The last values of a check as a line.
pub fn spark(values: &[(i64, bool)]) -> Option<impl IntoView + use<>> {
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
