//! A tier and releases to plan with.

use domain::release::{DriverKind, Release};
use domain::tier::{DeploymentModel, SignupPolicy, Tier, TierSpec};
use domain::{ReleaseId, TierId, Timestamp};
use uuid::Uuid;

/// Each tenant has a stack of its own; nothing can be set.
pub fn tier() -> Tier {
    Tier {
        id: TierId(Uuid::from_u128(7)),
        key: "basic".parse().unwrap(),
        revision: 1,
        spec: TierSpec {
            name: "Basic".parse().unwrap(),
            description: String::new(),
            price: String::new(),
            model: DeploymentModel::Silo,
            signup: SignupPolicy::Closed,
            regions: vec!["local".parse().unwrap()],
            pool_capacity: 10,
            identity: domain::identity::Identity::Invitation,
            own_windows: None,
            parameters: vec![],
        },
        saved_at: Timestamp(0),
        saved_by: String::new(),
    }
}

/// A release with something for every driver that is there.
pub fn release(n: u128, version: &str) -> Release {
    let artifact = serde_json::json!(version);
    Release {
        id: ReleaseId(Uuid::from_u128(n)),
        version: version.parse().unwrap(),
        artifacts: [(DriverKind::Local, artifact.clone()), (DriverKind::Cloudformation, artifact)].into(),
        commit: String::new(),
        notes: String::new(),
        registered_at: Timestamp(0),
        registered_by: String::new(),
        bad: None,
    }
}
