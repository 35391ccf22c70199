//! Measures what gates ask for: probes over HTTP, queries of Prometheus, hooks that answer.
//!
//! Whatever goes wrong on the way, a timeout, a refusal, an answer that nobody understands, is no success: nothing is
//! known then (DESIGN §3, law 2), and the reason says why.

mod http;
mod sign;
mod sources;

pub use sources::{CheckHook, Prometheus, Sources};

use crate::Context;
use domain::check::{Found, Measure, Measurement, Number, Part, Reading, Scope, Subject, fill};
use domain::stack::ADDRESS;
use futures::StreamExt as _;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Instant;
use store::Brief;

/// So many stacks are measured at once.
const AT_ONCE: usize = 16;

/// Measures a check once, of everything that it is measured of.
pub(crate) async fn take(context: &Context, of: &Measurement) -> Reading {
    let one = match of.measured.scope {
        Scope::Wave => vec![Part { stack: None, reading: read(context, of, None).await }],
        Scope::Stack => {
            let ids: Vec<_> = of.subjects.iter().map(|subject| subject.stack).collect();
            let briefs = match context.store.briefs(&ids).await {
                Ok(briefs) => briefs,
                Err(error) => {
                    tracing::warn!(%error, "whom stacks serve cannot be read; they are measured later");
                    return Reading::unknown("the database does not answer");
                }
            };
            // Made beforehand: a closure would tie the future to one lifetime.
            let reading: Vec<_> =
                of.subjects.iter().map(|subject| part(context, of, (subject, &briefs))).collect();
            futures::stream::iter(reading).buffered(AT_ONCE).collect().await
        }
    };
    of.measured.together(&one)
}

async fn part(
    context: &Context,
    of: &Measurement,
    subject: (&Subject, &HashMap<domain::StackId, Brief>),
) -> Part {
    Part { stack: Some(subject.0.name.clone()), reading: read(context, of, Some(subject)).await }
}

type Of<'a> = Option<(&'a Subject, &'a HashMap<domain::StackId, Brief>)>;

async fn read(context: &Context, of: &Measurement, subject: Of<'_>) -> Reading {
    let sources = context.targets.sources();
    let reading = match &of.measured.measure {
        Measure::Probe { at, status, contains } => {
            probe(context, of, subject, at, (*status, contains.as_deref())).await
        }
        Measure::Prometheus { source, query, .. } => match sources.prometheus(source) {
            Some(prometheus) => {
                let query = fill(query, |place| quoted(&place_of(of, subject, place)));
                ask(sources, prometheus, &query).await.map(|values| worst(of, &values))
            }
            None => Err(format!("the set-up file has no [[prometheus]] “{source}”")),
        },
        Measure::Hook { source } => match sources.hook(source) {
            Some(hook) => call(sources, hook, of, subject).await,
            None => Err(format!("the set-up file has no [[check_hook]] “{source}”")),
        },
    };
    reading.unwrap_or_else(Reading::unknown)
}

/// What stands at a place of a template. Tenants and stacks are joined as a regular expression takes them: `a|b`.
fn place_of(of: &Measurement, subject: Of<'_>, place: &str) -> String {
    let stack = |read: fn(&Subject) -> String| subject.map(|(s, _)| read(s)).unwrap_or_default();
    match place {
        "stack" => stack(|s| s.name.clone()),
        "tier" => stack(|s| s.tier.to_string()),
        "region" => stack(|s| s.region.to_string()),
        "tenant" => tenants(subject).join("|"),
        "stacks" => of.subjects.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join("|"),
        "wave" => of.wave_name.clone(),
        "version" => of.version.clone(),
        "rollout" => of.rollout.to_string(),
        _ => String::new(),
    }
}

fn tenants(subject: Of<'_>) -> Vec<&str> {
    let brief = subject.and_then(|(s, briefs)| briefs.get(&s.stack));
    brief.map(|brief| brief.tenants.iter().map(|(_, slug, _)| slug.as_str()).collect()).unwrap_or_default()
}

/// As it may stand between quotation marks in a query.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
}

async fn probe(
    context: &Context,
    of: &Measurement,
    subject: Of<'_>,
    at: &str,
    (status, contains): (u16, Option<&str>),
) -> Result<Reading, String> {
    let at = fill(at, |place| http::encoded(&place_of(of, subject, place)));
    let (url, ours) = address(context, subject, &at).await?;
    let begin = Instant::now();
    let answer = context.targets.sources().get(&url, ours).await;
    let took = Number::whole(i64::try_from(begin.elapsed().as_millis()).unwrap_or(i64::MAX));
    // Whoever refuses, or is silent, has been probed: that is a failure, and not that nothing is known.
    let fail = |sentence: String| Ok(Reading { found: Found::Fail, value: None, sentence });
    let (found, body) = match answer {
        Ok(answer) => answer,
        Err(http::Trouble::Forbidden(why)) => return Err(why),
        Err(http::Trouble::Silent(why)) => return fail(why),
    };
    if found != status {
        return fail(format!("answers {found}, not {status}"));
    }
    match contains {
        Some(text) if !String::from_utf8_lossy(&body).contains(text) => {
            fail(format!("answers {status} without “{text}”"))
        }
        Some(_) | None => {
            let sentence = format!("answers {status} in {took} ms");
            Ok(Reading { found: Found::Pass, value: Some(took), sentence })
        }
    }
}

/// Where a probe asks, and whether that is an address that the driver itself gave.
async fn address(context: &Context, subject: Of<'_>, at: &str) -> Result<(String, bool), String> {
    if !at.starts_with('/') && !at.starts_with("output:") {
        return Ok((at.to_owned(), false));
    }
    let Some((subject, _)) = subject else { return Err("a whole wave has no address".to_owned()) };
    if at.starts_with('/')
        && let Some(endpoint) = context.targets.get(&subject.target).and_then(|d| d.endpoint(&subject.name))
    {
        return Ok((format!("http://{endpoint}{at}"), true));
    }
    let (output, path) = match at.strip_prefix("output:") {
        Some(rest) => rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash)),
        None => (ADDRESS, at),
    };
    let outputs = match context.store.stack(subject.stack).await {
        Ok(stack) => stack.map(|stack| stack.outputs).unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, stack = subject.name, "where a stack answers cannot be read");
            return Err("the database does not answer".to_owned());
        }
    };
    match outputs.get(output) {
        Some(url) if url.starts_with("http") => Ok((format!("{}{path}", url.trim_end_matches('/')), false)),
        Some(_) => Err(format!("its output “{output}” is no address")),
        None => Err(format!("it has no output “{output}”, so nobody knows where it answers")),
    }
}

/// An answer of Prometheus to an instant query.
#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Series>),
    Scalar((f64, String)),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Series {
    value: (f64, String),
}

/// Of several series the worst; `None` is one of which nothing is known.
fn worst(of: &Measurement, values: &[Option<Number>]) -> Reading {
    let all = values.iter().map(|value| of.measured.judge(*value));
    let dreads_large = of.measured.dreads_large();
    let worst = all.reduce(|a, b| if b.is_worse(&a, dreads_large) { b } else { a });
    worst.unwrap_or_else(|| of.measured.judge(None))
}

/// The values of a query, series by series; what is no number is `None`.
async fn ask(sources: &Sources, prometheus: &Prometheus, query: &str) -> Result<Vec<Option<Number>>, String> {
    let body = sources.query(prometheus, query).await?;
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|_| format!("{} answers no JSON of Prometheus", prometheus.name))?;
    if answer.status != "success" {
        return Err(format!("{} refuses the query: {}", prometheus.name, short(&answer.error)));
    }
    let values: Vec<String> = match answer.data {
        Some(Data::Vector(all)) => all.into_iter().map(|series| series.value.1).collect(),
        Some(Data::Scalar((_, value))) => vec![value],
        Some(Data::Matrix(_) | Data::String(_)) | None => {
            return Err("the query gives no number; write an instant query that gives a vector or a scalar"
                .to_owned());
        }
    };
    Ok(values.iter().map(|text| text.parse::<f64>().ok().and_then(|n| Number::try_from(n).ok())).collect())
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

/// What a hook answers.
#[derive(Deserialize)]
struct Verdict {
    status: String,
    #[serde(default)]
    reason: String,
}

async fn call(
    sources: &Sources,
    hook: &CheckHook,
    of: &Measurement,
    subject: Of<'_>,
) -> Result<Reading, String> {
    let brief = |(s, _): (&Subject, _)| serde_json::json!({ "id": s.stack.to_string(), "name": s.name, "tier": s.tier, "region": s.region, "tenants": tenants(subject) });
    let names: Vec<_> = of.subjects.iter().map(|s| s.name.as_str()).collect();
    let body = serde_json::json!({
        "type": "gate.check",
        "check": of.measured.name,
        "when": if of.entry { "entry" } else { "bake" },
        "rollout": { "id": of.rollout.to_string(), "title": of.title },
        "version": of.version,
        "wave": { "number": of.wave + 1, "name": of.wave_name, "stacks": names },
        "stack": subject.map(brief),
    });
    let answer = sources.post(hook, &body.to_string()).await?;
    let verdict: Verdict = serde_json::from_slice(&answer)
        .map_err(|_| format!(r#"{} answers no {{"status": "…"}}"#, hook.name))?;
    let found: Found = verdict.status.parse().map_err(|_| {
        format!("{} answers “{}”, which is not pass, fail or unknown", hook.name, short(&verdict.status))
    })?;
    let reason = short(verdict.reason.trim());
    let sentence = match (found, reason.is_empty()) {
        (_, false) => reason,
        (Found::Pass, true) => format!("{} says that all is well", hook.name),
        (Found::Fail, true) => format!("{} says that it is not well", hook.name),
        (Found::Unknown, true) => format!("{} does not know", hook.name),
    };
    Ok(Reading { found, value: None, sentence })
}
