//! A tier change: what it would do, shown before; how it stands, with the way back, on the tenant's page.

use super::{id, page};
use crate::parts::{Field, capital, clock, icon, post, select, sentence_of, state_as, time};
use crate::session::{Flash, Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use domain::TenantId;
use domain::access::Permission;
use domain::hook;
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{TierChangeForm, TierChangePreview, TierChangeView};
use store::HookRun;

/// Chooses a tier, shows what the change would do, and begins it.
pub async fn show(
    State(ui): State<Ui>,
    member: Member,
    Path(text): Path<String>,
    Query(query): Query<std::collections::HashMap<String, String>>,
) -> Response {
    let frame = member.frame("/tenants");
    page!(ui, frame, member.actor.require(Permission::Tenants).map_err(service::Error::from));
    let tenant: TenantId = page!(ui, frame, id(&text, "the tenant"));
    let data = page!(ui, frame, ui.service.tenant(&member.actor, tenant).await);
    let tiers = page!(ui, frame, ui.service.tiers_for_change(&member.actor, tenant).await);
    let flash = member.flash().await;
    let word = |name: &str| query.get(&format!("form[{name}]")).cloned().unwrap_or_default();
    let wanted = TierChangeForm { tier: word("tier"), hold: word("hold"), comment: word("comment") };
    let preview = match wanted.tier.as_str() {
        "" => None,
        _ => {
            let preview = ui.service.preview_tier_change(&member.actor, tenant, &wanted).await;
            Some(preview.map_err(|error| sentence_of(&error)))
        }
    };
    let again = flash.clone();
    let name = data.tenant.name.to_string();
    render(&ui, StatusCode::OK, frame, format!("Tier of {name}"), flash, move || {
        let options: Vec<_> = tiers
            .iter()
            .map(|t| (t.key.to_string(), format!("{} ({}) {}", t.spec.name, t.spec.model.word(), t.spec.price)))
            .collect();
        let body = if options.is_empty() {
            view! { <div class="empty">{icon("tiers")}<h2>"No other tier here"</h2><p>{format!("No other tier lives in {}. Let one live there, or make one.", data.tenant.region)}</p><div class="actions"><a class="btn" href="/tiers">"Tiers"</a></div></div> }.into_any()
        } else {
            let path = format!("/tenants/{tenant}/tier");
            let shown = preview.as_ref().map(|preview| match preview {
                Ok(preview) => shown(preview, &wanted).into_any(),
                Err(error) => view! { <p class="alert alert-error section" role="alert">{error.clone()}</p> }.into_any(),
            });
            let hold = if wanted.hold.is_empty() { "24 h" } else { &wanted.hold };
            view! {
                <form class="form" method="get" action=path>
                    {select(&again, "tier", "New tier", options, &wanted.tier)}
                    {Field::new(&again, "hold", "Can be undone for").hint("After the cut the former environment stays so long, at most 30 d.").value(hold).most(20).complete("off").view()}
                    {Field::new(&again, "comment", "Comment").hint("For the record.").value(&wanted.comment).most(500).complete("off").view()}
                    <div class="form-actions"><button class="btn" type="submit">"Show what it would do"</button></div>
                </form>
                {shown}
            }
            .into_any()
        };
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/tenants">"Tenants"</a></li><li><a href=format!("/tenants/{tenant}")>{name.clone()}</a></li><li aria-current="page">"Change tier"</li></ol></nav>
            <header class="page-head"><div><h1>"Change tier"</h1><p class="lede">{format!("{name} has {} ({}) in {}.", data.tier.spec.name, data.tier.spec.model.word(), data.tenant.region)}</p></div></header>
            {body}
        }
    })
    .await
}

fn shown(preview: &TierChangePreview, wanted: &TierChangeForm) -> impl IntoView + use<> {
    let steps: Vec<_> = preview.steps.iter().map(|s| view! { <li>{s.clone()}</li> }).collect();
    let warnings: Vec<_> = preview
        .warnings
        .iter()
        .map(|w| view! { <p class="alert alert-warning">{format!("{}.", capital(w))}</p> })
        .collect();
    let hidden =
        [("tier", wanted.tier.clone()), ("hold", wanted.hold.clone()), ("comment", wanted.comment.clone())];
    let hidden: Vec<_> = hidden
        .into_iter()
        .map(|(name, value)| view! { <input type="hidden" name=format!("form[{name}]") value=value /> })
        .collect();
    view! {
        <section class="section" aria-label="What it would do">
            <header class="section-head"><h2>{format!("{} → {}", preview.from.spec.name, preview.to.spec.name)}</h2></header>
            {warnings}
            <ol class="prose">{steps}</ol>
            <form class="form" method="post" action="/do/change_tier">
                <input type="hidden" name="id" value=preview.tenant.id.to_string() />
                {hidden}
                <div class="form-actions"><button class="btn btn-primary" type="submit">{format!("Move to {}", preview.to.spec.name)}</button></div>
            </form>
        </section>
    }
}

/// How a tier change stands, with what people can do about it.
pub fn section(view: &TierChangeView, may: bool) -> AnyView {
    let change = &view.change;
    let tenant = change.brief.tenant.to_string();
    let skippable = change.due().is_some_and(|p| matches!(change.hook(p), hook::Step::Failed { .. }));
    let undo = (may && change.may_undo()).then(|| {
        let until = view.undo_until.map(|until| view! { <small class="muted">"until " {time(until)} " UTC"</small> });
        view! { <div class="row">{post("undo_tier_change", "Undo", "btn", &[("id", tenant.clone())])}{until}</div> }
    });
    let finish = (may && view.may_finish())
        .then(|| post("finish_tier_change", "End the hold now", "btn", &[("id", tenant.clone())]));
    let skip = (may && skippable && change.failed.is_some()).then(|| skip(&tenant));
    let head = format!("From {} to {}", change.brief.from_name, change.brief.to_name);
    view! {
        <section class="section"><header class="section-head"><h2>"Tier change"</h2></header>
            <p>{head}</p>
            {steps(&change.progress())}
            <div class="actions">{undo}{finish}</div>
            {skip}
            {logs(&view.hooks)}
        </section>
    }
    .into_any()
}

/// Steps of a saga, from the first to the last.
pub fn steps(progress: &[domain::onboarding::Progress]) -> AnyView {
    let steps: Vec<_> = progress
        .iter()
        .map(|s| {
            let (state, current) = crate::parts::step(&s.state);
            view! { <li data-state=state aria-current=current><h3>{s.label.clone()}</h3><p>{capital(&s.detail)}</p></li> }
        })
        .collect();
    view! { <ol class="steps">{steps}</ol> }.into_any()
}

/// The form that leaves out a hook that failed.
pub fn skip(tenant: &str) -> AnyView {
    view! {
        <form class="form" method="post" action="/do/skip_hook">
            <input type="hidden" name="form[id]" value=tenant.to_owned() />
            {Field::new(&Flash::default(), "comment", "Go on without the hook").hint("Why; it is recorded.").required().most(500).complete("off").view()}
            <button class="btn" type="submit">"Skip the step"</button>
        </form>
    }
    .into_any()
}

/// What hooks said.
pub fn logs(runs: &[HookRun]) -> AnyView {
    let all: Vec<_> = runs
        .iter()
        .map(|run| {
            let shape = match run.state.as_str() {
                "done" => "succeeded",
                "failed" => "failed",
                _ => "in_progress",
            };
            let text = if run.log.trim().is_empty() { "It said nothing.".to_owned() } else { run.log.clone() };
            let artifact = run.artifact.clone().map(|a| view! { <p>"Made: " <code>{a}</code></p> });
            let title = format!("{}: {}", run.point.label(), run.hook);
            view! {
                <details class="disclosure" data-key=format!("hook-{}-{}-{}", run.point, run.hook, run.attempt)>
                    <summary>{title} " " {state_as(shape, &run.state)} " " <small class="muted">{clock(run.started_at)} {(run.attempt > 1).then(|| format!(", attempt {}", run.attempt))}</small></summary>
                    {artifact}
                    <pre class="log" tabindex="0"><span class="log-line">{text}</span></pre>
                </details>
            }
        })
        .collect();
    all.into_any()
}

/// Begins a tier change.
#[server(prefix = "/do", endpoint = "change_tier")]
pub async fn change_tier(id: String, form: TierChangeForm) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let tenant: TenantId = super::id(&id, "the tenant")?;
        service.change_tier(&actor, tenant, &form).await?;
        Ok((format!("/tenants/{tenant}"), Some("The tenant is on its way to the new tier.".to_owned())))
    };
    answer(doing.await, &form).await
}

/// Brings the tenant back to where it was.
#[server(prefix = "/do", endpoint = "undo_tier_change")]
pub async fn undo_tier_change(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let tenant: TenantId = super::id(&id, "the tenant")?;
        service.undo_tier_change(&actor, tenant, "").await?;
        Ok((format!("/tenants/{tenant}"), Some("The tier change is being undone.".to_owned())))
    };
    answer(doing.await, &()).await
}

/// Ends the hold of a tier change.
#[server(prefix = "/do", endpoint = "finish_tier_change")]
pub async fn finish_tier_change(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let tenant: TenantId = super::id(&id, "the tenant")?;
        service.finish_tier_change(&actor, tenant).await?;
        Ok((format!("/tenants/{tenant}"), Some("The former environment is being retired.".to_owned())))
    };
    answer(doing.await, &()).await
}

/// Why a hook is left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Skipping {
    id: String,
    #[serde(default)]
    comment: String,
}

/// Goes on without the hook that failed.
#[server(prefix = "/do", endpoint = "skip_hook")]
pub async fn skip_hook(form: Skipping) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let tenant: TenantId = super::id(&form.id, "the tenant")?;
        service.skip_hook(&actor, tenant, &form.comment).await?;
        Ok((format!("/tenants/{tenant}"), Some("The step is left out.".to_owned())))
    };
    answer(doing.await, &form).await
}
