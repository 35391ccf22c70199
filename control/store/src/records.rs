//! What is written beside events, in bulk by kind: a batch of 500 operations is a handful of statements.

use crate::sql::{Arg, args, values};
use crate::stacks::doomed;
use crate::{Conflict, PLACES, StoreError, Tx};
use domain::process::{GateRow, Mail, OperationKind, Outcome, Record};
use domain::stack::{OTHERS, Stack};
use domain::{Configuration, OperationId, ProcessId, Reason, StackId, Timestamp};
use std::collections::BTreeMap;

const CHUNK: usize = 200;

#[derive(Default)]
struct Batches<'a> {
    started: Vec<Started<'a>>,
    accepted: Vec<OperationId>,
    ended: Vec<(OperationId, StackId, OperationKind, &'a Outcome)>,
    configurations: BTreeMap<&'a str, &'a Configuration>,
}

struct Started<'a> {
    operation: OperationId,
    stack: StackId,
    kind: OperationKind,
    wave: Option<usize>,
    attempt: u32,
    to: Option<&'a Configuration>,
}

impl Started<'_> {
    /// Whether the stack must have been made: a wave makes none.
    const fn needs(&self) -> bool {
        matches!((self.kind, self.wave), (OperationKind::Update, Some(_)))
    }
}

/// Whether there is nothing to update: a stack that others did not make, and Tidegate could not.
fn unmade(stack: &str) -> String {
    format!(
        "({stack}.actual is null and {stack}.operation is null and {stack}.status in ('creating', 'failed')
          and {stack}.name not like '%{OTHERS}%')"
    )
}

impl Tx {
    /// Writes records in their order; runs of operations of one kind go in bulk.
    pub(crate) async fn write(
        &mut self,
        records: &[Record],
        process: ProcessId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut batches = Batches::default();
        for record in records {
            match record {
                Record::OperationStarted { operation, stack, kind, wave, attempt, to } => {
                    if !batches.ended.is_empty() || !batches.accepted.is_empty() {
                        self.flush(&mut batches, process, at).await?;
                    }
                    if let Some(to) = to {
                        batches.configurations.insert(&to.digest.0, to);
                    }
                    let (operation, stack, kind) = (*operation, *stack, *kind);
                    let (wave, attempt, to) = (*wave, *attempt, to.as_ref());
                    batches.started.push(Started { operation, stack, kind, wave, attempt, to });
                }
                Record::OperationAccepted { operation } => batches.accepted.push(*operation),
                Record::OperationEnded { operation, stack, kind, outcome } => {
                    if !batches.started.is_empty() {
                        self.flush(&mut batches, process, at).await?;
                    }
                    if *kind == OperationKind::Create {
                        self.tell(PLACES);
                    }
                    batches.ended.push((*operation, *stack, *kind, outcome));
                }
                other => {
                    self.flush(&mut batches, process, at).await?;
                    self.write_one(other, process, at).await?;
                }
            }
        }
        self.flush(&mut batches, process, at).await
    }

    async fn flush(
        &mut self,
        batches: &mut Batches<'_>,
        process: ProcessId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let Batches { started, accepted, ended, configurations } = std::mem::take(batches);
        for configuration in configurations.values() {
            self.configuration(configuration).await?;
        }
        for chunk in started.chunks(CHUNK) {
            self.start(chunk, process, at).await?;
        }
        for chunk in accepted.chunks(CHUNK) {
            let sql = format!(
                "update operations set state = 'in_progress' from (values {}) as v where operations.id = v.column1",
                values(chunk.len(), 1)
            );
            self.execute(&sql, chunk.iter().map(|id| Arg::from(id.to_string())).collect()).await?;
        }
        for chunk in ended.chunks(CHUNK) {
            self.end(chunk, at).await?;
        }
        Ok(())
    }

    /// One writer a stack: a stack that has an operation is not updated, and the count tells (law 3).
    async fn start(
        &mut self,
        chunk: &[Started<'_>],
        process: ProcessId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut bound = Vec::with_capacity(chunk.len() * 9);
        for s in chunk {
            bound.extend(args![
                s.operation.to_string(),
                process.to_string(),
                s.stack.to_string(),
                s.kind.word(),
                s.wave.map(|w| i64::try_from(w).unwrap_or(0)),
                s.attempt,
                "submitted",
                s.to.map(|to| to.digest.0.clone()),
                at
            ]);
        }
        let sql = format!(
            "insert into operations (id, process, stack, kind, wave, attempt, state, to_digest, started_at) values {}",
            values(chunk.len(), 9)
        );
        self.execute(&sql, bound).await?;
        let mut bound = Vec::with_capacity(chunk.len() * 4);
        for s in chunk {
            bound.extend(args![
                s.stack.to_string(),
                s.operation.to_string(),
                s.to.map(|to| to.digest.0.clone()),
                i64::from(s.needs())
            ]);
        }
        let n = chunk.len();
        let sql = format!(
            "update stacks set operation = v.column2, desired = coalesce(v.column3, desired), left_out = null, left_code = null,
                    status = case when v.column3 is null then 'deleting' else status end
             from (values {}) as v where stacks.id = v.column1 and stacks.operation is null
               and (v.column3 is null or stacks.status not in ('deleting', 'deleted') and not {})
               and not (v.column4 = 1 and {})",
            values(n, 4),
            doomed("stacks.id"),
            unmade("stacks")
        );
        if self.execute(&sql, bound).await? == n as u64 {
            return Ok(());
        }
        let sql = format!(
            "select s.id from stacks s join (values {}) as v on v.column1 = s.id
             where (s.status in ('deleting', 'deleted') or {}) and v.column2 <> 'delete' or v.column3 = 1 and {}",
            values(n, 3),
            doomed("s.id"),
            unmade("s")
        );
        let told = |s: &Started<'_>| args![s.stack.to_string(), s.kind.word(), i64::from(s.needs())];
        let bound = chunk.iter().flat_map(told).collect();
        let gone =
            self.fetch(&sql, bound).await?.iter().map(|r| r.parse(0)).collect::<Result<Vec<_>, _>>()?;
        Err(StoreError::Conflict(if gone.is_empty() {
            Conflict::StackBusy
        } else {
            Conflict::StackGone(gone)
        }))
    }

    async fn end(
        &mut self,
        chunk: &[(OperationId, StackId, OperationKind, &Outcome)],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let json = |value: &dyn erased::Json| value.json();
        let mut bound = Vec::with_capacity(chunk.len() * 4);
        for (operation, _, _, outcome) in chunk {
            let (state, reason) = match outcome {
                Outcome::Succeeded { .. } => ("succeeded", None),
                Outcome::Failed { reason, .. } => ("failed", Some(json(reason))),
            };
            bound.extend(args![operation.to_string(), state, reason, at]);
        }
        let sql = format!(
            "update operations set state = v.column2, reason = v.column3, ended_at = v.column4,
                    from_digest = (select actual from stacks where stacks.id = operations.stack)
             from (values {}) as v where operations.id = v.column1",
            values(chunk.len(), 4)
        );
        self.execute(&sql, bound).await?;

        let mut bound = Vec::with_capacity(chunk.len() * 6);
        for (operation, stack, kind, outcome) in chunk {
            let row = match outcome {
                Outcome::Succeeded { digest, outputs } => {
                    let status = if *kind == OperationKind::Delete { "deleted" } else { "live" };
                    let outputs = (!outputs.is_empty()).then(|| json(outputs));
                    args![
                        stack.to_string(),
                        operation.to_string(),
                        status,
                        digest.as_ref().map(|d| d.0.clone()),
                        None::<String>,
                        outputs
                    ]
                }
                // What it runs now is what was proved; a failure that left the former configuration leaves it live.
                Outcome::Failed { reason, running, .. } => {
                    let status = if running.is_some() { "live" } else { "failed" };
                    args![
                        stack.to_string(),
                        operation.to_string(),
                        status,
                        running.as_ref().map(|d| d.0.clone()),
                        Some(json(reason)),
                        None::<String>
                    ]
                }
            };
            bound.extend(row);
        }
        let sql = format!(
            "update stacks set operation = null, down = null, status = v.column3, reason = v.column5, changed_at = ${},
                    outputs = coalesce(v.column6, outputs),
                    actual = case when v.column3 = 'failed' then actual else v.column4 end,
                    version = coalesce((select c.version from configurations c where c.digest = v.column4), version),
                    tier_revision =
                        coalesce((select c.tier_revision from configurations c where c.digest = v.column4), tier_revision)
             from (values {}) as v where stacks.id = v.column1 and stacks.operation = v.column2",
            chunk.len() * 6 + 1,
            values(chunk.len(), 6)
        );
        bound.push(Arg::from(at));
        self.execute(&sql, bound).await?;
        let ids: Vec<_> = chunk.iter().map(|(_, stack, ..)| stack.to_string()).collect();
        // A rollout says what its stacks should run until it ends; what others did may have been overtaken meanwhile.
        if !self.rollout_is_open().await? {
            let reason =
                Reason::new("superseded", "what it should run changed while an operation worked on it");
            self.settle(Some(&ids), at, &reason).await?;
        }
        self.mark_behind(Some(&ids), at).await
    }

    async fn write_one(
        &mut self,
        record: &Record,
        process: ProcessId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        match record {
            Record::Stack(stack) => self.insert_stack(stack).await,
            Record::Join { tenant, stack } => self.join_stack(*tenant, *stack).await,
            Record::Leave(tenant) => {
                // Its place in a pool is free.
                self.tell(PLACES);
                let sql = "delete from tenant_stacks where tenant = $1";
                self.execute(sql, args![tenant.to_string()]).await.map(drop)
            }
            Record::Moved(moved) => self.moved(*moved).await,
            Record::Desired { stack, configuration, reason } => {
                self.configuration(configuration).await?;
                let sql = "update stacks set desired = $2, left_out = $3, left_code = $4 where id = $1";
                let json = erased::Json::json(reason);
                let id = stack.to_string();
                let bound = args![id.as_str(), configuration.digest.0.clone(), json, reason.code.to_string()];
                self.execute(sql, bound).await?;
                self.mark_behind(Some(&[id]), at).await
            }
            Record::Desires => self.settle_after(process, at).await,
            Record::Tenant { tenant, state, reason } => {
                let reason = reason.as_ref().map(erased::Json::json);
                let sql = "update tenants set state = $2, reason = $3 where id = $1";
                self.execute(sql, args![tenant.to_string(), state.word(), reason]).await.map(drop)
            }
            Record::WindowEnds(tenant) => self.end_window_of(*tenant).await,
            Record::Identity { tenant, access } => self.identity(*tenant, access.as_deref()).await,
            Record::Live { release, tiers } => {
                self.tell(PLACES);
                self.set_setting("live_release", &release.to_string()).await?;
                self.note_live(*release, at).await?;
                for (tier, revision) in tiers {
                    let sql = "update tiers set live_revision = $2 where id = $1";
                    self.execute(sql, args![tier.to_string(), *revision]).await?;
                }
                Ok(())
            }
            Record::ReleaseBad { release, bad } => self.mark_release(*release, Some(bad)).await,
            Record::Gate(gate) => self.gate(gate).await,
            Record::Mail(mail) => self.queue_mail(mail, at).await,
            Record::Announce(announcement) => self.announce(announcement, at).await,
            Record::OperationStarted { .. }
            | Record::OperationAccepted { .. }
            | Record::OperationEnded { .. } => Ok(()),
        }
    }

    pub(crate) async fn configuration(&mut self, c: &Configuration) -> Result<(), StoreError> {
        let sql = "insert into configurations (digest, version, tier_revision, body) values ($1, $2, $3, $4)
                   on conflict (digest) do nothing";
        let bound = args![c.digest.0.clone(), c.version.to_string(), c.tier_revision, erased::Json::json(c)];
        self.execute(sql, bound).await.map(drop)
    }

    pub(crate) async fn insert_stack(&mut self, stack: &Stack) -> Result<(), StoreError> {
        let sql = "insert into stacks (id, name, kind, tier, region, driver, components, status, outputs, changed_at)
                   values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) on conflict (id) do update
                   set status = excluded.status, reason = null, changed_at = excluded.changed_at
                   where stacks.status = 'failed' and stacks.actual is null and stacks.operation is null";
        let bound = args![
            stack.id.to_string(),
            stack.name.as_str(),
            stack.kind.word(),
            stack.tier.to_string(),
            stack.region.as_str(),
            stack.target.to_string(),
            erased::Json::json(&stack.components),
            stack.status.word(),
            erased::Json::json(&stack.outputs),
            stack.changed_at
        ];
        self.execute(sql, bound).await.map(drop)
    }

    async fn gate(&mut self, gate: &GateRow) -> Result<(), StoreError> {
        let sql = "insert into gates (rollout, wave, state, group_name, missing, asked_at, expires_at, title)
                   values ($1,$2,$3,$4,$5,$6,$7,$8) on conflict (rollout, wave) do update set state = excluded.state,
                   group_name = excluded.group_name, missing = excluded.missing, asked_at = excluded.asked_at, expires_at = excluded.expires_at";
        let bound = args![
            gate.rollout.to_string(),
            gate.wave,
            gate.state.as_str(),
            gate.group.clone(),
            gate.missing,
            gate.asked_at,
            gate.expires_at,
            gate.title.as_str()
        ];
        self.execute(sql, bound).await.map(drop)
    }

    async fn queue_mail(&mut self, mail: &Mail, at: Timestamp) -> Result<(), StoreError> {
        self.mail(&crate::ids::fresh().to_string(), mail, at).await
    }
}

pub(crate) mod erased {
    /// Serialization of our own types: they have no maps with keys that JSON cannot hold.
    pub(crate) trait Json {
        fn json(&self) -> String;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned())
        }
    }
}
