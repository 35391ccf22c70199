//! What differs between two revisions of a tier, field by field: nothing that a revision fixes is left out.

use domain::parameter::{Kind, Parameter};
use domain::tier::{DeploymentModel, TierSpec};

/// One field that differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The field, as the editor labels it.
    pub what: String,
    /// Before; empty if it was not there.
    pub was: String,
    /// After; empty if it is gone.
    pub is: String,
}

/// Everything that differs, in the order of the editor.
#[must_use]
pub fn differences(before: &TierSpec, after: &TierSpec) -> Vec<Difference> {
    let mut found = vec![];
    let mut note = |what: &str, was: String, is: String| {
        if was != is {
            found.push(Difference { what: what.to_owned(), was, is });
        }
    };
    note("Name", before.name.to_string(), after.name.to_string());
    note("Description", before.description.clone(), after.description.clone());
    note("Price", before.price.clone(), after.price.clone());
    note("Deployment model", before.model.word().into(), after.model.word().into());
    let (was, is) = (components(&before.model), components(&after.model));
    note("Shared components", was.0, is.0);
    note("Dedicated components", was.1, is.1);
    note("Sign-up", words(before.signup.word()), words(after.signup.word()));
    let regions =
        |spec: &TierSpec| spec.regions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    note("Regions", regions(before), regions(after));
    note("Tenants in one pool stack", before.pool_capacity.to_string(), after.pool_capacity.to_string());
    let ids = |spec: &TierSpec| {
        let (user_pool, app_client) = spec.identity.places();
        [user_pool, app_client].map(|l| l.map(ToString::to_string).unwrap_or_default())
    };
    note("Sign-in", words(before.identity.kind().word()), words(after.identity.kind().word()));
    let ([pool_was, client_was], [pool_is, client_is]) = (ids(before), ids(after));
    note("User pool", pool_was, pool_is);
    note("App client", client_was, client_is);
    let own = |spec: &TierSpec| spec.own_windows.map(|own| own.words()).unwrap_or_default();
    note("Windows that tenants choose", own(before), own(after));
    for p in &after.parameters {
        let was = before.parameters.iter().find(|q| q.name == p.name);
        note(&p.name, was.map(value).unwrap_or_default(), value(p));
        if let Some(was) = was {
            note(&format!("{}, limits", p.name), limits(&was.kind), limits(&p.kind));
            note(&format!("{}, component", p.name), was.component.clone(), p.component.clone());
        }
    }
    for p in before.parameters.iter().filter(|p| after.parameters.iter().all(|q| q.name != p.name)) {
        note(&p.name, value(p), String::new());
    }
    found
}

fn components(model: &DeploymentModel) -> (String, String) {
    match model {
        DeploymentModel::Hybrid { shared, dedicated } => (shared.join(", "), dedicated.join(", ")),
        DeploymentModel::Pool | DeploymentModel::Silo => (String::new(), String::new()),
    }
}

fn value(p: &Parameter) -> String {
    match &p.kind {
        Kind::Integer { unit, .. } if !unit.is_empty() => format!("{} {unit}", p.value),
        // An empty text is a value too; nothing at all would read as "not there".
        Kind::Text { .. } => format!("“{}”", p.value),
        Kind::Integer { .. } | Kind::Boolean | Kind::Choice { .. } => p.value.to_string(),
    }
}

fn limits(kind: &Kind) -> String {
    match kind {
        Kind::Integer { min, max, .. } => format!("{min} to {max}"),
        Kind::Boolean => "on or off".to_owned(),
        Kind::Choice { options } => options.join(", "),
        Kind::Text { most } => format!("at most {most} characters"),
    }
}

fn words(text: &str) -> String {
    text.replace('_', " ")
}
