//! Hooks: what an installation does itself at a step of a saga. HOOKS.md beside this crate tells how to write one.
//!
//! The intent is in the process's log before a hook is called, and every call of a hook for one step carries the same
//! key, so that a crash in between repeats the call and not the work (DESIGN §3, law 7). What a hook says is kept,
//! bounded, for the step's page.

mod command;
mod input;
mod request;

use crate::Context;
use crate::questions::Answer;
use domain::hook::{Done, Order, Point, Refusal};
use domain::{ProcessId, Reason};
use std::sync::Arc;
use std::time::Duration;
use store::{HookRun, StoreError};

/// So much of what a hook says is kept, in bytes: the end of it.
const LOG: usize = 64 * 1024;
/// The longest note, in characters.
const NOTE: usize = 300;
/// The longest address of what a hook made, in bytes.
const ARTIFACT: usize = 2000;

/// One hook of the set-up file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hook {
    /// Unique.
    pub name: String,
    /// Where it is called.
    pub points: Vec<Point>,
    /// How.
    pub call: Call,
    /// How long it may take.
    pub timeout: Duration,
}

/// How a hook is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    /// A signed POST; answered at once, or with 202 and an address to ask again.
    Request {
        /// Where to.
        url: String,
        /// What it is signed with.
        secret: String,
    },
    /// A program on this machine, without a shell.
    Command {
        /// Which.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
}

/// All hooks, in the order of the set-up file.
#[derive(Clone, Default, Debug)]
pub struct Hooks(Arc<Vec<Hook>>);

impl Hooks {
    /// These.
    #[must_use]
    pub fn new(hooks: Vec<Hook>) -> Self {
        Self(Arc::new(hooks))
    }

    /// Those of a point, in order.
    pub fn at(&self, point: Point) -> impl Iterator<Item = &Hook> {
        self.0.iter().filter(move |hook| hook.points.contains(&point))
    }
}

/// What a call came to, and what was said.
struct Told {
    result: Result<Done, Refusal>,
    log: String,
}

impl Told {
    fn failed(code: &'static str, sentence: String, passes: bool, log: String) -> Self {
        Self { result: Err(Refusal { reason: Reason::new(code, sentence), passes }), log }
    }
}

/// Calls the hooks of a point one after the other. One that did its part at this step before is not called again.
pub(crate) async fn call(context: &Context, id: ProcessId, order: Order) -> Result<Answer, StoreError> {
    let point = order.point;
    let hooks: Vec<_> = context.targets.hooks().at(point).cloned().collect();
    if hooks.is_empty() {
        let note = "no hook is set up for it".to_owned();
        return Ok(Answer::Hooked(point, Ok(Done { note, artifact: None })));
    }
    let before = context.store.hook_runs(id).await?;
    let (mut notes, mut artifacts) = (vec![], vec![]);
    for hook in hooks {
        let known = before.iter().find(|r| r.point == point && r.hook == hook.name && r.state == "done");
        if let Some(run) = known {
            artifacts.extend(run.artifact.clone());
            continue;
        }
        let mut run = HookRun {
            point,
            hook: hook.name.clone(),
            attempt: order.attempt,
            state: "running".to_owned(),
            started_at: (context.clock)(),
            ended_at: None,
            log: String::new(),
            artifact: None,
        };
        context.store.note_hook(id, &run).await?;
        let input = input::of(context, id, &hook, &order).await?;
        let told = match &hook.call {
            Call::Request { url, secret } => request::call(url, secret, &input, hook.timeout).await,
            Call::Command { program, args } => command::call(program, args, &input, hook.timeout).await,
        };
        run.ended_at = Some((context.clock)());
        run.log = tail(told.log);
        match told.result {
            Ok(done) => {
                run.state = "done".to_owned();
                run.artifact = done.artifact.filter(|a| a.len() <= ARTIFACT);
                notes.push(if done.note.is_empty() { format!("{} is done", hook.name) } else { done.note });
                artifacts.extend(run.artifact.clone());
                context.store.note_hook(id, &run).await?;
            }
            Err(Refusal { reason, passes }) => {
                run.state = "failed".to_owned();
                context.store.note_hook(id, &run).await?;
                let sentence = format!("the hook {}: {}", hook.name, reason.sentence);
                let reason = Reason { code: reason.code, sentence };
                return Ok(Answer::Hooked(point, Err(Refusal { reason, passes })));
            }
        }
    }
    let note = if notes.is_empty() { "was done before".to_owned() } else { notes.join("; ") };
    let note = note.chars().take(NOTE).collect();
    let artifact = (!artifacts.is_empty()).then(|| artifacts.join(" "));
    Ok(Answer::Hooked(point, Ok(Done { note, artifact })))
}

/// The end of a text, whole characters.
fn tail(text: String) -> String {
    if text.len() <= LOG {
        return text;
    }
    let mut from = text.len() - LOG;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    format!("…{}", &text[from..])
}

/// What a hook may say of what it did: JSON with a note and the address of what it made.
fn done(text: &str) -> Done {
    #[derive(serde::Deserialize, Default)]
    #[serde(default)]
    struct Said {
        note: String,
        artifact: Option<String>,
    }
    let said: Said = serde_json::from_str(text).unwrap_or_default();
    let note = said.note.chars().filter(|c| !c.is_control()).take(NOTE).collect();
    Done { note, artifact: said.artifact.filter(|a| !a.chars().any(char::is_control)) }
}
