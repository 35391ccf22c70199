//! Under the waves: what needs somebody, what failed, what happened.

use super::{Page, gate, plural};
use domain::Timestamp;
use domain::timeline::{Failure, Line, Timeline};
use leptos::prelude::*;

pub(super) fn panel(page: Page) -> impl IntoView {
    view! {
        <div class="rollout-panel">
            {needs(page)}
            {failed(page)}
            {activity(page)}
        </div>
    }
}

/// Something that waits for a person: a sentence, and where to go.
#[derive(Clone, PartialEq, Eq)]
struct Need {
    state: &'static str,
    sentence: String,
    /// The gate to look at, counted from 1, and whether it asks whoever looks.
    gate: Option<(usize, bool)>,
}

fn needs(page: Page) -> impl IntoView {
    let id = page.view.with_untracked(|v| v.id);
    let needs = page.part(move |v| find(v, page));
    move || {
        let all = needs.get();
        let yours = all.iter().any(|n| n.gate.is_none_or(|(_, yours)| yours));
        (!all.is_empty()).then(|| {
            let items = all.into_iter().map(|need| {
                let link = need.gate.map(|(number, yours)| {
                    let (text, class) = if yours { ("Review", "btn btn-primary btn-small") } else { ("See the gate", "btn btn-small") };
                    view! { <div class="actions"><a class=class href=format!("/gates/{id}/{number}")>{text}</a></div> }
                });
                view! { <li class="inbox-item" data-state=need.state><div><p>{need.sentence}</p></div> {link}</li> }
            });
            let items = items.collect::<Vec<_>>();
            let title = if yours { "Needs you" } else { "Waits for others" };
            view! { <section><h2>{title}</h2><ul class="inbox">{items}</ul></section> }
        })
    }
}

fn find(view: &Timeline, page: Page) -> Vec<Need> {
    let mut all = vec![];
    let steer = page.viewer.with_value(|v| v.steer);
    if steer && matches!(view.status.as_str(), "halted" | "paused") {
        let can: Vec<_> = view.steering.iter().map(|c| c.label.to_lowercase()).collect();
        let can = match can.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => "look".to_owned(),
        };
        let state = if view.status == "halted" { "halted" } else { "paused" };
        all.push(Need {
            state,
            sentence: format!("It is {state} and waits for a decision: {can}."),
            gate: None,
        });
    }
    for (i, wave) in view.waves.iter().enumerate() {
        let Some(asks) = &wave.asks else { continue };
        let who = asks.group.as_ref().map(|g| format!(" from {g}")).unwrap_or_default();
        let said =
            if asks.said.is_empty() { String::new() } else { format!("; {} answered", asks.said.join(", ")) };
        let number = i + 1;
        all.push(Need {
            state: "gated",
            sentence: format!(
                "Wave {number} “{}” waits for {}{who}{said}.",
                wave.name,
                plural(u64::from(asks.missing), "approval")
            ),
            gate: Some((number, gate::yours(asks, view, page))),
        });
    }
    all
}

fn failed(page: Page) -> impl IntoView {
    let id = page.view.with_untracked(|v| v.id);
    let steer = page.viewer.with_value(|v| v.steer);
    let failures = page.part(|v| v.failures.clone());
    let total = page.part(|v| v.failed);
    let some = Memo::new(move |_| failures.with(|f| !f.is_empty()));
    let retry = page.part(move |v| {
        let open = v.failures.iter().any(|f| f.open && f.state() == "failed");
        steer && open && v.steering.iter().any(|c| c.verb == "retry")
    });
    let ended = page.part(|v| v.steering.is_empty());
    let key = |f: &Failure| (f.stack, f.attempt, f.again_at, f.ends, f.sentence.clone(), f.open);
    let shown = failures;
    let more = move || {
        total.get().saturating_sub(shown.with(|f| f.iter().filter(|f| f.state() == "failed").count() as u64))
    };
    let body = move || {
        view! {
            <section class="failed">
                <header class="section-head">
                    <h2>"Failed" {move || (total.get() > 0).then(|| format!(" ({})", total.get()))}</h2>
                    {move || retry.get().then(|| view! {
                        <form method="post" action="/do/steer">
                            <input type="hidden" name="id" value=id.to_string() />
                            <input type="hidden" name="verb" value="retry" />
                            <input type="hidden" name="comment" value="" />
                            <button class="btn btn-small" type="submit">"Retry failed"</button>
                        </form>
                    })}
                </header>
                <ul class="fail-list">
                    <For each=move || failures.get() key=key let(failure)>{one(failure, page, steer, ended)}</For>
                </ul>
                {move || (more() > 0).then(|| view! {
                    <p class="small"><a href=format!("/rollouts/{id}/stacks?state=failed")>{format!("and {} more", more())}</a></p>
                })}
            </section>
        }
    };
    move || some.get().then(body)
}

fn one(failure: Failure, page: Page, steer: bool, ended: Memo<bool>) -> impl IntoView {
    let (stack, state) = (failure.stack, failure.state());
    let again = failure.again_at.map(|at| {
        let now = page.now;
        let left = move || match now.get() {
            0 => format!(" · tried again at {} UTC", at.clock()),
            now if now >= at.0 => " · tried again now".to_owned(),
            now => format!(" · tried again in {}", domain::Span(at.0 - now)),
        };
        view! { <span>{left}</span> }
    });
    let back = if failure.back { "on the way back · " } else { "" };
    let meta = format!(
        "wave {} · {back}{} · attempt {} of {}",
        failure.wave + 1,
        plural(u64::from(failure.tenants), "tenant"),
        failure.attempt,
        failure.of.max(failure.attempt)
    );
    let ends = failure.ends;
    let catch_up = move || {
        (steer && ended.get() && !ends).then(|| {
            view! {
                <div class="actions">
                    <form method="post" action="/do/converge">
                        <input type="hidden" name="id" value=stack.to_string() />
                        <button class="btn btn-small" type="submit">"Catch up"</button>
                    </form>
                </div>
            }
        })
    };
    view! {
        <li data-state=state>
            <a class="fail-name" href=format!("/stacks/{stack}") on:click=move |event| super::cells::open(&event, stack, page)>{failure.name}</a>
            <span class="fail-meta">{meta} {again}</span>
            <p class="fail-why">{failure.sentence} " " <code>{failure.code}</code></p>
            {catch_up}
        </li>
    }
}

fn activity(page: Page) -> impl IntoView {
    let lines = page.part(|v| days(&v.activity));
    let empty = Memo::new(move |_| lines.with(Vec::is_empty));
    view! {
        <section>
            <h2>"Activity"</h2>
            {move || empty.get().then(|| view! { <p class="muted">"Nothing has happened yet."</p> })}
            <ol class="feed">
                <For each=move || lines.get() key=|(line, day)| (line.position, day.is_some()) let((line, day))>
                    {day.map(|day| view! { <li class="feed-day">{day}</li> })}
                    <li data-state=tone(&line.kind)>
                        <time datetime=line.at.rfc3339() title=format!("{} UTC", line.at.human())>{line.at.clock()}</time>
                        <p>{line.sentence}</p>
                    </li>
                </For>
            </ol>
        </section>
    }
}

/// Each line, with its day where that is another than the line's before it.
fn days(lines: &[Line]) -> Vec<(Line, Option<String>)> {
    let mut before = lines.first().map(|line| day(line.at)).unwrap_or_default();
    let with_day = |line: &Line| {
        let day = day(line.at);
        let other = (day != before).then(|| day.clone());
        before = day;
        (line.clone(), other)
    };
    lines.iter().map(with_day).collect()
}

fn day(at: Timestamp) -> String {
    at.human().split(',').next().unwrap_or_default().to_owned()
}

fn tone(kind: &str) -> &'static str {
    match kind {
        "operation_failed" | "halted" | "failed" | "settling" => "error",
        "succeeded" | "completed" | "gate_passed" => "success",
        "paused" | "rollback_started" | "stack_recalled" | "waves_recalled" | "approval_asked" => "warning",
        _ => "info",
    }
}
