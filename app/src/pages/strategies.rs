//! Strategies: waves in order, with a preview of who lands where while a person types.

use super::{id, page};
use crate::islands::Preview;
use crate::parts::{count, icon, post};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Path, Query, RawForm, State};
use axum::response::{Html, IntoResponse, Response};
use domain::access::Permission;
use domain::invalid::Problems;
use domain::strategy::{ApprovalSpec, Check, GateSpec, OnHalt, StrategySpec, ToleranceMode, WaveSpec};
use domain::{Invalid, Span, StrategyId};
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::Error;

pub async fn list(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/strategies");
    let all = page!(ui, frame, ui.service.strategies(&member.actor).await);
    let flash = member.flash().await;
    let edit = member.actor.may(Permission::Strategies);
    render(&ui, StatusCode::OK, frame, "Strategies", flash, move || {
        let cards: Vec<_> = all
            .iter()
            .map(|s| {
                let waves: Vec<_> = s.spec.waves.iter().map(|w| view! { <li>{w.name.to_string()} " " <code>{w.selector.to_string()}</code></li> }).collect();
                view! {
                    <article class="card card-link"><header class="card-head"><h2><a href=format!("/strategies/{}", s.id)>{s.spec.name.to_string()}</a></h2></header>
                        <div class="card-body"><ol>{waves}</ol></div></article>
                }
            })
            .collect();
        view! {
            <header class="page-head"><div><h1>"Strategies"</h1><p class="lede">"In which waves a release goes out, and what must hold between them"</p></div>
                <div class="actions">{edit.then(|| view! { <a class="btn btn-primary" href="/strategies/new">{icon("plus")} " New strategy"</a> })}</div></header>
            <div class="cards">{cards}</div>
        }
    })
    .await
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Shape {
    waves: Option<usize>,
}

pub async fn edit(
    State(ui): State<Ui>,
    member: Member,
    Path(text): Path<String>,
    Query(shape): Query<Shape>,
) -> Response {
    let frame = member.frame("/strategies");
    let known = match text.as_str() {
        "new" => None,
        _ => {
            let strategy: StrategyId = page!(ui, frame, id(&text, "the strategy"));
            Some(page!(ui, frame, ui.service.strategy(&member.actor, strategy).await))
        }
    };
    let flash = member.flash().await;
    let may = member.actor.may(Permission::Strategies);
    let form = if flash.values.is_empty() {
        known.as_ref().map_or_else(StrategyForm::fresh, |s| StrategyForm::of(&s.spec))
    } else {
        StrategyForm::again(&flash.values)
    };
    let form = form.resized(shape.waves);
    let title = known.as_ref().map_or_else(|| "New strategy".to_owned(), |s| s.spec.name.to_string());
    let heading = title.clone();
    render(&ui, StatusCode::OK, frame, title, flash, move || {
        let n = form.waves.len();
        let rows: Vec<_> = form.waves.iter().enumerate().map(|(i, w)| row(i, n, w)).collect();
        let here = format!("/strategies/{text}");
        let remove = known.as_ref().filter(|_| may).map(|s| {
            view! { <section class="danger-zone"><h2>"Danger zone"</h2><div class="danger-row"><div><h3>"Delete"</h3><p>"Rollouts keep the copy they started with."</p></div>{post("delete_strategy", "Delete", "btn btn-danger", &[("id", s.id.to_string())])}</div></section> }
        });
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/strategies">"Strategies"</a></li><li aria-current="page">{heading.clone()}</li></ol></nav>
            <header class="page-head"><div><h1>{heading.clone()}</h1><p class="lede">"A selector is everyone, or words like tier:premium region:eu tag:pilot tenant:acme 10%"</p></div>
                <div class="actions">
                    <a class="btn btn-small" href=format!("{here}?waves={}", n + 1)>"One wave more"</a>
                    {(n > 1).then(|| view! { <a class="btn btn-small" href=format!("{here}?waves={}", n - 1)>"One wave less"</a> })}
                </div></header>
            <form class="form form-wide" id="strategy-form" method="post" action="/do/save_strategy">
                {known.as_ref().map(|s| view! { <input type="hidden" name="id" value=s.id.to_string() /> })}
                <div class="field-row">
                    <div class="field"><label for="name">"Name"</label><input id="name" name="form[name]" value=form.name.clone() /></div>
                    <div class="field"><label for="on_halt">"When it halts"</label><select id="on_halt" name="form[on_halt]">
                        <option value="stay" selected=form.on_halt == "stay">"stay until a person decides"</option>
                        <option value="rollback" selected=form.on_halt == "rollback">"roll back what it changed"</option></select></div>
                </div>
                <ol class="wave-rows">{rows}</ol>
                <Preview form="strategy-form".to_owned() url="/strategies/preview".to_owned() />
                {may.then(|| view! { <div class="form-actions"><button class="btn btn-primary" type="submit">"Save"</button></div> })}
            </form>
            {remove}
        }
    })
    .await
}

fn row(i: usize, n: usize, w: &WaveForm) -> impl IntoView + use<> {
    let last = i + 1 == n;
    let input = |name: &'static str, label: &'static str, value: &str, class: &'static str| {
        let at = format!("w{i}-{name}");
        view! { <div class="field"><label for=at.clone()>{label}</label><input id=at class=class name=format!("form[waves][{i}][{name}]") value=value.to_owned() readonly=last && name == "selector" /></div> }
    };
    let pick = |name: &'static str,
                label: &'static str,
                words: &[(&'static str, &'static str)],
                value: &str| {
        let at = format!("w{i}-{name}");
        let options: Vec<_> = words
            .iter()
            .map(|(w, t)| view! { <option value=*w selected=*w == value>{*t}</option> })
            .collect();
        view! { <div class="field"><label for=at.clone()>{label}</label><select id=at name=format!("form[waves][{i}][{name}]")>{options}</select></div> }
    };
    view! {
        <li class=if last { "wave-row wave-row-rest" } else { "wave-row" }>
            <span class="wave-row-no">{i + 1}</span>
            <div class="wave-row-fields">
                {input("name", "Name", &w.name, "")}
                {input("selector", "Who", if last { "everyone" } else { &w.selector }, "selector-input")}
                {input("concurrency", "At once", &w.concurrency, "input-short")}
                {input("tolerance", "Failures tolerated", &w.tolerance, "input-short")}
                {pick("mode", "Tolerance", &[("soft", "soft"), ("strict", "strict")], &w.mode)}
                {input("attempts", "Attempts", &w.attempts, "input-short")}
                <fieldset class="group wave-row-gate"><legend>"Gate"</legend>
                    {input("bake", "Watch for", &w.bake, "input-short")}
                    {pick("healthy", "Health check", &[("on", "on"), ("off", "off")], &w.healthy)}
                    {input("max_errors", "Errors at most, %", &w.max_errors, "input-short")}
                    {input("grace", "Failing samples forgiven", &w.grace, "input-short")}
                    {input("quorum", "Approvals needed", &w.quorum, "input-short")}
                    {input("group", "By group", &w.group, "")}
                    {input("expiry", "Expires after", &w.expiry, "input-short")}
                </fieldset>
            </div>
        </li>
    }
}

/// A strategy as its form writes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StrategyForm {
    name: String,
    on_halt: String,
    waves: Vec<WaveForm>,
}

/// A wave as its row writes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct WaveForm {
    name: String,
    selector: String,
    concurrency: String,
    tolerance: String,
    mode: String,
    attempts: String,
    bake: String,
    healthy: String,
    max_errors: String,
    grace: String,
    quorum: String,
    group: String,
    expiry: String,
}

impl Default for WaveForm {
    fn default() -> Self {
        let s = str::to_owned;
        Self {
            name: s(""),
            selector: s(""),
            concurrency: s("5"),
            tolerance: s("0"),
            mode: s("soft"),
            attempts: s("2"),
            bake: s("0 s"),
            healthy: s("off"),
            max_errors: s(""),
            grace: s("1"),
            quorum: s("0"),
            group: s(""),
            expiry: s("7 d"),
        }
    }
}

impl StrategyForm {
    fn fresh() -> Self {
        let first = WaveForm {
            name: "First".into(),
            selector: "tier:basic".into(),
            bake: "10 min".into(),
            healthy: "on".into(),
            max_errors: "5".into(),
            quorum: "1".into(),
            ..WaveForm::default()
        };
        let rest =
            WaveForm { name: "Everyone else".into(), selector: "everyone".into(), ..WaveForm::default() };
        Self { name: String::new(), on_halt: "stay".into(), waves: vec![first, rest] }
    }

    fn of(spec: &StrategySpec) -> Self {
        let waves = spec.waves.iter().map(|w| {
            let approval = w.gate.approval.as_ref();
            let errors = w.gate.checks.iter().find_map(|c| match c {
                Check::ErrorRate { max_percent } => Some(max_percent.to_string()),
                Check::Healthy => None,
            });
            WaveForm {
                name: w.name.to_string(),
                selector: w.selector.to_string(),
                concurrency: w.concurrency.to_string(),
                tolerance: w.tolerance.to_string(),
                mode: w.mode.word().into(),
                attempts: w.attempts.to_string(),
                bake: w.gate.bake.to_string(),
                healthy: if w.gate.checks.contains(&Check::Healthy) { "on" } else { "off" }.into(),
                max_errors: errors.unwrap_or_default(),
                grace: w.gate.grace.to_string(),
                quorum: approval.map_or(0, |a| a.quorum).to_string(),
                group: approval.and_then(|a| a.group.clone()).unwrap_or_default(),
                expiry: approval.map_or(Span::days(7), |a| a.expiry).to_string(),
            }
        });
        Self { name: spec.name.to_string(), on_halt: spec.on_halt.word().into(), waves: waves.collect() }
    }

    /// What was written before it was refused.
    fn again(values: &std::collections::HashMap<String, String>) -> Self {
        values.get("json").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(Self::fresh)
    }

    fn resized(mut self, waves: Option<usize>) -> Self {
        if let Some(wanted) = waves.map(|n| n.clamp(1, 50)) {
            let last = self.waves.pop().unwrap_or_default();
            self.waves.resize_with(wanted - 1, WaveForm::default);
            self.waves.push(last);
        }
        self
    }

    fn spec(&self) -> Result<StrategySpec, Invalid> {
        let mut problems = Problems::default();
        let name = problems.take("name", self.name.parse());
        let on_halt = problems.take("on_halt", self.on_halt.parse::<OnHalt>());
        let mut waves = vec![];
        for (i, wave) in self.waves.iter().enumerate() {
            waves.extend(problems.take(&format!("waves[{i}]"), wave.spec()));
        }
        match (name, on_halt) {
            (Some(name), Some(on_halt)) => problems.finish(StrategySpec { name, waves, on_halt }),
            _ => Err(problems.into_invalid()),
        }
    }
}

impl WaveForm {
    fn spec(&self) -> Result<WaveSpec, Invalid> {
        let mut problems = Problems::default();
        let whole = |problems: &mut Problems, field: &str, text: &str| {
            let n = text.trim().parse::<u8>().ok();
            problems.require(n.is_some(), field, "must be a whole number from 0 to 255");
            n.unwrap_or(0)
        };
        let name = problems.take("name", self.name.parse());
        let selector = problems.take("selector", self.selector.parse());
        let concurrency = problems.take("concurrency", self.concurrency.parse());
        let tolerance = problems.take("tolerance", self.tolerance.parse());
        let mode = problems.take("mode", self.mode.parse::<ToleranceMode>());
        let attempts = whole(&mut problems, "attempts", &self.attempts);
        let grace = whole(&mut problems, "grace", &self.grace);
        let quorum = whole(&mut problems, "quorum", &self.quorum);
        let bake = problems.take("bake", self.bake.parse::<Span>());
        let expiry = problems.take("expiry", self.expiry.parse::<Span>());
        let mut checks = vec![];
        if self.healthy == "on" {
            checks.push(Check::Healthy);
        }
        if !self.max_errors.trim().is_empty() {
            checks
                .push(Check::ErrorRate { max_percent: whole(&mut problems, "max_errors", &self.max_errors) });
        }
        let group = self.group.trim();
        let group =
            if group.is_empty() { None } else { problems.take("group", domain::access::parse_group(group)) };
        let approval =
            (quorum > 0).then(|| ApprovalSpec { quorum, group, expiry: expiry.unwrap_or(Span::days(7)) });
        let gate = GateSpec { bake: bake.unwrap_or(Span::ZERO), checks, grace, approval };
        match (name, selector, concurrency, tolerance, mode) {
            (Some(name), Some(selector), Some(concurrency), Some(tolerance), Some(mode)) => {
                problems.finish(WaveSpec { name, selector, concurrency, tolerance, mode, attempts, gate })
            }
            _ => Err(problems.into_invalid()),
        }
    }
}

/// Who would land in which wave.
pub async fn preview(State(ui): State<Ui>, member: Member, RawForm(body): RawForm) -> Response {
    #[derive(Deserialize)]
    struct Only {
        form: StrategyForm,
    }
    let parsed = serde_qs::Config::new(5, false).deserialize_bytes::<Only>(&body);
    let Ok(Only { form }) = parsed else { return StatusCode::BAD_REQUEST.into_response() };
    let found = match form.spec() {
        Ok(spec) => ui.service.preview_strategy(&member.actor, &spec).await,
        Err(invalid) => Err(Error::from(invalid)),
    };
    let html = Owner::new().with(|| match found {
        Ok(waves) => {
            let rows: Vec<_> = waves
                .into_iter()
                .map(|(name, stacks, tenants)| view! { <li><b>{name}</b> " " <span class="num">{count(i64::from(stacks), "stack")} " · " {count(i64::from(tenants), "tenant")}</span></li> })
                .collect();
            view! { <ol class="selection">{rows}</ol> }.into_any().to_html()
        }
        Err(error) => view! { <output class="live-sentence" data-state="warning">{error.to_string()}</output> }.into_any().to_html(),
    });
    Html(html).into_response()
}

#[derive(Serialize)]
struct Written {
    json: String,
}

/// Saves a strategy.
#[server(prefix = "/do", endpoint = "save_strategy")]
pub async fn save_strategy(
    #[server(default)] id: Option<String>,
    form: StrategyForm,
) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let id: Option<StrategyId> = id.as_deref().map(|id| super::id(id, "the strategy")).transpose()?;
        let saved = service.save_strategy(&actor, id, form.spec()?).await?;
        Ok((format!("/strategies/{saved}"), Some("Saved.".to_owned())))
    };
    answer(doing.await, &Written { json: serde_json::to_string(&form).unwrap_or_default() }).await
}

/// Deletes a strategy.
#[server(prefix = "/do", endpoint = "delete_strategy")]
pub async fn delete_strategy(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.delete_strategy(&actor, super::id(&id, "the strategy")?).await?;
        Ok(("/strategies".to_owned(), Some("Deleted.".to_owned())))
    };
    answer(doing.await, &()).await
}
