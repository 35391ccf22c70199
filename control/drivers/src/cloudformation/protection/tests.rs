#![allow(clippy::unwrap_used)]
use super::*;
use domain::{Configuration, Digest, ReleaseId, TierId};
use uuid::Uuid;

fn goal(model: &str, parameters: &[(&str, Parameter)]) -> Goal {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let configuration = Configuration {
        release: ReleaseId(Uuid::nil()),
        version: "1.4.0".parse().unwrap(),
        tier: TierId(Uuid::nil()),
        tier_revision: 1,
        parameters: parameters.collect(),
        digest: Digest("d".into()),
    };
    Goal {
        sign_in: crate::SignIn::default(),
        configuration,
        artifact: json!(null),
        tier: "gold".into(),
        model: model.into(),
        components: vec![],
        tenants: vec![],
    }
}

#[test]
fn it_is_for_the_models_that_the_release_names() {
    let usual = Protection::parse(&json!({ "termination": true })).unwrap();
    assert_eq!(usual.wanted(&goal("silo", &[])).unwrap().termination, Some(true));
    assert_eq!(usual.wanted(&goal("pool", &[])).unwrap(), Wanted::default());
    let pools = Protection::parse(&json!({ "termination": true, "models": ["pool", "hybrid"] })).unwrap();
    assert_eq!(pools.wanted(&goal("silo", &[])).unwrap(), Wanted::default());
    assert_eq!(pools.wanted(&goal("hybrid", &[])).unwrap().termination, Some(true));
}

#[test]
fn a_tier_asks_for_it_with_a_switch() {
    let switch = Protection::parse(&json!({ "termination": "protected" })).unwrap();
    for on in [true, false] {
        let goal = goal("silo", &[("protected", Parameter::Boolean(on))]);
        assert_eq!(switch.wanted(&goal).unwrap().termination, Some(on));
    }
    let missing = switch.wanted(&goal("silo", &[])).unwrap_err();
    assert_eq!(missing.code, "parameter_missing");
    assert!(
        missing.sentence.contains("the switch protected, which the tier gold does not have"),
        "{missing}"
    );
    let wrong = switch.wanted(&goal("silo", &[("protected", Parameter::Integer(1))])).unwrap_err();
    assert!(wrong.sentence.contains("has as something else"), "{wrong}");
    assert_eq!(switch.wanted(&goal("pool", &[])).unwrap(), Wanted::default());
}

#[test]
fn a_policy_is_a_document_or_none_or_left_as_it_is() {
    let of = |value: Value| Protection::parse(&value).unwrap().wanted(&goal("silo", &[])).unwrap().policy;
    let deny = json!({ "Statement": [{ "Effect": "Deny", "Action": "Update:Replace", "Principal": "*",
                                       "Resource": "LogicalResourceId/Table" }] });
    assert_eq!(of(json!({ "policy": deny })), Some(deny.to_string()));
    assert!(of(json!({ "policy": null })).unwrap().contains("\"Allow\""));
    assert_eq!(of(json!({})), None);
}

#[test]
fn the_tag_says_what_was_asked_for() {
    for termination in [Some(true), Some(false), None] {
        let tag = Wanted { termination, policy: None }.tag();
        assert_eq!(read(tag.as_ref().map(|(_, text)| text.as_str())), termination);
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (value, told) in [
        (json!(true), "must be an object"),
        (json!({ "colour": 1 }), "colour: is not known"),
        (json!({ "termination": 1 }), "termination: must be true, false"),
        (json!({ "models": ["tent"] }), "models: must be a list of some of pool, silo, hybrid"),
        (json!({ "policy": {} }), "policy: must have a list Statement"),
        (
            json!({ "policy": { "Statement": [{ "Effect": "Perhaps" }] } }),
            "policy: must have a list Statement",
        ),
        (json!({ "policy": "deny" }), "policy: must be a stack policy"),
        (json!({ "policy": { "Statement": [{ "Effect": "Deny", "Sid": "x".repeat(17_000) }] } }), "too long"),
    ] {
        let wrong = Protection::parse(&value).unwrap_err().sentence();
        assert!(wrong.contains(told), "{value}: {wrong}");
    }
}
