//! Lists by the page: at most so many after a cursor, and the cursor of the next page.

use crate::{Error, Result, Service};
use domain::access::Permission;
use domain::process::ProcessKind;
use domain::release::Release;
use domain::strategy::Strategy;
use domain::{Actor, Timestamp};
use store::{OpenGate, ProcessRow};

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Of one item more than were asked for, if there are as many.
    fn of(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }

    /// Of a list that is whole already.
    fn cut(all: Vec<T>, after: Option<&str>, limit: u32, cursor: impl Fn(&T) -> String) -> Result<Self> {
        let begin = match after {
            None => 0,
            Some(after) => all.iter().position(|item| cursor(item) == after).ok_or_else(no_cursor)? + 1,
        };
        let items = all.into_iter().skip(begin).take(limit as usize + 1).collect();
        Ok(Self::of(items, limit, cursor))
    }
}

fn no_cursor() -> Error {
    Error::field("after", "leads nowhere in this list; leave it out to begin with the first page")
}

impl Service {
    /// Rollouts, newest first.
    ///
    /// # Errors
    /// Needs `view`; the cursor leads nowhere.
    pub async fn rollouts_page(
        &self,
        actor: &Actor,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<ProcessRow>> {
        actor.require(Permission::View)?;
        // Rollouts run one at a time, so the instant of the start is a place of its own.
        let before = after.map(|text| text.parse().map(Timestamp).map_err(|_| no_cursor())).transpose()?;
        let rows = self.store.processes(ProcessKind::Rollout, None, before, limit + 1).await?;
        Ok(Page::of(rows, limit, |row| row.started_at.0.to_string()))
    }

    /// Releases, newest first.
    ///
    /// # Errors
    /// Needs `view`; the cursor leads nowhere.
    pub async fn releases_page(
        &self,
        actor: &Actor,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Release>> {
        actor.require(Permission::View)?;
        if let Some(version) = after
            && self.store.release_by_version(version).await?.is_none()
        {
            return Err(no_cursor());
        }
        let rows = self.store.releases_after(after, limit + 1).await?;
        Ok(Page::of(rows, limit, |release| release.version.to_string()))
    }

    /// The release that the fleet runs.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn live_release(&self, actor: &Actor) -> Result<Option<Release>> {
        actor.require(Permission::View)?;
        Ok(self.store.live_release().await?)
    }

    /// Strategies, by name.
    ///
    /// # Errors
    /// Needs `view`; the cursor leads nowhere.
    pub async fn strategies_page(
        &self,
        actor: &Actor,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Strategy>> {
        Page::cut(self.strategies(actor).await?, after, limit, |strategy| strategy.id.to_string())
    }

    /// Gates that ask people, newest first.
    ///
    /// # Errors
    /// Needs `view`; the cursor leads nowhere.
    pub async fn gates_page(&self, actor: &Actor, after: Option<&str>, limit: u32) -> Result<Page<OpenGate>> {
        actor.require(Permission::View)?;
        let gates = self.store.asking_gates().await?;
        Page::cut(gates, after, limit, |gate| format!("{}.{}", gate.rollout, gate.wave + 1))
    }
}
