//! Pause, resume, retry, roll back, stop: what the rollout would accept now. What stops work asks first, says
//! what will happen, and takes a reason into the record. Without scripts the same question is a page.

use super::Page;
use domain::timeline::Choice;
use leptos::html;
use leptos::prelude::*;

/// Whether a verb asks before it acts.
pub(super) fn asks(verb: &str) -> bool {
    matches!(verb, "override" | "pause" | "enter" | "rollback" | "stop")
}

/// How a button of this verb looks.
pub(super) fn class(verb: &str) -> &'static str {
    match verb {
        "resume" => "btn btn-primary",
        "override" | "rollback" | "stop" => "btn btn-danger",
        _ => "btn",
    }
}

pub(super) fn buttons(page: Page) -> impl IntoView {
    let id = page.view.with_untracked(|v| v.id);
    let may = page.viewer.with_value(|v| v.steer);
    // By verb and label: what would happen changes with every stack, the buttons do not.
    let choices =
        page.part(|v| v.steering.iter().map(|c| (c.verb.clone(), c.label.clone())).collect::<Vec<_>>());
    let button = move |verb: String, label: String| {
        let class = class(&verb);
        if verb == "back" {
            return view! { <a class=class href=format!("/rollouts/{id}/rollback")>{label} "…"</a> }
                .into_any();
        }
        if asks(&verb) {
            let href = format!("/rollouts/{id}/steer?verb={verb}");
            let ask = move |event: leptos::ev::MouseEvent| {
                event.prevent_default();
                page.asked.set(Some(verb.clone()));
            };
            view! { <a class=class href=href role="button" aria-haspopup="dialog" on:click=ask>{label} "…"</a> }
                .into_any()
        } else {
            view! {
                <form method="post" action="/do/steer">
                    <input type="hidden" name="id" value=id.to_string() />
                    <input type="hidden" name="verb" value=verb />
                    <input type="hidden" name="comment" value="" />
                    <button class=class type="submit">{label}</button>
                </form>
            }
            .into_any()
        }
    };
    let some = Memo::new(move |_| may && choices.with(|c| !c.is_empty()));
    let body = move || {
        view! {
            <div class="actions">
                <For each=move || choices.get() key=Clone::clone let((verb, label))>{button(verb, label)}</For>
            </div>
        }
    };
    move || some.get().then(body)
}

pub(super) fn dialog(page: Page) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let id = page.view.with_untracked(|v| v.id);
    // What was asked stays in the dialog while it closes.
    let verb = RwSignal::new(String::new());
    Effect::new(move || {
        let (Some(wanted), Some(dialog)) = (page.asked.get(), dialog.get()) else { return };
        verb.set(wanted);
        if !dialog.open() {
            let _ = dialog.show_modal();
        }
    });
    let close = move || {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let choice = page.part(move |v| v.steering.iter().find(|c| c.verb == verb.get()).cloned());
    let label = Memo::new(move |before: Option<&String>| match choice.get() {
        Some(Choice { label, .. }) => label,
        None => before.cloned().unwrap_or_default(),
    });
    let title = move || format!("{} {}?", label.get(), page.view.with(|v| v.title.clone()));
    let effect = move || match choice.get() {
        Some(choice) => choice.effect,
        None => "This is no longer possible: the rollout has gone on meanwhile.".to_owned(),
    };
    let can = page.viewer.with_value(|v| v.steer);
    can.then(|| {
        view! {
            <dialog
                class="dialog"
                id="confirm"
                aria-labelledby="confirm-title"
                aria-describedby="confirm-effect"
                node_ref=dialog
                on:close=move |_| page.asked.set(None)
            >
                <form method="post" action="/do/steer">
                    <header class="dialog-head"><h2 id="confirm-title">{title}</h2></header>
                    <div class="dialog-body">
                        <p id="confirm-effect">{effect}</p>
                        {move || (verb.get() == "rollback").then(|| view! { <p><a href=format!("/rollouts/{id}/rollback")>"See which stacks, or take back a part"</a></p> })}
                        <input type="hidden" name="id" value=id.to_string() />
                        <input type="hidden" name="verb" value=verb />
                        <div class="field">
                            <label for="confirm-comment">"Reason"</label>
                            <p class="hint" id="confirm-hint">"Others read it in the record and on this page."</p>
                            <textarea id="confirm-comment" name="comment" rows="2" maxlength="500" required=move || verb.get() == "override" aria-describedby="confirm-hint"></textarea>
                        </div>
                    </div>
                    <footer class="dialog-foot">
                        <button class="btn" type="button" on:click=move |_| close()>"Cancel"</button>
                        <button class=move || class(&verb.get()) type="submit" disabled=move || choice.with(Option::is_none)>{label}</button>
                    </footer>
                </form>
            </dialog>
        }
    })
}
