//! Lists by the page, each behind a cursor: the last item's place in the order.

use crate::plans::{RELEASE, release};
use crate::sql::args;
use crate::{Store, StoreError};
use domain::release::Release;

impl Store {
    /// Releases, newest registration first, after the one with the version `after`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn releases_after(&self, after: Option<&str>, limit: u32) -> Result<Vec<Release>, StoreError> {
        let sql = format!(
            "{RELEASE} where $1 is null or (registered_at, id) < (select registered_at, id from releases where version = $1)
             order by registered_at desc, id desc limit $2"
        );
        let bound = args![after.map(str::to_owned), limit];
        self.fetch(&sql, bound).await?.iter().map(release).collect()
    }
}
