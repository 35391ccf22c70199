//! Where stacks are made: the targets of the set-up file, and what they wait for.

use domain::Region;
use leptos::prelude::*;
use service::TargetCard;

/// A section of Settings.
pub fn section(cards: &[TargetCard]) -> AnyView {
    let rows: Vec<_> = cards.iter().map(row).collect();
    view! {
        <section class="section"><header class="section-head"><h2>"Where stacks are made"</h2></header>
            <p class="hint">"The first target that takes a tenant's tier and region gets its stack. Targets stand in the set-up file that the server is started with."</p>
            <div id="targets" data-live class="table-wrap"><table class="table"><caption class="visually-hidden">"Targets"</caption>
                <thead><tr><th scope="col">"Target"</th><th scope="col">"Leads to"</th><th scope="col">"Takes"</th><th scope="col">"State"</th></tr></thead>
                <tbody>{rows}</tbody></table></div>
        </section>
    }
    .into_any()
}

fn row(card: &TargetCard) -> impl IntoView + use<> {
    let (word, rank, detail) = match (&card.trouble, &card.pressure) {
        (Some(reason), _) => ("cannot be reached", "bad", reason.sentence.clone()),
        (None, Some(p)) if p.waiting > 0 => (
            "waits for its rate budget",
            "waiting",
            format!("{} calls at {:.1} a second, about {}", p.waiting, p.per_second, p.eta),
        ),
        (None, Some(p)) => ("ready", "good", format!("at most {:.1} calls a second now", p.per_second)),
        (None, None) => ("ready", "good", String::new()),
    };
    view! {
        <tr>
            <td class="cell-main" data-label="Target"><code>{card.target.to_string()}</code></td>
            <td data-label="Leads to">{card.place.clone()}</td>
            <td data-label="Takes">{takes(&card.tiers, &card.regions)}</td>
            <td data-label="State"><span class="state" data-state=rank>{word}</span>
                {(!detail.is_empty()).then(|| view! { <p class="muted small">{detail}</p> })}</td>
        </tr>
    }
}

fn takes(tiers: &[String], regions: &[Region]) -> String {
    let regions: Vec<_> = regions.iter().map(ToString::to_string).collect();
    let tiers = if tiers.is_empty() { "every tier".to_owned() } else { tiers.join(", ") };
    if regions.is_empty() {
        format!("{tiers} in every region")
    } else {
        format!("{tiers} in {}", regions.join(", "))
    }
}
