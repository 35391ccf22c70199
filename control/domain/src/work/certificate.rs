//! What can be shown of a tenant that has gone: who asked for it, what was taken away, and what proved it.

use super::{Offboarding, State};
use crate::{ProcessId, Region, Slug, TenantId, Timestamp};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// One thing that was done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Evidence {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
    /// Which step.
    pub step: String,
    /// What came of it, one sentence.
    pub outcome: String,
    /// Where what was made can be found.
    pub artifact: Option<String>,
}

/// A tenant's off-boarding, from the request to its end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Certificate {
    /// Who has gone.
    pub tenant: TenantId,
    /// Their subdomain.
    pub slug: Slug,
    /// What people called them.
    pub name: String,
    /// Where they lived.
    pub region: Region,
    /// The process whose log this is read from.
    pub process: ProcessId,
    /// Who asked for it.
    pub requested_by: String,
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub requested_at: Timestamp,
    /// Until when it could be called off.
    #[serde(serialize_with = "rfc3339")]
    pub grace_until: Timestamp,
    /// When nothing was left.
    #[serde(serialize_with = "rfc3339")]
    pub completed_at: Timestamp,
    /// Their own stack.
    pub own_stack: Option<String>,
    /// The shared stacks that served them.
    pub shared_stacks: Vec<String>,
    /// What was done, in order.
    pub evidence: Vec<Evidence>,
    /// SHA-256 in hex over this certificate as JSON in this order, without white space and with this field empty.
    pub digest: String,
}

fn rfc3339<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&at.rfc3339())
}

impl Offboarding {
    /// The certificate; `None` while it has not ended, or where the log is too old to tell.
    #[must_use]
    pub fn certificate(&self) -> Option<Certificate> {
        let State::Completed(completed_at) = self.state else { return None };
        let (tenant, leaving) = self.leaving()?;
        let mut certificate = Certificate {
            tenant,
            slug: leaving.slug.clone(),
            name: leaving.name.clone(),
            region: leaving.region.clone(),
            process: self.id,
            requested_by: leaving.by.clone(),
            requested_at: self.began_at,
            grace_until: self.not_before,
            completed_at,
            own_stack: self.piece.as_ref().map(|piece| piece.name.clone()),
            shared_stacks: leaving.shared.clone(),
            evidence: self.evidence.clone(),
            digest: String::new(),
        };
        let text = serde_json::to_string(&certificate).unwrap_or_default();
        certificate.digest = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Some(certificate)
    }
}
