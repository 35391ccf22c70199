//! The builds of the sample: good ones that look different, a slow one, and two that are broken.

use serde::{Deserialize, Serialize};

/// A build's weakness.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It ends with an error before it answers.
    FailsAtStart,
    /// It starts well, then fails most requests.
    FailsUnderUse,
}

/// A build: what the artifact `{"app":"orders","build":"1.1.0"}` names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Build {
    /// Its version.
    pub version: String,
    /// What changed.
    pub notes: String,
    /// The colour of its pages.
    pub colour: String,
    /// Seconds before it answers.
    pub start_seconds: u64,
    /// Whether it sums orders by customer.
    pub totals: bool,
    /// Its weakness.
    pub fault: Option<Fault>,
}

impl Build {
    /// The build that an artifact names.
    ///
    /// # Errors
    /// The field that is wrong, and the remedy, as a pair.
    pub fn parse(artifact: &serde_json::Value) -> Result<Self, (String, String)> {
        let known = || catalogue().iter().map(|b| b.version.clone()).collect::<Vec<_>>().join(", ");
        let Some(object) = artifact.as_object() else {
            return Err((String::new(), r#"must be an object like {"app":"orders","build":"1.0.0"}"#.into()));
        };
        if let Some(extra) = object.keys().find(|k| !["app", "build"].contains(&k.as_str())) {
            return Err((extra.clone(), "is not understood; leave it out".into()));
        }
        if object.get("app").and_then(|v| v.as_str()) != Some("orders") {
            return Err(("app".into(), "must be orders, the bundled sample application".into()));
        }
        let Some(build) = object.get("build").and_then(|v| v.as_str()) else {
            return Err(("build".into(), format!("is missing; name one of {}", known())));
        };
        catalogue()
            .into_iter()
            .find(|b| b.version == build)
            .ok_or_else(|| ("build".into(), format!("“{build}” is not bundled; name one of {}", known())))
    }
}

/// All bundled builds.
#[must_use]
pub fn catalogue() -> Vec<Build> {
    let build = |version: &str, colour: &str, notes: &str| Build {
        version: version.into(),
        notes: notes.into(),
        colour: colour.into(),
        start_seconds: 0,
        totals: version != "1.0.0",
        fault: None,
    };
    vec![
        build("1.0.0", "#0f766e", "The first release: a list of orders."),
        build("1.1.0", "#1d4ed8", "Totals for each customer, and a new look."),
        Build {
            start_seconds: 6,
            ..build("1.2.0", "#7c3aed", "Warms its caches first, so it takes some seconds to start.")
        },
        Build {
            fault: Some(Fault::FailsAtStart),
            ..build("1.3.0", "#b91c1c", "Broken: ends with an error at its start.")
        },
        Build {
            fault: Some(Fault::FailsUnderUse),
            ..build("1.4.0", "#c2410c", "Broken: starts well, then fails most requests.")
        },
        build("1.5.0", "#be185d", "Good again, with reports for tiers that switch them on."),
    ]
}
