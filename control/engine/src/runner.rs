//! One process, from where its log stands to its end.

use crate::drive::{self, Report};
use crate::hold::hold;
use crate::questions::{self, Answer, Asks};
use crate::right::Right;
use crate::{Context, News, measure, preview, time};
use domain::onboarding::Onboarding;
use domain::process::{Effect, Next, Process, ProcessKind, Seen, Surroundings};
use domain::rollout::Rollout;
use domain::tier_change::TierChange;
use domain::work::{Offboarding, Repair};
use domain::{Actor, Digest, OperationId, ProcessId, Reason, ReleaseId, Span, StackId, Timestamp};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use store::{Conflict, Running, Store, StoreError};
use tokio::sync::{mpsc, watch};

/// How often operations in flight are observed when nothing was heard of them, and the log is read in case a
/// hint was lost.
const SWEEP: i64 = 2_000;
/// How long a question that was refused waits before it is asked again, unless the answer may be another before.
const AGAIN: Span = Span::seconds(15);
/// A process that has nothing to do for so long sleeps in the database.
const PARK: Span = Span::seconds(10);

pub(crate) async fn run(context: Context, kind: ProcessKind, id: ProcessId, news: News) {
    match kind {
        ProcessKind::Rollout => drive_to_end::<Rollout>(context, id, news).await,
        ProcessKind::Onboarding => drive_to_end::<Onboarding>(context, id, news).await,
        ProcessKind::TierChange => drive_to_end::<TierChange>(context, id, news).await,
        ProcessKind::Offboarding => drive_to_end::<Offboarding>(context, id, news).await,
        ProcessKind::Repair => drive_to_end::<Repair>(context, id, news).await,
    }
}

async fn drive_to_end<P>(context: Context, id: ProcessId, mut news: News)
where
    P: Asks + Send,
    P::Event: Send + Sync,
{
    let mut attempt = 0_u32;
    // A failing database is waited for; a damaged log is left alone, loudly.
    while !context.shutdown.is_cancelled() {
        match attend::<P>(&context, id, &mut news).await {
            Ok(()) => return,
            Err(error) => {
                attempt += 1;
                // One that is away is told of once, by the engine; and it is back for all processes at the same time.
                let most = if error.is_away() {
                    tracing::debug!(%error, process = %id, kind = %P::KIND, "a process waits for the database");
                    2
                } else {
                    tracing::error!(%error, process = %id, kind = %P::KIND, "a process stopped; trying again");
                    6
                };
                let pause = Duration::from_millis(500 << attempt.min(most));
                tokio::select! {
                    biased;
                    () = context.shutdown.cancelled() => return,
                    () = time::sleep(pause) => {}
                }
            }
        }
    }
}

/// What the runner remembers beside the log; all of it may be forgotten.
struct Memory {
    /// What allows to act.
    right: Right,
    /// Operations that a task works on now.
    handled: HashSet<OperationId>,
    /// When an operation was observed last.
    looked: HashMap<OperationId, Timestamp>,
    /// Operations that this runner itself recorded: they cannot have arrived before.
    own: HashSet<OperationId>,
    /// Stacks that a refused start told to be gone.
    gone: HashSet<StackId>,
    /// A measurement or an answer is under way.
    asking: bool,
    /// Checks that are being measured outside.
    measuring: HashSet<usize>,
    /// It is being looked whether a preview is there.
    previewing: bool,
    /// No such look before.
    preview_at: Timestamp,
    /// No question before.
    ask_at: Timestamp,
    /// Tells when places may be free; what came before the last question is seen.
    places: watch::Receiver<()>,
}

/// Runs a process for as long as this server has the right to.
async fn attend<P>(context: &Context, id: ProcessId, news: &mut News) -> Result<(), StoreError>
where
    P: Asks + Send,
    P::Event: Send + Sync,
{
    let Some(right) = Right::take(context, id).await? else { return Ok(()) };
    let _guard = right.guard();
    // Renewed also while a step takes long: a database that is slow is no reason to lose it.
    hold(work::<P>(context, id, news, &right), || right.renew(context)).await.unwrap_or(Ok(()))
}

async fn work<P>(context: &Context, id: ProcessId, news: &mut News, right: &Right) -> Result<(), StoreError>
where
    P: Asks + Send,
    P::Event: Send + Sync,
{
    let store = &context.store;
    let Some(mut running) = Running::<P>::load(store, id).await? else { return Ok(()) };
    running.told = false;
    let engine = Actor::engine();
    let (reports_in, mut reports) = mpsc::channel::<Report>(8192);
    let mut memory = Memory {
        right: right.clone(),
        handled: HashSet::new(),
        looked: HashMap::new(),
        own: HashSet::new(),
        gone: HashSet::new(),
        asking: false,
        measuring: HashSet::new(),
        previewing: false,
        preview_at: Timestamp(0),
        ask_at: Timestamp(0),
        places: context.herald.places(),
    };
    let mut read_at = (context.clock)();
    loop {
        let now = (context.clock)();
        if running.process.summary(now).ended || context.shutdown.is_cancelled() {
            return Ok(());
        }
        if right.wanes(now) && !right.renew(context).await? {
            return Ok(());
        }
        let around = Surroundings {
            busy: busy(store, &running.process).await?,
            gone: memory.gone.clone(),
            closed: context.windows.closed(store, now).await?,
            desired: desired(store, running.process.waits_on()).await?,
            unusable: unusable(store, running.process.goes_to()).await?,
        };
        let next = running.process.next(now, &around);
        if !next.events.is_empty() {
            let again = |process: &P| process.next(now, &around).events;
            append(&mut running, context, id, &engine, next.events, again, now, &mut memory).await?;
            continue;
        }
        if sleeps::<P>(&next, &memory, now) {
            let until = next.wake_at.unwrap_or(Timestamp(i64::MAX));
            if store.park(id, &context.owner, running.seq, until).await? {
                return Ok(());
            }
            // Something came meanwhile, or somebody else has the lease.
            if !right.renew(context).await? {
                return Ok(());
            }
            running.catch_up(store, id).await?;
            continue;
        }
        let asks_at = next.effects.iter().any(is_question).then_some(memory.ask_at).filter(|at| *at > now);
        let wake_at = next.wake_at.into_iter().chain(asks_at).min();
        act(context, &running.process, id, next.effects, &mut memory, &reports_in, now);

        let until = wake_at.map_or(SWEEP, |at| (at.0 - now.0).clamp(1, SWEEP));
        let mut seen: Vec<Report> = vec![];
        tokio::select! {
            biased;
            () = context.shutdown.cancelled() => return Ok(()),
            () = time::sleep(Duration::from_millis(u64::try_from(until).unwrap_or(1))) => {}
            Some(report) = reports.recv() => {
                seen.push(report);
            }
            Some(operation) = news.operations.recv() => { memory.looked.remove(&operation); }
            () = news.appended.notified() => read_at = Timestamp(0),
            // Only whoever was refused one and waits before it asks again is woken for places.
            Ok(()) = memory.places.changed(), if memory.ask_at > now => memory.ask_at = Timestamp(0),
        }
        let now = (context.clock)();
        if now.0 - read_at.0 >= SWEEP {
            read_at = now;
            running.catch_up(store, id).await?;
        }
        // Whatever else has come by now goes into the same transaction.
        while let Ok(report) = reports.try_recv() {
            seen.push(report);
        }
        while let Ok(operation) = news.operations.try_recv() {
            memory.looked.remove(&operation);
        }
        report(&mut running, context, id, &engine, seen, &mut memory).await?;
    }
}

/// Which of the stacks that a process may begin something on are taken now.
async fn busy<P: Asks>(store: &Store, process: &P) -> Result<HashSet<StackId>, StoreError> {
    match process.begins_on() {
        None => store.busy_stacks().await,
        Some(stacks) => store.busy_among(&stacks).await,
    }
}

/// What the stack should run by now that a process waits on: it may have been told something else since.
async fn desired(store: &Store, stack: Option<StackId>) -> Result<BTreeMap<StackId, Digest>, StoreError> {
    let Some(stack) = stack else { return Ok(BTreeMap::new()) };
    Ok(store.desired_digest(stack).await?.map(|digest| (stack, digest)).into_iter().collect())
}

/// Which of these stacks are being deleted, or were; none where that cannot be read.
async fn gone(store: &Store, stacks: Vec<StackId>) -> HashSet<StackId> {
    store.gone_among(&stacks).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "which stacks are gone cannot be read; they count as they are");
        HashSet::new()
    })
}

/// Why nothing is brought to a release any more.
async fn unusable(store: &Store, release: Option<ReleaseId>) -> Result<Option<Reason>, StoreError> {
    let Some(release) = release else { return Ok(None) };
    Ok(store.marked_release(release).await?.and_then(|release| release.usable().err()))
}

/// Whether a process has nothing to do for a while. A rollout stays in memory: its log is long, and people look
/// at it.
fn sleeps<P: Process>(next: &Next<P::Event>, memory: &Memory, now: Timestamp) -> bool {
    P::KIND != ProcessKind::Rollout
        && next.effects.is_empty()
        && memory.handled.is_empty()
        && !memory.asking
        && next.wake_at.is_none_or(|at| at - now > PARK)
}

const fn is_question(effect: &Effect) -> bool {
    match effect {
        Effect::Place | Effect::Serve(_) | Effect::Identify(_) | Effect::Hook(_) => true,
        Effect::Drive(_) | Effect::Probe { .. } | Effect::Measure(_) | Effect::Preview { .. } => false,
    }
}

fn act<P: Asks>(
    context: &Context,
    process: &P,
    id: ProcessId,
    effects: Vec<Effect>,
    memory: &mut Memory,
    reports: &mpsc::Sender<Report>,
    now: Timestamp,
) {
    let mut orders = vec![];
    for effect in effects {
        match effect {
            Effect::Drive(order) => {
                let looked = memory.looked.get(&order.operation);
                let due = looked.is_none_or(|at| now.0 - at.0 >= SWEEP);
                if due && memory.handled.insert(order.operation) {
                    memory.looked.insert(order.operation, now);
                    orders.push((memory.own.contains(&order.operation), order));
                }
            }
            Effect::Probe { wave, stacks } if !memory.asking => {
                memory.asking = true;
                let (context, reports) = (context.clone(), reports.clone());
                tokio::spawn(async move {
                    let mut samples = drive::probe(&context, stacks).await;
                    if P::KIND == ProcessKind::Rollout {
                        // What was taken away meanwhile says nothing of a release.
                        let down = samples.iter().filter(|s| s.down.is_some()).map(|s| s.stack);
                        let gone = gone(&context.store, down.collect()).await;
                        samples.retain(|sample| !gone.contains(&sample.stack));
                    }
                    let _ = reports.send(Report::Probed { wave, samples }).await;
                });
            }
            Effect::Measure(mut of) if memory.measuring.insert(of.check) => {
                let (context, reports) = (context.clone(), reports.clone());
                tokio::spawn(async move {
                    let gone = gone(&context.store, of.subjects.iter().map(|s| s.stack).collect()).await;
                    of.subjects.retain(|subject| !gone.contains(&subject.stack));
                    let reading = measure::take(&context, &of).await;
                    let _ = reports.send(Report::Measured(of, reading)).await;
                });
            }
            Effect::Place | Effect::Serve(_) | Effect::Identify(_) | Effect::Hook(_)
                if !memory.asking && memory.ask_at <= now =>
            {
                memory.asking = true;
                memory.places.mark_unchanged();
                let (context, reports) = (context.clone(), reports.clone());
                let what = process.ask(effect);
                tokio::spawn(async move {
                    let answer = questions::answer(&context, id, what).await;
                    let _ = reports.send(Report::Answered(answer)).await;
                });
            }
            Effect::Preview { request, since } if !memory.previewing && memory.preview_at <= now => {
                memory.previewing = true;
                memory.preview_at = now + Span(SWEEP);
                let (context, reports) = (context.clone(), reports.clone());
                tokio::spawn(async move {
                    let key = request.key.clone();
                    let found = preview::asked(&context, &request, since).await;
                    let _ = reports.send(Report::Previewed { key, found }).await;
                });
            }
            Effect::Probe { .. }
            | Effect::Measure(_)
            | Effect::Place
            | Effect::Serve(_)
            | Effect::Identify(_)
            | Effect::Hook(_)
            | Effect::Preview { .. } => {}
        }
    }
    if !orders.is_empty() {
        let (context, reports) = (context.clone(), reports.clone());
        tokio::spawn(drive::drive(context, orders, reports, memory.right.clone()));
    }
}

async fn report<P>(
    running: &mut Running<P>,
    context: &Context,
    id: ProcessId,
    engine: &Actor,
    seen: Vec<Report>,
    memory: &mut Memory,
) -> Result<(), StoreError>
where
    P: Asks + Send,
    P::Event: Send + Sync,
{
    let mut told: Vec<(OperationId, Seen)> = vec![];
    for report in seen {
        match report {
            Report::Seen(all) => {
                for (operation, seen) in all {
                    memory.handled.remove(&operation);
                    memory.own.remove(&operation);
                    if let Some(seen) = seen {
                        if matches!(seen, Seen::Ended(_)) {
                            memory.looked.remove(&operation);
                        }
                        told.push((operation, seen));
                    }
                }
            }
            Report::Probed { wave, samples } => {
                memory.asking = false;
                let now = (context.clock)();
                let decide = |process: &P| process.probed(wave, &samples, now);
                tell(running, context, id, engine, decide, now, memory).await?;
            }
            Report::Measured(of, reading) => {
                memory.measuring.remove(&of.check);
                let now = (context.clock)();
                let decide = |process: &P| process.measured(&of, &reading);
                tell(running, context, id, engine, decide, now, memory).await?;
            }
            Report::Previewed { key, found } => {
                memory.previewing = false;
                match found {
                    Ok(None) => {}
                    Ok(Some(found)) => {
                        running.catch_up(&context.store, id).await?;
                        let now = (context.clock)();
                        let decide = |process: &P| process.previewed(&key, found.clone(), now);
                        tell(running, context, id, engine, decide, now, memory).await?;
                    }
                    Err(error) => tracing::warn!(%error, process = %id, "a preview is asked for again"),
                }
            }
            Report::Answered(answer) => {
                memory.asking = false;
                running.catch_up(&context.store, id).await?;
                let now = (context.clock)();
                match answer {
                    Ok(answer) => {
                        if matches!(answer, Answer::Refused(_))
                            && !memory.places.has_changed().unwrap_or(false)
                        {
                            memory.ask_at = now + AGAIN;
                        }
                        let decide = |process: &P| process.answered(answer.clone(), now);
                        tell(running, context, id, engine, decide, now, memory).await?;
                    }
                    Err(error) => {
                        tracing::warn!(%error, process = %id, "an effect failed; trying again");
                        memory.ask_at = now + Span::seconds(1);
                    }
                }
            }
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    loop {
        let now = (context.clock)();
        let decide = |process: &P| {
            told.iter().flat_map(|(operation, seen)| process.observed(*operation, seen, now)).collect()
        };
        if tell(running, context, id, engine, decide, now, memory).await? {
            return Ok(());
        }
    }
}

/// Decides what something that came means, and appends it; as [`append`].
async fn tell<P>(
    running: &mut Running<P>,
    context: &Context,
    id: ProcessId,
    engine: &Actor,
    decide: impl Fn(&P) -> Vec<P::Event> + Send,
    now: Timestamp,
    memory: &mut Memory,
) -> Result<bool, StoreError>
where
    P: Asks + Send,
    P::Event: Send + Sync,
{
    let events = decide(&running.process);
    append(running, context, id, engine, events, decide, now, memory).await
}

/// Appends what was decided, or what `again` decides where others were first; false after a conflict with something
/// else, when the process has caught up and what was decided must be decided again.
#[expect(clippy::too_many_arguments, reason = "what it is, and what it is decided with")]
async fn append<P>(
    running: &mut Running<P>,
    context: &Context,
    id: ProcessId,
    engine: &Actor,
    events: Vec<P::Event>,
    again: impl Fn(&P) -> Vec<P::Event> + Send,
    now: Timestamp,
    memory: &mut Memory,
) -> Result<bool, StoreError>
where
    P: Asks + Send,
    P::Event: Send + Sync,
{
    if events.is_empty() {
        return Ok(true);
    }
    let again = |process: &P| Ok(again(process));
    match running.append(&context.store, id, engine, events, again, now).await {
        // Those of an append that was refused are another server's, who may have submitted them.
        Ok(events) => {
            memory.own.extend(events.iter().filter_map(P::started));
            Ok(true)
        }
        Err(StoreError::Conflict(Conflict::StackGone(stacks))) => {
            memory.gone.extend(stacks);
            Ok(false)
        }
        Err(StoreError::Conflict(_)) => {
            // Whoever is in the way needs a moment.
            time::sleep(Duration::from_millis(200)).await;
            Ok(false)
        }
        Err(other) => Err(other),
    }
}
