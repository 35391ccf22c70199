//! How far the fleet is behind, and the alarm on record while it is too far (DESIGN §3, law 1).

use crate::records::erased::Json as _;
use crate::sql::args;
use crate::{Store, StoreError, Tx};
use domain::Timestamp;
use domain::fleet::{Skew, SkewBudget};
use serde::{Deserialize, Serialize};

/// Where the settings keep the alarm.
const ALARM: &str = "skew_alarm";
/// So many names are told.
const NAMED: usize = 10;

/// How far the fleet is behind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FleetSkew {
    /// How many stacks do not run what they should.
    pub behind: i64,
    /// The most versions that one of them is behind, and the longest time that one has been.
    pub worst: Skew,
    /// How many are further behind than the budget allows.
    pub beyond: usize,
    /// The first of these, longest first.
    pub names: Vec<String>,
}

impl FleetSkew {
    /// `silo-a, silo-b and 3 more`.
    #[must_use]
    pub fn named(&self) -> String {
        let names = self.names.join(", ");
        match self.beyond - self.names.len().min(self.beyond) {
            0 => names,
            more => format!("{names} and {more} more"),
        }
    }
}

/// The alarm, while the budget is exceeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SkewAlarm {
    /// Since when.
    pub since: Timestamp,
}

impl Store {
    /// How far the fleet is behind. A stack that an operation works on is on its way, and is not counted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn fleet_skew(&self, budget: &SkewBudget, now: Timestamp) -> Result<FleetSkew, StoreError> {
        let laggards = self.laggards().await?;
        if laggards.is_empty() {
            return Ok(FleetSkew::default());
        }
        let lives = self.lives().await?;
        let mut skew = FleetSkew::default();
        let mut versions = vec![];
        for (version, n, since) in laggards {
            let one = Skew::of(&lives, version.as_deref(), since, now);
            skew.behind += n;
            skew.worst.versions = skew.worst.versions.max(one.versions);
            skew.worst.time = skew.worst.time.max(one.time);
            if budget.versions > 0 && one.versions > budget.versions {
                versions.extend(version);
            }
        }
        if budget.is_exceeded_by(skew.worst) {
            let before = match budget.days {
                0 => Timestamp(i64::MIN),
                days => now - domain::Span::days(days.into()),
            };
            (skew.beyond, skew.names) = self.stragglers(&versions, before, NAMED).await?;
        }
        Ok(skew)
    }

    /// The alarm, if it is raised.
    ///
    /// # Errors
    /// The database failed.
    pub async fn skew_alarm(&self) -> Result<Option<SkewAlarm>, StoreError> {
        let text = self.setting(ALARM).await?.filter(|text| !text.is_empty());
        let read = |text: String| serde_json::from_str(&text).map_err(|e| StoreError::damaged(e.to_string()));
        text.map(read).transpose()
    }
}

impl Tx {
    /// Raises the alarm, or with `None` notes that it is over.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_skew_alarm(&mut self, alarm: Option<SkewAlarm>) -> Result<(), StoreError> {
        match alarm {
            Some(alarm) => self.set_setting(ALARM, &alarm.json()).await,
            None => self.execute("delete from settings where key = $1", args![ALARM]).await.map(drop),
        }
    }
}
