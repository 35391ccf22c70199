//! Orders in the instance's own SQLite file.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Row as _, SqlitePool};
use std::path::Path;
use std::time::Duration;

/// An order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    #[serde(default)]
    pub id: i64,
    pub customer: String,
    pub item: String,
    pub quantity: i64,
}

#[derive(Clone)]
pub struct Orders(SqlitePool);

impl Orders {
    /// Opens the file. SQLite's page caches take half of `memory_mb` at most.
    pub async fn open(folder: &Path, memory_mb: i64) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(folder.join("orders.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(5))
            .pragma("cache_size", format!("-{}", memory_mb.max(1) * 1024 / 4));
        let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
        sqlx::query(
            "create table if not exists orders (id integer primary key, tenant text not null, customer text not null,
             item text not null, quantity integer not null)",
        )
        .execute(&pool)
        .await?;
        Ok(Self(pool))
    }

    pub async fn list(&self, tenant: &str) -> Result<Vec<Order>, sqlx::Error> {
        let sql =
            "select id, customer, item, quantity from orders where tenant = $1 order by id desc limit 100";
        let rows = sqlx::query(sql).bind(tenant).fetch_all(&self.0).await?;
        rows.iter()
            .map(|r| {
                Ok(Order {
                    id: r.try_get(0)?,
                    customer: r.try_get(1)?,
                    item: r.try_get(2)?,
                    quantity: r.try_get(3)?,
                })
            })
            .collect()
    }

    pub async fn add(&self, tenant: &str, order: &Order) -> Result<i64, sqlx::Error> {
        let sql = "insert into orders (tenant, customer, item, quantity) values ($1, $2, $3, $4)";
        let done = sqlx::query(sql)
            .bind(tenant)
            .bind(&order.customer)
            .bind(&order.item)
            .bind(order.quantity)
            .execute(&self.0)
            .await?;
        Ok(done.last_insert_rowid())
    }
}
