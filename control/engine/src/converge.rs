//! Brings stacks to what they should run, batch by batch, and raises the alarm when some are too far behind.
//!
//! One server at a time has the duty; what it decides is written in turn, with the repairs that it begins, so that a
//! server which has lost the duty without knowing it doubles nothing (DESIGN §3, laws 3 and 7).

use crate::{Context, LEASE, place, time};
use domain::catchup::{Candidate, Member, MemberState, Mode, Move, Policy, Queue, mend_of, repair};
use domain::fleet::plural;
use domain::process::{Closed, Mail, Recipient};
use domain::rollout::Rollout;
use domain::work::{Mend, Repair};
use domain::{Actor, ProcessId, Reason, StackId, Timestamp};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use store::{Around, NewEvent, SkewAlarm, Store, StoreError, Tx, Waiting, begin};
use tokio::sync::broadcast::error::RecvError;

const DUTY: &str = "convergence";
/// How often it is looked if nothing is heard.
const LOOK: Duration = Duration::from_secs(2);
/// What is heard in so short a time is looked at once.
const BREATH: Duration = Duration::from_millis(300);
/// How long the alarm's figures are good for.
const FRESH: Duration = Duration::from_secs(2);

/// What is remembered between two looks; all of it may be forgotten.
struct Memory {
    /// Until when this server has the duty.
    until: Timestamp,
    /// When the alarm's figures were looked at.
    skew_at: Option<Duration>,
}

/// Follows the fleet until the engine ends.
pub(crate) async fn follow(context: Context) {
    let mut hints = context.store.subscribe();
    let mut round = time::Rounds::new(LOOK);
    let mut memory = Memory { until: Timestamp(0), skew_at: None };
    loop {
        tokio::select! {
            biased;
            () = context.shutdown.cancelled() => break,
            _ = round.tick() => {}
            hint = hints.recv() => match hint {
                Ok(hint) if hint.streams.iter().any(|s| concerns(s)) => time::sleep(BREATH).await,
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
        // Whatever came meanwhile is looked at now.
        while hints.try_recv().is_ok() {}
        if let Err(error) = look(&context, &mut memory).await {
            tracing::warn!(%error, "the catch-up queue is looked at later");
        }
    }
    if let Err(error) = context.store.release_duties(&context.owner).await {
        tracing::warn!(%error, "another server looks after the catch-up queue when the duty of this one has lapsed");
    }
}

fn concerns(stream: &str) -> bool {
    ["calendar", "fleet", "hold/", "repair/", "rollout/", "stack/", "tenant/", "window/"]
        .iter()
        .any(|prefix| stream.starts_with(prefix))
}

async fn look(context: &Context, memory: &mut Memory) -> Result<(), StoreError> {
    let now = (context.clock)();
    if now.0 + LEASE / 2 > memory.until.0 || memory.until.0 > now.0 + LEASE {
        let until = Timestamp(now.0 + LEASE);
        if !context.store.take_duty(DUTY, &context.owner, now, until).await? {
            return Ok(());
        }
        memory.until = until;
    }
    if memory.skew_at.is_none_or(|at| time::now() - at >= FRESH) {
        memory.skew_at = Some(time::now());
        note_closings(context).await?;
        watch_skew(context).await?;
    }
    // A batch that has opened, or a stack that was counted, may let the next one begin.
    for _ in 0..10 {
        if context.shutdown.is_cancelled() || !advance(context).await? {
            break;
        }
    }
    Ok(())
}

/// One step of the queue; whether there was one.
async fn advance(context: &Context) -> Result<bool, StoreError> {
    let store = &context.store;
    let policy = store.convergence_rules().await?.policy;
    if policy.mode == Mode::ByHand && !store.catchup_is_wanted().await? {
        return Ok(false);
    }
    let now = (context.clock)();
    let queue = store.catchup_queue(policy.pause).await?;
    let leftovers = store.catchup_leftovers().await?;
    // Nobody is brought to a version that somebody warns of; a batch that runs comes to its end.
    let release = store.live_release().await?;
    if queue.batch.is_none() && leftovers.is_empty() && release.is_some_and(|r| r.usable().is_err()) {
        return Ok(false);
    }
    let around = Around { planned: planned(context).await?, closed: closed(context, now).await? };
    if decide(store, &queue, &leftovers, &policy, &around, now).await?.is_empty() {
        return Ok(false);
    }
    // There is something to do: decided once more in turn, where nothing changes meanwhile.
    let closed = closed(context, now).await?;
    let mut latest = context.rollout.lock().await;
    let mut tx = store.begin_in_turn().await?;
    place::refresh(store, &mut latest).await?;
    let planned = places(latest.as_ref().map(|running| &running.process));
    let queue = store.catchup_queue(policy.pause).await?;
    let leftovers = store.catchup_leftovers().await?;
    let around = Around { planned: planned.keys().copied().collect(), closed };
    let moves = decide(store, &queue, &leftovers, &policy, &around, now).await?;
    let some = !moves.is_empty();
    act(context, &mut tx, moves, &queue, &policy, &planned, now).await?;
    tx.commit().await?;
    Ok(some)
}

/// The stacks that an open rollout has in its plan, halted or not: they go with it.
async fn planned(context: &Context) -> Result<HashSet<StackId>, StoreError> {
    let mut latest = context.rollout.lock().await;
    place::refresh(&context.store, &mut latest).await?;
    Ok(places(latest.as_ref().map(|running| &running.process)).into_keys().collect())
}

/// In which rollout, and in which of its waves, a stack is.
fn places(rollout: Option<&Rollout>) -> HashMap<StackId, (&str, usize)> {
    let waves =
        rollout.into_iter().flat_map(|r| r.plan.waves.iter().enumerate().map(move |(i, wave)| (r, i, wave)));
    waves
        .flat_map(|(r, i, wave)| wave.steps.iter().map(move |step| (step.stack, (r.title.as_str(), i))))
        .collect()
}

/// Stacks on which nothing may start now.
async fn closed(
    context: &Context,
    now: Timestamp,
) -> Result<Option<Arc<BTreeMap<StackId, Closed>>>, StoreError> {
    context.windows.closed(&context.store, now).await.map(Some)
}

/// Notes on stacks that are behind which of them are closed now, and which have opened since.
async fn note_closings(context: &Context) -> Result<(), StoreError> {
    let closed = context.windows.closed(&context.store, (context.clock)()).await?;
    let changes = changes(&context.store.waiting_stacks().await?, &closed);
    if changes.is_empty() {
        return Ok(());
    }
    let now = (context.clock)();
    let mut tx = context.store.begin().await?;
    for (reason, stacks) in &changes {
        tx.note_waiting(stacks, reason).await?;
        let n = plural(stacks.len() as i64, "stack");
        let (kind, sentence) = match &*reason.code {
            OPENED => {
                ("windows_opened", format!("{n} that had to wait may be brought to what they should run"))
            }
            _ => (
                "windows_closed",
                format!("{n} that should run something else must wait: {}", reason.sentence),
            ),
        };
        record(&mut tx, kind, sentence, stacks, now).await?;
    }
    tx.commit().await
}

/// What is said of a stack whose time has come: no rollout has reached it, and nothing keeps it.
const OPENED: &str = "missed";

/// Reasons that rows do not name yet, with the stacks that they are of.
fn changes(waiting: &[Waiting], closed: &BTreeMap<StackId, Closed>) -> Vec<(Reason, Vec<StackId>)> {
    let mut changes: BTreeMap<(String, String), Vec<StackId>> = BTreeMap::new();
    for Waiting { stack, reason } in waiting {
        let says = reason.as_ref();
        let wanted = match closed.get(stack) {
            Some(closed) if says != Some(&closed.reason) => closed.reason.clone(),
            Some(_) => continue,
            None if says.is_some_and(|reason| reason.code != OPENED) => Reason::new(
                OPENED,
                "it had to wait until it opened; it can be brought to what it should run now",
            ),
            None => continue,
        };
        changes.entry((wanted.code.to_string(), wanted.sentence)).or_default().push(*stack);
    }
    let reason = |(code, sentence): (String, String)| Reason { code: code.into(), sentence };
    changes.into_iter().map(|(key, stacks)| (reason(key), stacks)).collect()
}

async fn decide(
    store: &Store,
    queue: &Queue,
    leftovers: &[Member],
    policy: &Policy,
    around: &Around,
    now: Timestamp,
) -> Result<Vec<Move>, StoreError> {
    // What runs on from a batch that was stopped is counted, whatever the queue does.
    let mut moves: Vec<Move> = leftovers
        .iter()
        .filter_map(|member| match member.state {
            MemberState::Succeeded => Some(Move::Count { stack: member.stack, failed: false }),
            MemberState::Failed(_) => Some(Move::Count { stack: member.stack, failed: true }),
            MemberState::Waiting | MemberState::Running => None,
        })
        .collect();
    let candidates: Vec<Candidate> = if queue.batch.is_none() && queue.stopped.is_none() {
        let asked = policy.mode == Mode::ByHand || now < queue.not_before;
        let fits = |candidate: &Candidate| candidate.may_go(policy, now);
        store.catchup_candidates(asked, around, policy.batch as usize, fits).await?
    } else {
        vec![]
    };
    moves.extend(queue.next(policy, &candidates, now));
    Ok(moves)
}

async fn act(
    context: &Context,
    tx: &mut Tx,
    moves: Vec<Move>,
    queue: &Queue,
    policy: &Policy,
    planned: &HashMap<StackId, (&str, usize)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut batch = queue.batch.as_ref().map(|batch| batch.n);
    for step in moves {
        match step {
            Move::Open(stacks) => {
                let n = tx.open_batch(&stacks, now).await?;
                let sentence =
                    format!("the catch-up queue begins with {}", plural(stacks.len() as i64, "stack"));
                record(tx, "catch_up_begun", sentence, &n, now).await?;
                batch = Some(n);
            }
            Move::Begin(stack) => begin_repair(context, tx, stack, policy, planned, now).await?,
            Move::Count { stack, failed } => {
                let tries = context.store.fleet_row(stack).await?.map_or(1, |row| row.queued.tries.max(1));
                let next_at = failed.then(|| now + policy.back_off_after(tries));
                tx.end_catchup(stack, next_at, failed).await?;
            }
            Move::Done => {
                if let Some(n) = batch {
                    tx.end_batch(n, None, now).await?;
                    record(
                        tx,
                        "catch_up_done",
                        "the catch-up queue is through with its batch".into(),
                        &n,
                        now,
                    )
                    .await?;
                }
            }
            Move::Stop(reason) => {
                if let Some(n) = batch {
                    tx.end_batch(n, Some(&reason), now).await?;
                    let sentence = format!("the catch-up queue stopped: {}", reason.sentence);
                    record(tx, "catch_up_stopped", sentence, &reason, now).await?;
                    tell(
                        tx,
                        &format!("catchup/{n}/stopped"),
                        "The catch-up queue stopped",
                        &reason.sentence,
                        now,
                    )
                    .await?;
                }
            }
        }
    }
    Ok(())
}

/// Begins the repair of a stack, unless something else came first; then it leaves the batch and is looked at later.
async fn begin_repair(
    context: &Context,
    tx: &mut Tx,
    stack: StackId,
    policy: &Policy,
    planned: &HashMap<StackId, (&str, usize)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let store = &context.store;
    let first = match first_event(store, stack, planned.get(&stack).copied(), now).await? {
        Ok(first) => first,
        Err(reason) if reason.code == "in_sync" => return tx.end_catchup(stack, None, false).await,
        Err(reason) => {
            tracing::info!(%stack, %reason, "the catch-up queue leaves a stack for later");
            return tx.end_catchup(stack, Some(now + policy.back_off), false).await;
        }
    };
    let (event, mend) = first;
    if store.open_process_about(&stack.to_string()).await?.is_some() {
        return tx.end_catchup(stack, Some(now + policy.back_off), false).await;
    }
    let id = ProcessId(store::ids::fresh());
    begin::<Repair>(tx, id, &Actor::engine(), &event, now).await?;
    if mend != Mend::Nothing {
        // Looked at again once the repair has ended: until then it counts as drifted.
        tx.ask_drift(stack, now, Some(now)).await?;
    }
    tx.begin_catchup(stack, id).await
}

type First = Result<(domain::work::Event, Mend), Reason>;

async fn first_event(
    store: &Store,
    stack: StackId,
    planned: Option<(&str, usize)>,
    now: Timestamp,
) -> Result<First, StoreError> {
    let refuse = |code, sentence: &str| Ok(Err(Reason::new(code, sentence)));
    let Some(facts) = store.stack_facts(stack).await? else { return refuse("in_sync", "it is gone") };
    let Some(release) = store.live_release().await? else {
        return refuse("no_release", "no release is live");
    };
    let Some((latest, live)) = store.tier(facts.tier, None).await? else {
        return refuse("no_tier", "its tier is not on record");
    };
    let tier = store.tier(facts.tier, live).await?.map_or(latest, |(tier, _)| tier);
    let report = store.drift(stack).await?;
    if report.drift.is_some_and(|drift| drift.gone) {
        return refuse("gone", "it was deleted behind our back; only a person makes it anew");
    }
    let mend = mend_of(report.state);
    Ok(repair(&facts, (&release, &tier), planned, mend, now).map(|event| (event, mend)))
}

/// Raises the alarm when the budget is exceeded, and says when that is over; each once.
async fn watch_skew(context: &Context) -> Result<(), StoreError> {
    let store = &context.store;
    let budget = store.convergence_rules().await?.budget;
    let now = (context.clock)();
    let skew = store.fleet_skew(&budget, now).await?;
    if (skew.beyond > 0) == store.skew_alarm().await?.is_some() {
        return Ok(());
    }
    let mut tx = store.begin_in_turn().await?;
    let skew = store.fleet_skew(&budget, now).await?;
    match (store.skew_alarm().await?, skew.beyond > 0) {
        (None, true) => {
            let alarm = SkewAlarm { since: now };
            tx.set_skew_alarm(Some(alarm)).await?;
            let may = budget.words().unwrap_or_default();
            let are = if skew.beyond == 1 { "1 stack is" } else { &format!("{} stacks are", skew.beyond) };
            let sentence = format!("{are} more than {may} behind: {}", skew.named());
            record(&mut tx, "skew_exceeded", sentence.clone(), &skew.names, now).await?;
            tell(&mut tx, &format!("skew/{}", now.0), "Stacks are too far behind", &sentence, now).await?;
        }
        (Some(alarm), false) => {
            tx.set_skew_alarm(None).await?;
            let sentence = format!("no stack is too far behind any more; it lasted {}", now - alarm.since);
            record(&mut tx, "skew_over", sentence, &alarm, now).await?;
        }
        (None, false) | (Some(_), true) => return Ok(()),
    }
    tx.commit().await
}

async fn record(
    tx: &mut Tx,
    kind: &'static str,
    sentence: String,
    body: &impl serde::Serialize,
    at: Timestamp,
) -> Result<(), StoreError> {
    let body = serde_json::to_string(body).unwrap_or_else(|_| "null".to_owned());
    tx.record("fleet", None, &Actor::engine(), NewEvent { kind, sentence, body, at }).await
}

async fn tell(
    tx: &mut Tx,
    key: &str,
    subject: &str,
    sentence: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let mail = Mail {
        key: key.to_owned(),
        to: Recipient::Operators,
        subject: subject.to_owned(),
        body: format!("{sentence}.\n\n{{base}}/fleet\n"),
    };
    tx.mail(&store::ids::fresh().to_string(), &mail, at).await
}
