//! What windows say of stacks that are behind, on their own rows: so that every list, count and filter of the fleet says
//! the same, and nobody is left behind under a reason that is over (DESIGN §3, laws 1 and 8).

use crate::convergence::BEHIND;
use crate::records::erased::Json as _;
use crate::sql::{Arg, args};
use crate::{Store, StoreError, Tx};
use domain::{Reason, StackId};

/// A stack that is behind only because its time had not come, or for no reason of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// Which.
    pub stack: StackId,
    /// Why, as its row says.
    pub reason: Option<Reason>,
}

impl Store {
    /// Stacks that are behind and whose rows name a freeze or a window, or nothing else that keeps them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn waiting_stacks(&self) -> Result<Vec<Waiting>, StoreError> {
        let sql = format!(
            "select s.id, s.left_out from stacks s
             where {BEHIND} and s.operation is null and s.down is null
               and (s.left_code in ('frozen', 'outside_window', 'missed')
                    or s.left_code is null and s.status = 'live' and s.reason is null)"
        );
        let rows = self.fetch(&sql, vec![]).await?;
        rows.iter().map(|r| Ok(Waiting { stack: r.parse(0)?, reason: r.json_or_null(1)? })).collect()
    }
}

impl Tx {
    /// Notes why these stacks are behind now; one that an operation works on by now keeps what it says.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_waiting(&mut self, stacks: &[StackId], reason: &Reason) -> Result<(), StoreError> {
        for chunk in stacks.chunks(200) {
            let list: Vec<_> = (0..chunk.len()).map(|n| format!("${}", n + 3)).collect();
            let sql = format!(
                "update stacks as s set left_out = $1, left_code = $2
                 where {BEHIND} and s.operation is null and s.id in ({})",
                list.join(", ")
            );
            let mut bound = args![reason.json(), reason.code.to_string()];
            bound.extend(chunk.iter().map(|id| Arg::from(id.to_string())));
            self.execute(&sql, bound).await?;
        }
        Ok(())
    }
}
