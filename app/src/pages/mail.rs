//! Messages as the settings show them: who got each, who did not and why, and when it is tried again.

use crate::parts::{post, state_as, time};
use crate::session::{actor, answer};
use domain::process::Recipient;
use leptos::prelude::*;
use store::{Addressing, Delivery, DeliveryState, Message};

/// The last messages, newest first.
pub fn list(messages: &[Message]) -> AnyView {
    if messages.is_empty() {
        return view! { <p class="muted">"No message was sent yet."</p> }.into_any();
    }
    let items: Vec<_> = messages.iter().map(item).collect();
    view! { <ol class="feed">{items}</ol> }.into_any()
}

fn item(m: &Message) -> AnyView {
    let (shape, word) = summary(m);
    let to = match &m.to {
        Recipient::Address(address) => address.clone(),
        Recipient::Approvers(Some(group)) => format!("approvers in {group}"),
        Recipient::Approvers(None) => "approvers".into(),
        Recipient::Operators => "operators".into(),
    };
    let waits = match &m.addressing {
        Addressing::Waiting { why: Some(why), .. } => Some(format!("Waits: {why}.")),
        Addressing::SetAside(why) => Some(format!("Set aside: {why}.")),
        Addressing::Waiting { why: None, .. } | Addressing::Done => None,
    };
    let (text, link) = console_text(&m.body);
    let again =
        set_aside(m).then(|| post("send_again", "Send again", "btn btn-small", &[("id", m.id.to_string())]));
    view! {
        <li data-state=shape><time datetime=m.created_at.rfc3339()>{m.created_at.clock()}</time>
            <details><summary><b>{m.subject.clone()}</b> " to " {to} " " {state_as(shape, &word)}</summary>
                {waits.map(|why| view! { <p>{why}</p> })}
                {(!m.deliveries.is_empty()).then(|| deliveries(&m.deliveries))}
                <pre class="log" tabindex="0"><span class="log-line">{text}</span></pre>
                <div class="row">{again}{link.map(|path| view! { <a class="btn btn-small" href=path>"Follow its link"</a> })}</div>
            </details></li>
    }
    .into_any()
}

fn deliveries(deliveries: &[Delivery]) -> AnyView {
    let rows: Vec<_> = deliveries
        .iter()
        .map(|d| {
            let (shape, word, at) = match d.state {
                DeliveryState::Sent(at) => ("succeeded", "sent", time(at)),
                DeliveryState::SetAside(at) => ("failed", "set aside", time(at)),
                DeliveryState::Waiting(at) if d.error.is_some() => {
                    ("waiting", "not sent yet", view! { <span>"again " {time(at)}</span> }.into_any())
                }
                DeliveryState::Waiting(_) if d.attempts > 0 => ("in_progress", "on its way", ().into_any()),
                DeliveryState::Waiting(_) => ("queued", "waits", ().into_any()),
            };
            view! {
                <tr><td class="cell-main" data-label="Address">{d.address.clone()}</td>
                    <td data-label="State">{state_as(shape, word)}</td>
                    <td data-label="When">{at}</td>
                    <td class="num" data-label="Attempts">{d.attempts}</td>
                    <td data-label="Why">{d.error.clone()}</td></tr>
            }
        })
        .collect();
    view! {
        <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Who got it"</caption>
            <thead><tr><th scope="col">"Address"</th><th scope="col">"State"</th><th scope="col">"When"</th><th class="num" scope="col">"Attempts"</th><th scope="col">"Why"</th></tr></thead>
            <tbody>{rows}</tbody></table></div>
    }
    .into_any()
}

/// The message in one chip: the worst that became of it, with how many it concerns where there are several.
fn summary(m: &Message) -> (&'static str, String) {
    let all = m.deliveries.len();
    let of = |n: usize, word: &str| if all == 1 { word.to_owned() } else { format!("{n} of {all} {word}") };
    let number = |fits: fn(&Delivery) -> bool| m.deliveries.iter().filter(|d| fits(d)).count();
    match &m.addressing {
        Addressing::SetAside(_) => return ("failed", "set aside".to_owned()),
        Addressing::Waiting { why: Some(_), .. } => return ("waiting", "waits for a recipient".to_owned()),
        Addressing::Waiting { why: None, .. } => return ("queued", "waits".to_owned()),
        Addressing::Done => {}
    }
    let given_up = number(|d| matches!(d.state, DeliveryState::SetAside(_)));
    let failed = number(|d| matches!(d.state, DeliveryState::Waiting(_)) && d.error.is_some());
    let sent = number(|d| matches!(d.state, DeliveryState::Sent(_)));
    match (given_up, failed) {
        (0, 0) if sent == all => ("succeeded", "sent".to_owned()),
        (0, 0) => ("queued", "waits".to_owned()),
        (0, n) => ("waiting", of(n, "not sent yet")),
        (n, _) => ("failed", of(n, "set aside")),
    }
}

fn set_aside(m: &Message) -> bool {
    matches!(m.addressing, Addressing::SetAside(_))
        || m.deliveries.iter().any(|d| matches!(d.state, DeliveryState::SetAside(_)))
}

/// A message's text for the console, and the path of its first link here.
fn console_text(body: &str) -> (String, Option<String>) {
    let path = body.split("{base}").nth(1).and_then(|rest| rest.split_whitespace().next()).map(str::to_owned);
    (body.replace("{base}", ""), path)
}

/// Sends a message again to whom it was set aside for.
#[server(prefix = "/do", endpoint = "send_again")]
pub async fn send_again(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.send_again(&actor, super::id(&id, "the message")?).await?;
        Ok(("/settings".to_owned(), Some("It is sent again.".to_owned())))
    };
    answer(doing.await, &()).await
}
