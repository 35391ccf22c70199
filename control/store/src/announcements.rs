//! Gates that ask, on their way to other systems: written with the event that makes them ask, sent by one sender at a
//! time, tried again for a while, then set aside with the reason.

use crate::records::erased::Json as _;
use crate::sql::{Row, args};
use crate::{AttemptEnd, Store, StoreError, Tx};
use domain::rollout::Announcement;
use domain::{AnnouncementId, ProcessId, Timestamp};

/// An announcement to be sent.
#[derive(Clone, Debug)]
pub struct DueAnnouncement {
    /// Its id.
    pub id: AnnouncementId,
    /// What it says.
    pub says: Announcement,
    /// How often it was tried.
    pub attempts: u32,
}

/// An announcement as the settings show it.
#[derive(Clone, Debug)]
pub struct SentAnnouncement {
    /// Its id.
    pub id: AnnouncementId,
    /// What it says.
    pub says: Announcement,
    /// When the gate began to ask.
    pub created_at: Timestamp,
    /// What became of it.
    pub state: AnnouncementState,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not sent, the last time.
    pub error: Option<String>,
    /// When its token was used.
    pub answered_at: Option<Timestamp>,
}

/// What became of an announcement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnnouncementState {
    /// It is tried at this time.
    Waiting(Timestamp),
    /// It was sent at this time.
    Sent(Timestamp),
    /// It was given up at this time, until a person asks for more.
    SetAside(Timestamp),
    /// It was not needed any more before it was sent.
    Closed(Timestamp),
}

/// What a token answers.
#[derive(Clone, Debug)]
pub struct AnswerTo {
    /// The announcement that brought it.
    pub id: AnnouncementId,
    /// The rollout.
    pub rollout: ProcessId,
    /// The wave, from 0.
    pub wave: usize,
    /// The plan that was shown.
    pub plan_hash: String,
    /// The groups of which somebody is missing; `None` stands for anyone.
    pub groups: Vec<Option<String>>,
    /// Whether the gate was announced anew since.
    pub superseded: bool,
    /// When the token was used.
    pub answered_at: Option<Timestamp>,
}

impl Tx {
    /// Puts an announcement into the outbox, unless its key is there; former ones of its gate count no more.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn announce(
        &mut self,
        announcement: &Announcement,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let Announcement { key, rollout, wave, plan_hash, .. } = announcement;
        let sql = "insert into announcements (id, key, rollout, wave, plan_hash, body, created_at, state, at)
                   values ($1,$2,$3,$4,$5,$6,$7,'waiting',$7) on conflict (key) do nothing";
        let id = crate::ids::fresh().to_string();
        let (rollout, wave, body) = (rollout.to_string(), *wave, announcement.json());
        let bound = args![id.as_str(), key.as_str(), rollout.as_str(), wave, plan_hash.as_str(), body, at];
        if self.execute(sql, bound).await? == 1 {
            let sql = "update announcements set superseded = 1,
                           state = case when state = 'waiting' then 'closed' else state end,
                           error = case when state = 'waiting' then 'the gate was announced anew' else error end
                       where rollout = $1 and wave = $2 and id <> $3 and superseded = 0";
            self.execute(sql, args![rollout, wave, id]).await?;
            self.tell("announcements");
        }
        Ok(())
    }

    /// Uses up an announcement's tokens. False if they were used, or the gate was announced anew.
    ///
    /// # Errors
    /// The database failed.
    pub async fn use_token(&mut self, id: AnnouncementId, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "update announcements set answered_at = $2
                   where id = $1 and answered_at is null and superseded = 0";
        Ok(self.execute(sql, args![id.to_string(), at]).await? == 1)
    }

    /// Sends an announcement again that was set aside; returns what it is about, or `None` if it is not.
    ///
    /// # Errors
    /// The database failed.
    pub async fn announce_again(
        &mut self,
        id: AnnouncementId,
        at: Timestamp,
    ) -> Result<Option<Announcement>, StoreError> {
        let sql = "update announcements set state = 'waiting', at = $2, attempts = 0, error = null
                   where id = $1 and state = 'set_aside' returning body";
        let Some(row) = self.fetch(sql, args![id.to_string(), at]).await?.into_iter().next() else {
            return Ok(None);
        };
        self.tell("announcements");
        row.json(0).map(Some)
    }
}

impl Store {
    /// Announcements that wait and are due, the longest waiting first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn due_announcements(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueAnnouncement>, StoreError> {
        let sql = "select id, body, attempts from announcements where state = 'waiting' and at <= $1
                   order by at, id limit $2";
        let rows = self.fetch(sql, args![now, limit]).await?;
        let due = |row: &Row| {
            let attempts = u32::try_from(row.int(2)?).unwrap_or(u32::MAX);
            Ok(DueAnnouncement { id: row.parse(0)?, says: row.json(1)?, attempts })
        };
        rows.iter().map(due).collect()
    }

    /// Takes an announcement for its next attempt, which brings the token with this hash: nobody else gets it before
    /// `until`. False if somebody else has it, or it is not needed any more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim_announcement(
        &self,
        due: &DueAnnouncement,
        token_hash: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let id = due.id.to_string();
        let sql = "update announcements set attempts = attempts + 1, at = $4
                   where id = $1 and attempts = $2 and state = 'waiting' and at <= $3";
        if tx.execute(sql, args![id.as_str(), due.attempts, now, until]).await? != 1 {
            return Ok(false);
        }
        // Known before it is sent: the answer may be quicker than what comes after.
        let sql = "insert into gate_tokens (hash, announcement, made_at) values ($1,$2,$3)";
        tx.execute(sql, args![token_hash, id, now]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Notes how attempt `attempt` ended.
    ///
    /// # Errors
    /// The database failed.
    pub async fn announcement_ended(
        &self,
        id: AnnouncementId,
        attempt: u32,
        end: &AttemptEnd,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let id = id.to_string();
        let (sql, bound) = match end {
            AttemptEnd::Sent => (
                "update announcements set state = 'sent', at = $2, error = null where id = $1 and state <> 'sent'",
                args![id, now],
            ),
            AttemptEnd::Again { at, why, .. } => (
                "update announcements set at = $3, error = $4
                 where id = $1 and attempts = $2 and state = 'waiting'",
                args![id, attempt, *at, why.as_str()],
            ),
            AttemptEnd::SetAside(why) => (
                "update announcements set state = 'set_aside', at = $3, error = $4
                 where id = $1 and attempts = $2 and state = 'waiting'",
                args![id, attempt, now, why.as_str()],
            ),
        };
        self.execute(sql, bound).await.map(drop)
    }

    /// Closes an announcement that waits and that nobody needs any more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn close_announcement(
        &self,
        id: AnnouncementId,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "update announcements set state = 'closed', at = $2, error = $3
                   where id = $1 and state = 'waiting'";
        self.execute(sql, args![id.to_string(), now, why]).await.map(drop)
    }

    /// Whether a gate asks people now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn gate_asks(&self, rollout: ProcessId, wave: usize) -> Result<bool, StoreError> {
        let sql = "select 1 from gates where rollout = $1 and wave = $2 and state = 'asking'";
        Ok(self.fetch_one(sql, args![rollout.to_string(), wave]).await?.is_some())
    }

    /// What a token answers.
    ///
    /// # Errors
    /// The database failed.
    pub async fn answer_to(&self, token_hash: &str) -> Result<Option<AnswerTo>, StoreError> {
        let sql = "select a.id, a.body, a.superseded, a.answered_at from gate_tokens t
                   join announcements a on a.id = t.announcement where t.hash = $1";
        let Some(row) = self.fetch_one(sql, args![token_hash]).await? else { return Ok(None) };
        let says: Announcement = row.json(1)?;
        let groups = says.asked();
        Ok(Some(AnswerTo {
            id: row.parse(0)?,
            rollout: says.rollout,
            wave: says.wave,
            plan_hash: says.plan_hash,
            groups,
            superseded: row.int(2)? != 0,
            answered_at: row.at_or_null(3)?,
        }))
    }

    /// The last announcements, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn announcements(&self, limit: u32) -> Result<Vec<SentAnnouncement>, StoreError> {
        let sql = "select id, body, created_at, state, at, attempts, error, answered_at from announcements
                   order by created_at desc, id desc limit $1";
        self.fetch(sql, args![limit]).await?.iter().map(sent).collect()
    }
}

fn sent(row: &Row) -> Result<SentAnnouncement, StoreError> {
    let at = row.at(4)?;
    Ok(SentAnnouncement {
        id: row.parse(0)?,
        says: row.json(1)?,
        created_at: row.at(2)?,
        state: match &*row.text(3)? {
            "waiting" => AnnouncementState::Waiting(at),
            "sent" => AnnouncementState::Sent(at),
            "set_aside" => AnnouncementState::SetAside(at),
            "closed" => AnnouncementState::Closed(at),
            other => return Err(StoreError::damaged(format!("an announcement's state “{other}”"))),
        },
        attempts: u32::try_from(row.int(5)?).unwrap_or(u32::MAX),
        error: row.text_or_null(6)?,
        answered_at: row.at_or_null(7)?,
    })
}
