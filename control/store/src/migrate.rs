//! Brings the tables up to date, step by step, in one transaction; safe from several replicas at once.

use crate::sql::args;
use crate::{Store, StoreError};

type Steps = &'static [&'static str];

pub(crate) const SQLITE: Steps = &[
    include_str!("../../../migrations/sqlite/0001_start.sql"),
    include_str!("../../../migrations/sqlite/0002_signup_links.sql"),
    include_str!("../../../migrations/sqlite/0003_mail_deliveries.sql"),
    include_str!("../../../migrations/sqlite/0004_engine.sql"),
    include_str!("../../../migrations/sqlite/0006_tenant_names.sql"),
    include_str!("../../../migrations/sqlite/0007_queues.sql"),
    include_str!("../../../migrations/sqlite/0008_preview_and_drift.sql"),
    include_str!("../../../migrations/sqlite/0009_identity.sql"),
    include_str!("../../../migrations/sqlite/0010_replicas.sql"),
    include_str!("../../../migrations/sqlite/0011_convergence.sql"),
    include_str!("../../../migrations/sqlite/0013_windows.sql"),
    include_str!("../../../migrations/sqlite/0018_portal.sql"),
    include_str!("../../../migrations/sqlite/0016_placement.sql"),
    include_str!("../../../migrations/sqlite/0015_sagas.sql"),
];
pub(crate) const POSTGRES: Steps = &[
    include_str!("../../../migrations/postgres/0001_start.sql"),
    include_str!("../../../migrations/postgres/0002_signup_links.sql"),
    include_str!("../../../migrations/postgres/0003_mail_deliveries.sql"),
    include_str!("../../../migrations/postgres/0004_engine.sql"),
    include_str!("../../../migrations/postgres/0006_tenant_names.sql"),
    include_str!("../../../migrations/postgres/0007_queues.sql"),
    include_str!("../../../migrations/postgres/0008_preview_and_drift.sql"),
    include_str!("../../../migrations/postgres/0009_identity.sql"),
    include_str!("../../../migrations/postgres/0010_replicas.sql"),
    include_str!("../../../migrations/postgres/0011_convergence.sql"),
    include_str!("../../../migrations/postgres/0013_windows.sql"),
    include_str!("../../../migrations/postgres/0018_portal.sql"),
    include_str!("../../../migrations/postgres/0016_placement.sql"),
    include_str!("../../../migrations/postgres/0015_sagas.sql"),
];

pub(crate) async fn run(store: &Store, steps: Steps) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    tx.be_patient();
    if tx.is_postgres() {
        // SQLite's `begin immediate` is its lock.
        tx.execute("select pg_advisory_xact_lock(727483)", vec![]).await?;
    }
    tx.execute("create table if not exists schema_steps (step bigint primary key)", vec![]).await?;
    let rows = tx.fetch("select coalesce(max(step), 0) from schema_steps", vec![]).await?;
    let found = rows[0].int(0)?;
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (i, step) in steps.iter().enumerate().skip(usize::try_from(found).unwrap_or(0)) {
        for statement in step.split(";\n") {
            let code =
                statement.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>();
            if !code.concat().trim().is_empty() {
                tx.execute(&code.join("\n"), vec![]).await?;
            }
        }
        tx.execute("insert into schema_steps (step) values ($1)", args![i + 1]).await?;
    }
    tx.commit().await
}
