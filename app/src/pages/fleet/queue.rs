//! The catch-up queue and its rules, as the page of the fleet shows them.

use crate::parts::{capital, field, post, select, time};
use crate::session::Flash;
use domain::Timestamp;
use domain::catchup::{MemberState, Mode, Rules};
use domain::fleet::plural;
use leptos::prelude::*;
use service::{Convergence, RulesForm};
use store::FleetSkew;

/// The banner while stacks are further behind than they may be.
pub fn alarm(state: &Convergence) -> Option<AnyView> {
    let since = state.alarm?;
    let text = sentence(&state.skew, &state.rules);
    Some(view! { <div class="alert alert-error" role="status"><h2>"Too far behind"</h2><p>{text} " Since " {time(since)} " UTC."</p></div> }.into_any())
}

/// The banner on the first page.
pub fn attention(skew: Option<&FleetSkew>) -> Option<AnyView> {
    let skew = skew?;
    let are = if skew.beyond == 1 { "is" } else { "are" };
    Some(
        view! {
            <section class="section"><p class="alert alert-error"><a href="/fleet?why=differs">{plural(skew.beyond as i64, "stack")} " " {are} " too far behind"</a>
                ": " {skew.named()} "."</p></section>
        }
        .into_any(),
    )
}

fn sentence(skew: &FleetSkew, rules: &Rules) -> String {
    let may = rules.budget.words().unwrap_or_default();
    let are = if skew.beyond == 1 { "is" } else { "are" };
    format!("{} {are} more than {may} behind: {}.", plural(skew.beyond as i64, "stack"), skew.named())
}

/// Where the queue is, and what it waits for.
pub fn standing(state: &Convergence, may: bool, now: Timestamp) -> AnyView {
    let queue = &state.queue;
    let policy = &state.rules.policy;
    if let Some(reason) = &queue.stopped {
        let button = may.then(|| post("resume_catch_up", "Let it go on", "btn btn-small", &[]));
        return view! {
            <div class="alert alert-warning" id="catch-up" data-live="fleet,repair"><h2>"The catch-up queue has stopped"</h2><p>{capital(&reason.sentence)} "."</p>{button}</div>
        }
        .into_any();
    }
    let text = match (&queue.batch, policy.mode) {
        (Some(batch), _) => {
            let running = batch.members.iter().filter(|m| m.state == MemberState::Running);
            let names: Vec<_> = running.map(|m| m.name.clone()).collect();
            let left = batch.members.len();
            let done = (batch.stacks as usize).saturating_sub(left);
            let at =
                if names.is_empty() { String::new() } else { format!("; at work on {}", names.join(", ")) };
            format!("Catching up: {done} of {} done{at}.", plural(batch.stacks.into(), "stack"))
        }
        (None, Mode::Automatic) if queue.not_before > now => {
            format!(
                "Stacks catch up by themselves; the next batch begins after {} UTC.",
                queue.not_before.human()
            )
        }
        (None, Mode::Automatic) => "Stacks catch up by themselves, in small batches.".to_owned(),
        (None, Mode::ByHand) => "Stacks catch up when somebody says so.".to_owned(),
    };
    let last = state.batches.iter().find(|batch| batch.ended_at.is_some()).map(|batch| {
        let failed = if batch.failed == 0 { String::new() } else { format!(", {} failed", batch.failed) };
        let text = format!(" The last batch had {}{failed}, ended ", plural(batch.stacks, "stack"));
        view! { {text} {batch.ended_at.map(time)} " UTC." }
    });
    view! { <p class="muted" id="catch-up" data-live="fleet,repair">{text} {last} " " <a href="#rules">"Rules"</a></p> }.into_any()
}

/// The rules: read by all, set by those who may.
pub fn rules(state: &Convergence, flash: &Flash, may: bool) -> AnyView {
    let rules = &state.rules;
    let by = match (&rules.by, rules.at) {
        (Some(by), Some(at)) => view! { "Set by " {by.clone()} " " {time(at)} " UTC." }.into_any(),
        _ => "As they are from the start; nobody has changed them.".into_any(),
    };
    let policy = &rules.policy;
    let how = match policy.mode {
        Mode::ByHand => "Stacks catch up when somebody says so".to_owned(),
        Mode::Automatic => format!(
            "Stacks catch up by themselves, with {} between batches, at most {} for a stack",
            policy.pause,
            tries(policy.tries)
        ),
    };
    let far = rules.budget.words().map_or_else(
        || "No stack is ever too far behind".to_owned(),
        |words| format!("A stack may be at most {words} behind"),
    );
    let text = format!(
        "{how}: batches of {}, {} at once; more than {} of a batch failing stops the queue. {far}.",
        policy.batch, policy.at_once, policy.failures
    );
    let form = may.then(|| {
        let now = RulesForm::from(rules);
        let modes = vec![
            (Mode::ByHand.word().to_owned(), "when somebody says so".to_owned()),
            (Mode::Automatic.word().to_owned(), "by themselves, in small batches".to_owned()),
        ];
        let open = !flash.problems.is_empty();
        view! {
            <details class="disclosure" open=open><summary>"Change the rules"</summary>
                <form class="form" method="post" action="/do/save_convergence">
                    {select(flash, "mode", "Stacks that are behind catch up", modes, &now.mode)}
                    {field(flash, "batch", "Stacks in a batch", "", &now.batch, "text")}
                    {field(flash, "at_once", "Of these at once", "", &now.at_once, "text")}
                    {field(flash, "pause", "Pause between batches", "Like 5 min or 1 h; what people ask for does not wait for it.", &now.pause, "text")}
                    {field(flash, "failures", "Failures that a batch may have", "One more stops the queue until somebody lets it go on.", &now.failures, "text")}
                    {field(flash, "tries", "Tries for one stack", "After that somebody must look.", &now.tries, "text")}
                    {field(flash, "back_off", "Back-off after a failed try", "Doubled with each further one, at most a day.", &now.back_off, "text")}
                    {field(flash, "versions", "Versions that a stack may be behind", "Beyond it an alarm is raised; 0 for any number.", &now.versions, "text")}
                    {field(flash, "days", "Days that a stack may be behind", "0 for any number.", &now.days, "text")}
                    <div class="form-actions"><button class="btn btn-primary" type="submit">"Save"</button></div>
                </form></details>
        }
    });
    view! {
        <section class="section" id="rules"><header class="section-head"><h2>"Rules of convergence"</h2></header>
            <p>{text}</p><p class="small muted">{by}</p>{form}
        </section>
    }
    .into_any()
}

fn tries(n: u32) -> String {
    if n == 1 { "1 try".to_owned() } else { format!("{n} tries") }
}
