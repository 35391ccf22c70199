//! Parsers meet arbitrary text: they never panic, what they accept is within bounds, what they refuse names a remedy.
#![allow(missing_docs, clippy::unwrap_used)]

use domain::parameter::{Kind, Parameter, Value, parse_overrides};
use domain::release::parse_version;
use domain::selector::Selector;
use domain::strategy::Amount;
use domain::{DisplayName, Email, Invalid, Region, Slug, Span, Tag};
use proptest::prelude::*;
use std::fmt::Display;
use std::str::FromStr;

fn round<T: FromStr<Err = Invalid> + Display + PartialEq + std::fmt::Debug>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string().parse::<T>().unwrap(), value, "{text:?}"),
        Err(invalid) => {
            assert!(!invalid.problems.is_empty());
            assert!(invalid.problems.iter().all(|p| p.message.len() > 10), "{invalid:?}");
        }
    }
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z0-9:,%. @_-]{0,60}",
        "(tier|region|tag|tenant|x):[a-z,-]{0,20}( [0-9]{1,3}%)?",
        "[0-9]{1,25} ?(s|min|h|d|%|x)?",
        "v?[0-9]{1,20}\\.[0-9]{1,3}\\.[0-9]{1,3}(-[a-z.0-9]{0,9})?",
        "[a-z.]{1,20}@[a-z.-]{1,30}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_breaks_a_parser(text in texts()) {
        round::<Slug>(&text);
        round::<Email>(&text);
        round::<DisplayName>(&text);
        round::<Region>(&text);
        round::<Tag>(&text);
        round::<Amount>(&text);
        round::<Selector>(&text);
        let _ = parse_version(&text).map(|v| assert_eq!(parse_version(&v.to_string()).unwrap(), v));
        if let Ok(span) = text.parse::<Span>() {
            prop_assert!(span >= Span::ZERO);
        }
        if let Ok(slug) = text.parse::<Slug>() {
            prop_assert!((2..=40).contains(&slug.as_str().len()));
        }
        if let Ok(email) = text.parse::<Email>() {
            prop_assert!(email.as_str().len() <= 254 && email.as_str().contains('@'));
        }
        if let Some(slug) = Slug::suggest(&text) {
            prop_assert!(slug.as_str().parse::<Slug>().is_ok());
        }
    }

    #[test]
    fn no_value_passes_its_limits(text in texts(), min in -100..100_i64, width in 0..1000_i64) {
        let kinds = [
            Kind::Integer { min, max: min + width, unit: "MiB".into() },
            Kind::Boolean,
            Kind::Choice { options: vec!["red".into(), "blue".into()] },
            Kind::Text { most: 10 },
        ];
        for kind in kinds {
            if let Ok(value) = kind.parse(&text) {
                prop_assert!(kind.check(&value).is_ok());
                if let Value::Integer(n) = value {
                    prop_assert!((min..=min + width).contains(&n));
                }
            }
        }
        let parameter = Parameter { name: "n".into(), component: String::new(), kind: Kind::Boolean, value: Value::Boolean(true) };
        let parsed = parse_overrides(&[parameter], [(text.as_str(), "on")]);
        prop_assert_eq!(parsed.is_ok(), text == "n");
    }
}

#[test]
fn spans_read_what_they_write() {
    for span in [
        Span::ZERO,
        Span::seconds(20),
        Span::minutes(10),
        Span::minutes(90),
        Span::days(7),
        Span::seconds(125),
    ] {
        assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
    }
}

#[test]
fn a_selector_says_what_it_does_not_understand() {
    let refused = "tier:gold 200% nonsense".parse::<Selector>().unwrap_err();
    assert_eq!(refused.problems.len(), 2);
    assert!(refused.sentence().contains("200%") && refused.sentence().contains("nonsense"));
    assert!("everyone".parse::<Selector>().unwrap().is_everyone());
}
