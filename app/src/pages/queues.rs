//! The queues in the settings: whether they work, what was set aside and why, which gates were announced.

use crate::parts::{capital, post, state_as, time};
use crate::session::{actor, answer};
use leptos::prelude::*;
use service::{CountsFor, QueueCard, QueueRole, QueueView};
use store::{AnnouncementState, QueueMessage, SentAnnouncement};

/// The section; nothing where no queue is set up and none left anything.
pub fn section(view: &QueueView) -> Option<AnyView> {
    if view.cards.is_empty() && view.aside.is_empty() {
        return None;
    }
    let rows: Vec<_> = view.cards.iter().map(card).collect();
    let has = |role| view.cards.iter().any(|card| card.role == role);
    let answers = (has(QueueRole::Intake) || has(QueueRole::Answers)).then(|| {
        let text = match &view.answers_count_for {
            None => "Answers through a queue do not count: answers_count_for is not in the set-up file."
                .to_owned(),
            Some(CountsFor::Any) => "Answers through a queue count for every gate.".to_owned(),
            Some(CountsFor::Groups(groups)) => {
                format!("Answers through a queue count for gates that ask {}.", groups.join(" or "))
            }
        };
        view! { <p class="hint">{text}</p> }
    });
    Some(view! {
        <section class="section"><header class="section-head"><h2>"Queues"</h2></header>
            <div id="queues" data-live="queue,rollout">
                <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Queues"</caption>
                    <thead><tr><th scope="col">"Queue"</th><th scope="col">"What goes through it"</th><th scope="col">"State"</th><th scope="col">"Since"</th><th scope="col">"Why"</th></tr></thead>
                    <tbody>{rows}</tbody></table></div>
                {answers}
                {aside(view)}
                {(!view.announcements.is_empty() && has(QueueRole::Gates)).then(|| announcements(&view.announcements))}
            </div>
        </section>
    }
    .into_any())
}

fn card(card: &QueueCard) -> AnyView {
    let what = match card.role {
        QueueRole::Gates => "gates that ask, going out",
        QueueRole::Intake => "sign-ups, releases and answers, coming in",
        QueueRole::Answers => "answers to gates, coming in",
        QueueRole::TaskGates => "pipelines that wait for a decision, coming in",
    };
    let (shape, word) = match (&card.health, card.role) {
        (None, QueueRole::Gates) => ("queued", "nothing was sent yet"),
        (None, _) => ("queued", "is being opened"),
        (Some(health), _) if health.trouble.is_none() => ("healthy", "works"),
        (Some(_), QueueRole::Gates) => ("failed", "cannot be written"),
        (Some(_), _) => ("failed", "cannot be read"),
    };
    let since = card.health.as_ref().map(|health| time(health.since));
    let why = card.health.as_ref().and_then(|h| h.trouble.as_ref()).map(|reason| capital(&reason.sentence));
    let told = |(server, health): &(String, service::QueueHealth)| {
        let trouble = health.trouble.as_ref()?;
        let text = format!("On {server} since {}: {}", health.since.human(), trouble.sentence);
        Some(view! { <p class="muted small">{text}</p> })
    };
    let elsewhere: Vec<_> = card.elsewhere.iter().filter_map(told).collect();
    view! {
        <tr><td class="cell-main" data-label="Queue">{card.name.clone()}</td>
            <td data-label="What goes through it">{capital(what)}</td>
            <td data-label="State">{state_as(shape, word)}</td>
            <td data-label="Since">{since}</td>
            <td data-label="Why"><div>{why} {elsewhere}</div></td></tr>
    }
    .into_any()
}

fn aside(view: &QueueView) -> AnyView {
    let items: Vec<_> = view.aside.iter().map(message).collect();
    if items.is_empty() {
        return view! { <p class="muted">"Every message that came was handled."</p> }.into_any();
    }
    let shown = items.len() as i64;
    let more = (view.aside_in_all > shown)
        .then(|| view! { <p class="hint">{format!("The newest {shown} of {}.", view.aside_in_all)}</p> });
    view! { <h3>"Set aside"</h3>{more}<ol class="feed">{items}</ol> }.into_any()
}

fn message(message: &QueueMessage) -> AnyView {
    let id = message.id.to_string();
    let name = message.message.clone().unwrap_or_else(|| "a message without an id".to_owned());
    view! {
        <li data-state="failed" data-key=id.clone()><time datetime=message.received_at.rfc3339()>{message.received_at.human()}</time>
            <details><summary><b>{name}</b> " from " {message.queue.clone()} " " {state_as("failed", "set aside")}</summary>
                <p>{capital(&message.reason.sentence)}</p>
                <pre class="log" tabindex="0"><span class="log-line">{message.body.clone()}</span></pre>
                <div class="row">
                    {post("try_message_again", "Try again", "btn btn-small", &[("id", id.clone())])}
                    {post("dismiss_message", "Dismiss", "btn btn-small btn-danger", &[("id", id.clone())])}
                </div>
            </details></li>
    }
    .into_any()
}

fn announcements(all: &[SentAnnouncement]) -> AnyView {
    let rows: Vec<_> = all
        .iter()
        .map(|a| {
            let (shape, word, at) = match a.state {
                AnnouncementState::Sent(at) if a.answered_at.is_some() => ("succeeded", "answered", at),
                AnnouncementState::Sent(at) => ("succeeded", "sent", at),
                AnnouncementState::SetAside(at) => ("failed", "set aside", at),
                AnnouncementState::Closed(at) => ("skipped", "not needed any more", at),
                AnnouncementState::Waiting(at) if a.error.is_some() => ("waiting", "not sent yet", at),
                AnnouncementState::Waiting(at) => ("queued", "waits", at),
            };
            let again = matches!(a.state, AnnouncementState::SetAside(_))
                .then(|| post("announce_again", "Send again", "btn btn-small", &[("id", a.id.to_string())]));
            let href = format!("/gates/{}/{}", a.says.rollout, a.says.wave + 1);
            view! {
                <tr><td class="cell-main" data-label="Gate"><a href=href>{format!("{}, wave {} “{}”", a.says.title, a.says.wave + 1, a.says.name)}</a></td>
                    <td data-label="State">{state_as(shape, word)}</td>
                    <td data-label="When">{time(at)}</td>
                    <td class="num" data-label="Attempts">{a.attempts}</td>
                    <td data-label="Why">{a.error.as_deref().map(capital)} {again}</td></tr>
            }
        })
        .collect();
    view! {
        <h3>"Announced gates"</h3>
        <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Announced gates"</caption>
            <thead><tr><th scope="col">"Gate"</th><th scope="col">"State"</th><th scope="col">"When"</th><th class="num" scope="col">"Attempts"</th><th scope="col">"Why"</th></tr></thead>
            <tbody>{rows}</tbody></table></div>
    }
    .into_any()
}

/// Handles a message once more that was set aside.
#[server(prefix = "/do", endpoint = "try_message_again")]
pub async fn try_message_again(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.try_message_again(&actor, super::id(&id, "the message")?).await?;
        Ok(("/settings".to_owned(), Some("It was handled.".to_owned())))
    };
    answer(doing.await, &()).await
}

/// Takes a message away that was set aside.
#[server(prefix = "/do", endpoint = "dismiss_message")]
pub async fn dismiss_message(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.dismiss_message(&actor, super::id(&id, "the message")?).await?;
        Ok(("/settings".to_owned(), Some("It was dismissed.".to_owned())))
    };
    answer(doing.await, &()).await
}

/// Announces a gate again whose announcement was set aside.
#[server(prefix = "/do", endpoint = "announce_again")]
pub async fn announce_again(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.announce_again(&actor, super::id(&id, "the announcement")?).await?;
        Ok(("/settings".to_owned(), Some("It is sent again.".to_owned())))
    };
    answer(doing.await, &()).await
}
