//! The servers in the settings: who is there, and what is wrong with them.

use crate::parts::{capital, state_as, time};
use leptos::prelude::*;
use service::ReplicaCard;

/// A section of Settings.
pub fn section(cards: &[ReplicaCard]) -> AnyView {
    let rows: Vec<_> = cards.iter().map(row).collect();
    let several = cards.iter().filter(|card| card.alive).count() > 1;
    view! {
        <section class="section"><header class="section-head"><h2>"Servers"</h2></header>
            <div id="replicas" data-live>
                <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Servers"</caption>
                    <thead><tr><th scope="col">"Server"</th><th scope="col">"Version"</th><th scope="col">"Since"</th><th scope="col">"Last heard of"</th><th scope="col">"State"</th></tr></thead>
                    <tbody>{rows}</tbody></table></div>
                {several.then(|| view! { <p class="hint">"They share the work: what one of them leaves behind, another takes over within 16 seconds. Rate limits of public forms and of wrong passwords count for each server by itself."</p> })}
            </div>
        </section>
    }
    .into_any()
}

fn row(card: &ReplicaCard) -> impl IntoView + use<> {
    let (shape, word) = match (card.alive, card.troubles.is_empty(), card.here) {
        (false, ..) => ("failed", "silent"),
        (true, false, _) => ("waiting", "needs attention"),
        (true, true, true) => ("healthy", "answers you"),
        (true, true, false) => ("healthy", "works"),
    };
    let troubles: Vec<_> = card.troubles.iter().map(|reason| capital(&reason.sentence)).collect();
    let here = (card.here && word != "answers you").then_some(" (answers you)");
    view! {
        <tr><td class="cell-main" data-label="Server">{card.name.clone()} {here}</td>
            <td data-label="Version">{card.version.clone()}</td>
            <td data-label="Since">{time(card.started_at)}</td>
            <td data-label="Last heard of">{time(card.seen_at)}</td>
            <td data-label="State"><div>{state_as(shape, word)}
                {troubles.into_iter().map(|text| view! { <p class="muted small">{text}</p> }).collect_view()}</div></td></tr>
    }
}
