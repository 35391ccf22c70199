//! One way to speak to both engines: `$1` placeholders, whole numbers and text, nothing else.

use crate::StoreError;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Executor, Postgres, Row as _, Sqlite};

/// A value bound to a statement.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    Int(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Arg {
    fn from(n: i64) -> Self {
        Self::Int(Some(n))
    }
}
impl From<Option<i64>> for Arg {
    fn from(n: Option<i64>) -> Self {
        Self::Int(n)
    }
}
impl From<u32> for Arg {
    fn from(n: u32) -> Self {
        Self::Int(Some(n.into()))
    }
}
impl From<usize> for Arg {
    fn from(n: usize) -> Self {
        Self::Int(Some(i64::try_from(n).unwrap_or(i64::MAX)))
    }
}
impl From<domain::Timestamp> for Arg {
    fn from(at: domain::Timestamp) -> Self {
        Self::Int(Some(at.0))
    }
}
impl From<Option<domain::Timestamp>> for Arg {
    fn from(at: Option<domain::Timestamp>) -> Self {
        Self::Int(at.map(|at| at.0))
    }
}
impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}
impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}
impl From<Option<String>> for Arg {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

/// `args![a, b]` for anything that turns into an [`Arg`].
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Arg::from($value)),*] };
}
pub(crate) use args;

/// A row of either engine; columns by position.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn text_or_null(&self, i: usize) -> Result<Option<String>, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(i)?,
            Self::Postgres(row) => row.try_get(i)?,
        })
    }

    pub(crate) fn int_or_null(&self, i: usize) -> Result<Option<i64>, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(i)?,
            Self::Postgres(row) => row.try_get(i)?,
        })
    }

    pub(crate) fn text(&self, i: usize) -> Result<String, StoreError> {
        self.text_or_null(i)?.ok_or_else(|| StoreError::damaged(format!("column {i} is null")))
    }

    pub(crate) fn int(&self, i: usize) -> Result<i64, StoreError> {
        self.int_or_null(i)?.ok_or_else(|| StoreError::damaged(format!("column {i} is null")))
    }

    /// A text column parsed as `T`.
    pub(crate) fn parse<T: std::str::FromStr>(&self, i: usize) -> Result<T, StoreError> {
        let text = self.text(i)?;
        text.parse().map_err(|_| StoreError::damaged(format!("“{text}” in column {i} cannot be read")))
    }

    pub(crate) fn parse_or_null<T: std::str::FromStr>(&self, i: usize) -> Result<Option<T>, StoreError> {
        self.text_or_null(i)?.map(|_| self.parse(i)).transpose()
    }

    /// A JSON column.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, i: usize) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(i)?)
            .map_err(|e| StoreError::damaged(format!("JSON in column {i}: {e}")))
    }

    pub(crate) fn json_or_null<T: serde::de::DeserializeOwned>(
        &self,
        i: usize,
    ) -> Result<Option<T>, StoreError> {
        self.text_or_null(i)?.map(|_| self.json(i)).transpose()
    }

    pub(crate) fn at(&self, i: usize) -> Result<domain::Timestamp, StoreError> {
        self.int(i).map(domain::Timestamp)
    }

    pub(crate) fn at_or_null(&self, i: usize) -> Result<Option<domain::Timestamp>, StoreError> {
        Ok(self.int_or_null(i)?.map(domain::Timestamp))
    }
}

pub(crate) async fn fetch_sqlite<'e>(
    on: impl Executor<'e, Database = Sqlite>,
    sql: &str,
    args: Vec<Arg>,
) -> Result<Vec<Row>, StoreError> {
    let (sql, args) = in_order(sql, args);
    let rows = sqlx::query_with(AssertSqlSafe(sql), sqlite(args)?).fetch_all(on).await?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

pub(crate) async fn fetch_postgres<'e>(
    on: impl Executor<'e, Database = Postgres>,
    sql: &str,
    args: Vec<Arg>,
) -> Result<Vec<Row>, StoreError> {
    let rows = sqlx::query_with(AssertSqlSafe(sql.to_owned()), postgres(args)?).fetch_all(on).await?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}

pub(crate) async fn execute_sqlite<'e>(
    on: impl Executor<'e, Database = Sqlite>,
    sql: &str,
    args: Vec<Arg>,
) -> Result<u64, StoreError> {
    let (sql, args) = in_order(sql, args);
    Ok(sqlx::query_with(AssertSqlSafe(sql), sqlite(args)?).execute(on).await?.rows_affected())
}

pub(crate) async fn execute_postgres<'e>(
    on: impl Executor<'e, Database = Postgres>,
    sql: &str,
    args: Vec<Arg>,
) -> Result<u64, StoreError> {
    Ok(sqlx::query_with(AssertSqlSafe(sql.to_owned()), postgres(args)?).execute(on).await?.rows_affected())
}

/// With more values than this, placeholders are given to SQLite without their numbers.
const MANY: usize = 32;

/// Placeholders without numbers, and the values in the order in which they are asked for. SQLite keeps `$1` as a name
/// and looks it up in a list, so that the time a statement takes grows with the square of how many there are.
fn in_order(sql: &str, args: Vec<Arg>) -> (String, Vec<Arg>) {
    if args.len() <= MANY {
        return (sql.to_owned(), args);
    }
    let mut out = String::with_capacity(sql.len());
    let mut asked = Vec::with_capacity(args.len());
    let mut rest = sql;
    while let Some(at) = rest.find('$') {
        let after = &rest[at + 1..];
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        out.push_str(&rest[..at]);
        match after[..digits].parse::<usize>().ok().and_then(|n| args.get(n.checked_sub(1)?)) {
            Some(arg) => {
                out.push('?');
                asked.push(arg.clone());
            }
            None => out.push_str(&rest[at..at + 1 + digits]),
        }
        rest = &after[digits..];
    }
    out.push_str(rest);
    (out, asked)
}

fn sqlite(args: Vec<Arg>) -> Result<SqliteArguments, StoreError> {
    let mut bound = SqliteArguments::default();
    for arg in args {
        match arg {
            Arg::Int(n) => bound.add(n),
            Arg::Text(text) => bound.add(text),
        }
        .map_err(|e| StoreError::damaged(e.to_string()))?;
    }
    Ok(bound)
}

fn postgres(args: Vec<Arg>) -> Result<PgArguments, StoreError> {
    let mut bound = PgArguments::default();
    for arg in args {
        match arg {
            Arg::Int(n) => bound.add(n),
            Arg::Text(text) => bound.add(text),
        }
        .map_err(|e| StoreError::damaged(e.to_string()))?;
    }
    Ok(bound)
}

/// `($1,$2),($3,$4)` for `rows` rows of `columns` values.
pub(crate) fn values(rows: usize, columns: usize) -> String {
    let mut out = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        out.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..columns {
            if column > 0 {
                out.push(',');
            }
            out.push('$');
            out.push_str(&(row * columns + column + 1).to_string());
        }
        out.push(')');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_in_the_order_in_which_they_are_asked_for() {
        let args: Vec<Arg> = (1..=40_i64).map(Arg::from).collect();
        let (sql, asked) =
            in_order("set a = $40, b = '$.name' where ($2 is null or x = $2) and y = $12", args.clone());
        assert_eq!(sql, "set a = ?, b = '$.name' where (? is null or x = ?) and y = ?");
        let numbers = |args: &[Arg]| -> Vec<i64> {
            args.iter().filter_map(|arg| if let Arg::Int(n) = arg { *n } else { None }).collect()
        };
        assert_eq!(numbers(&asked), [40, 2, 2, 12]);
        let few = "a = $2 or a = $1";
        assert_eq!(in_order(few, args[..2].to_vec()).0, few);
    }
}
