//! Windows: their rules against dates worked out by another implementation, the changes of the clocks, and what makes
//! a stack closed.
#![allow(missing_docs, clippy::unwrap_used)]

use domain::hold::{Hold, HoldSpec, check_end};
use domain::window::{
    Calendar, HORIZON, LocalTime, OwnWindows, Rule, Scope, Whereabouts, Window, WindowKind, WindowSpec, Zone,
};
use domain::{HoldId, Span, StackId, TenantId, Timestamp, WindowId};
use proptest::prelude::*;
use uuid::Uuid;

/// Rule, begin, and its first seven times, from an independent implementation of RFC 5545.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "FREQ=DAILY",
        "2026-01-30T22:00",
        "2026-01-30T22:00 2026-01-31T22:00 2026-02-01T22:00 2026-02-02T22:00 2026-02-03T22:00 2026-02-04T22:00 2026-02-05T22:00",
    ),
    (
        "FREQ=DAILY;INTERVAL=3;COUNT=4",
        "2026-02-26T01:30",
        "2026-02-26T01:30 2026-03-01T01:30 2026-03-04T01:30 2026-03-07T01:30",
    ),
    (
        "FREQ=DAILY;BYMONTH=1,12;BYDAY=SA,SU",
        "2026-11-28T08:00",
        "2026-12-05T08:00 2026-12-06T08:00 2026-12-12T08:00 2026-12-13T08:00 2026-12-19T08:00 2026-12-20T08:00 2026-12-26T08:00",
    ),
    (
        "FREQ=DAILY;BYHOUR=2,14",
        "2026-03-01T14:15",
        "2026-03-01T14:15 2026-03-02T02:15 2026-03-02T14:15 2026-03-03T02:15 2026-03-03T14:15 2026-03-04T02:15 2026-03-04T14:15",
    ),
    (
        "FREQ=WEEKLY",
        "2026-03-04T03:00",
        "2026-03-04T03:00 2026-03-11T03:00 2026-03-18T03:00 2026-03-25T03:00 2026-04-01T03:00 2026-04-08T03:00 2026-04-15T03:00",
    ),
    (
        "FREQ=WEEKLY;BYDAY=MO,WE,SU",
        "2026-03-04T03:00",
        "2026-03-04T03:00 2026-03-08T03:00 2026-03-09T03:00 2026-03-11T03:00 2026-03-15T03:00 2026-03-16T03:00 2026-03-18T03:00",
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=MO",
        "1997-08-05T09:00",
        "1997-08-05T09:00 1997-08-10T09:00 1997-08-19T09:00 1997-08-24T09:00 1997-09-02T09:00 1997-09-07T09:00 1997-09-16T09:00",
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU",
        "1997-08-05T09:00",
        "1997-08-05T09:00 1997-08-17T09:00 1997-08-19T09:00 1997-08-31T09:00 1997-09-02T09:00 1997-09-14T09:00 1997-09-16T09:00",
    ),
    ("FREQ=WEEKLY;UNTIL=20260315;BYDAY=SU", "2026-03-01T12:00", "2026-03-01T12:00 2026-03-08T12:00"),
    (
        "FREQ=MONTHLY",
        "2026-01-31T20:00",
        "2026-01-31T20:00 2026-03-31T20:00 2026-05-31T20:00 2026-07-31T20:00 2026-08-31T20:00 2026-10-31T20:00 2026-12-31T20:00",
    ),
    (
        "FREQ=MONTHLY;BYDAY=2SU",
        "2026-01-20T02:00",
        "2026-02-08T02:00 2026-03-08T02:00 2026-04-12T02:00 2026-05-10T02:00 2026-06-14T02:00 2026-07-12T02:00 2026-08-09T02:00",
    ),
    (
        "FREQ=MONTHLY;BYDAY=-1FR,1MO",
        "2026-01-01T02:00",
        "2026-01-05T02:00 2026-01-30T02:00 2026-02-02T02:00 2026-02-27T02:00 2026-03-02T02:00 2026-03-27T02:00 2026-04-06T02:00",
    ),
    (
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "2026-01-15T02:00",
        "2026-01-31T02:00 2026-02-28T02:00 2026-03-31T02:00 2026-04-30T02:00 2026-05-31T02:00 2026-06-30T02:00 2026-07-31T02:00",
    ),
    (
        "FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR",
        "2026-01-01T02:00",
        "2026-02-13T02:00 2026-03-13T02:00 2026-11-13T02:00 2027-08-13T02:00 2028-10-13T02:00 2029-04-13T02:00 2029-07-13T02:00",
    ),
    (
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "2026-01-01T18:00",
        "2026-01-30T18:00 2026-02-27T18:00 2026-03-31T18:00 2026-04-30T18:00 2026-05-29T18:00 2026-06-30T18:00 2026-07-31T18:00",
    ),
    (
        "FREQ=MONTHLY;INTERVAL=3;BYDAY=SA;BYSETPOS=1,-1",
        "2026-02-01T18:00",
        "2026-02-07T18:00 2026-02-28T18:00 2026-05-02T18:00 2026-05-30T18:00 2026-08-01T18:00 2026-08-29T18:00 2026-11-07T18:00",
    ),
    (
        "FREQ=YEARLY",
        "2024-02-29T00:00",
        "2024-02-29T00:00 2028-02-29T00:00 2032-02-29T00:00 2036-02-29T00:00 2040-02-29T00:00 2044-02-29T00:00 2048-02-29T00:00",
    ),
    (
        "FREQ=YEARLY;BYMONTH=6,12;BYMONTHDAY=24,25",
        "2026-07-01T00:00",
        "2026-12-24T00:00 2026-12-25T00:00 2027-06-24T00:00 2027-06-25T00:00 2027-12-24T00:00 2027-12-25T00:00 2028-06-24T00:00",
    ),
    (
        "FREQ=YEARLY;BYDAY=20MO",
        "1997-05-19T09:00",
        "1997-05-19T09:00 1998-05-18T09:00 1999-05-17T09:00 2000-05-15T09:00 2001-05-14T09:00 2002-05-20T09:00 2003-05-19T09:00",
    ),
    (
        "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
        "2026-01-01T00:00",
        "2026-11-26T00:00 2027-11-25T00:00 2028-11-23T00:00 2029-11-22T00:00 2030-11-28T00:00 2031-11-27T00:00 2032-11-25T00:00",
    ),
    (
        "FREQ=YEARLY;BYMONTH=11",
        "2026-01-17T00:00",
        "2026-11-17T00:00 2027-11-17T00:00 2028-11-17T00:00 2029-11-17T00:00 2030-11-17T00:00 2031-11-17T00:00 2032-11-17T00:00",
    ),
    (
        "FREQ=YEARLY;BYDAY=-1SU",
        "2026-01-01T00:00",
        "2026-12-27T00:00 2027-12-26T00:00 2028-12-31T00:00 2029-12-30T00:00 2030-12-29T00:00 2031-12-28T00:00 2032-12-26T00:00",
    ),
    (
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        "1996-11-05T09:00",
        "1996-11-05T09:00 2000-11-07T09:00 2004-11-02T09:00 2008-11-04T09:00 2012-11-06T09:00 2016-11-08T09:00 2020-11-03T09:00",
    ),
    (
        "FREQ=YEARLY;BYMONTHDAY=31",
        "2026-01-01T05:00",
        "2026-01-31T05:00 2026-03-31T05:00 2026-05-31T05:00 2026-07-31T05:00 2026-08-31T05:00 2026-10-31T05:00 2026-12-31T05:00",
    ),
    (
        "FREQ=MONTHLY;BYMONTHDAY=31;COUNT=3",
        "2026-01-31T05:00",
        "2026-01-31T05:00 2026-03-31T05:00 2026-05-31T05:00",
    ),
    (
        "FREQ=MONTHLY;INTERVAL=18;BYMONTHDAY=10,11",
        "1997-09-10T09:00",
        "1997-09-10T09:00 1997-09-11T09:00 1999-03-10T09:00 1999-03-11T09:00 2000-09-10T09:00 2000-09-11T09:00 2002-03-10T09:00",
    ),
    (
        "FREQ=WEEKLY;BYMONTH=3;BYDAY=TH",
        "1997-03-13T09:00",
        "1997-03-13T09:00 1997-03-20T09:00 1997-03-27T09:00 1998-03-05T09:00 1998-03-12T09:00 1998-03-19T09:00 1998-03-26T09:00",
    ),
    (
        "FREQ=YEARLY;BYDAY=MO;BYSETPOS=2,-2",
        "2026-01-01T09:00",
        "2026-01-12T09:00 2026-12-21T09:00 2027-01-11T09:00 2027-12-20T09:00 2028-01-10T09:00 2028-12-18T09:00 2029-01-08T09:00",
    ),
];

fn spec(kind: WindowKind, scope: &str, begins: &str, hours: i64, rule: &str, zone: &str) -> WindowSpec {
    WindowSpec {
        name: "Night".parse().unwrap(),
        kind,
        scope: scope.parse().unwrap(),
        zone: zone.parse().unwrap(),
        begins: begins.parse().unwrap(),
        length: Span::hours(hours),
        rule: (!rule.is_empty()).then(|| rule.parse().unwrap()),
        reason: "people sleep".into(),
        owner: "ana@example.com".into(),
        enabled: true,
    }
}

fn freeze(begins: &str, hours: i64, rule: &str) -> WindowSpec {
    spec(WindowKind::Freeze, "everyone", begins, hours, rule, "UTC")
}

fn maintenance(begins: &str, hours: i64, rule: &str) -> WindowSpec {
    spec(WindowKind::Maintenance, "everyone", begins, hours, rule, "UTC")
}

fn at(text: &str) -> Timestamp {
    text.parse::<LocalTime>().unwrap().in_zone(&Zone::utc())
}

fn window(n: u128, spec: WindowSpec) -> Window {
    Window { id: WindowId(Uuid::from_u128(n)), spec, saved_at: Timestamp(0), saved_by: "ana".into() }
}

fn calendar(specs: Vec<WindowSpec>) -> Calendar {
    Calendar::new(specs.into_iter().enumerate().map(|(n, spec)| window(n as u128, spec)).collect(), vec![])
}

fn stack(owner: Option<&str>) -> Whereabouts {
    Whereabouts {
        stack: StackId(Uuid::from_u128(7)),
        tier: "premium".parse().unwrap(),
        region: "eu-west-1".parse().unwrap(),
        owner: owner.map(|slug| slug.parse().unwrap()),
    }
}

fn starts(spec: &WindowSpec, from: Timestamp, n: usize) -> Vec<String> {
    let far = from + Span::days(20_000);
    let spans = spec.spans(from, far, n);
    spans.into_iter().map(|(begin, _)| LocalTime::of(&spec.zone, begin).to_string()).collect()
}

#[test]
fn rules_begin_when_others_say_that_they_do() {
    for (rule, begins, expected) in KNOWN {
        let spec = maintenance(begins, 1, rule);
        let expected: Vec<_> = expected.split(' ').collect();
        assert_eq!(starts(&spec, at(begins), expected.len()), expected, "{rule}");
        let again: Rule = rule.parse::<Rule>().unwrap().to_string().parse().unwrap();
        assert_eq!(Some(again), spec.rule, "{rule} is read as it is written");
        // Looked at from its middle it goes on as it did from its begin.
        let middle = expected.len() / 2;
        assert_eq!(
            starts(&spec, at(expected[middle]), expected.len() - middle),
            expected[middle..],
            "{rule}"
        );
    }
}

#[test]
fn a_time_that_does_not_exist_comes_an_hour_later_and_one_that_comes_twice_comes_first() {
    let night = |zone| spec(WindowKind::Maintenance, "everyone", "2026-03-27T02:30", 1, "FREQ=DAILY", zone);
    // On 29 March 2026 clocks in Berlin go from 02:00 to 03:00.
    let berlin = night("Europe/Berlin");
    let spans = berlin.spans(at("2026-03-27T00:00"), at("2026-03-31T00:00"), 9);
    let begins: Vec<_> = spans.iter().map(|(begin, _)| *begin).collect();
    let expected = ["2026-03-27T01:30", "2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"];
    assert_eq!(
        begins,
        expected.map(at),
        "02:30 does not exist on the 29th and is 03:30, an instant as every day"
    );
    assert!(spans.iter().all(|(begin, end)| *end - *begin == Span::hours(1)), "each lasts its hour");
    // On 25 October 2026 they go back from 03:00 to 02:00: 02:30 comes twice.
    let spans = berlin.spans(at("2026-10-24T12:00"), at("2026-10-26T12:00"), 9);
    let begins: Vec<_> = spans.iter().map(|(begin, _)| *begin).collect();
    assert_eq!(begins, ["2026-10-25T00:30", "2026-10-26T01:30"].map(at), "once, at the first of the two");
    // Half an hour is a change of the clocks, too, and the other half of the world has winter then.
    let howe = night("Australia/Lord_Howe").spans(at("2026-10-02T00:00"), at("2026-10-05T00:00"), 9);
    let begins: Vec<_> = howe.iter().map(|(begin, _)| *begin).collect();
    assert_eq!(begins, ["2026-10-02T16:00", "2026-10-03T15:30", "2026-10-04T15:30"].map(at));
    // A day without any change has its wall clock.
    let york = night("America/New_York");
    assert_eq!(starts(&york, at("2026-07-01T12:00"), 1), ["2026-07-02T02:30"]);
}

#[test]
fn rules_that_nobody_can_mean_are_refused_with_the_remedy() {
    for (rule, says) in [
        ("", "FREQ"),
        ("FREQ=HOURLY", "BYHOUR"),
        ("FREQ=MINUTELY;INTERVAL=90", "too often"),
        ("FREQ=DAILY;BYMINUTE=0,30", "hourly"),
        ("FREQ=WEEKLY;BYDAY=2SU", "MONTHLY"),
        ("FREQ=WEEKLY;BYDAY=XX", "weekday"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101", "keep one"),
        ("FREQ=DAILY;COUNT=100000", "1 to 1000"),
        ("FREQ=DAILY;INTERVAL=0", "1 to 1000"),
        ("FREQ=DAILY;FREQ=DAILY", "twice"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "1 to 31"),
        ("FREQ=DAILY;UNTIL=2027", "UNTIL"),
        ("FREQ=DAILY;UNTIL=20270230", "UNTIL"),
        ("FREQ=DAILY;NONSENSE=1", "RFC 5545"),
        ("FREQ=DAILY;\u{e4}", "understood"),
        ("FREQ=WEEKLY;BYDAY=\u{20ac}", "weekday"),
        ("FREQ=DAILY;BYSETPOS=1", "BYDAY"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1;BYHOUR=1,2", "BYHOUR"),
    ] {
        let refused = rule.parse::<Rule>().unwrap_err().sentence();
        assert!(refused.contains(says), "{rule}: {refused}");
    }
    let problem = |spec: WindowSpec| spec.check().unwrap_err().sentence();
    let never = freeze("2026-01-01T00:00", 1, "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30");
    assert!(problem(never).contains("within five years"));
    let over = freeze("2026-01-01T00:00", 1, "FREQ=DAILY;UNTIL=20251231");
    assert!(problem(over).contains("within five years"));
    assert!(problem(freeze("2026-01-01T00:00", 24 * 40, "FREQ=DAILY")).contains("length"));
    assert!(
        problem(WindowSpec { reason: " ".into(), ..freeze("2026-01-01T00:00", 1, "") }).contains("reason")
    );
    assert!(freeze("2026-01-01T00:00", 24 * 366, "").check().is_ok());
    for text in ["", "2026-01-01", "1969-01-01T00:00", "2026-13-01T00:00", "9999-01-01T00:00"] {
        assert!(text.parse::<LocalTime>().is_err(), "{text}");
    }
    assert!("Mars/Olympus".parse::<Zone>().is_err());
    assert_eq!("europe/berlin".parse::<Zone>().unwrap().as_str(), "Europe/Berlin");
}

#[test]
fn a_denial_counts_more_and_outside_of_every_window_nothing_starts() {
    let weekly = maintenance("2026-11-01T02:00", 4, "FREQ=WEEKLY");
    let one = calendar(vec![weekly.clone()]);
    let (sunday, monday) = (at("2026-11-29T03:00"), at("2026-11-30T12:00"));
    assert_eq!(one.closed(&stack(None), sunday), None);
    let closed = one.closed(&stack(None), monday).unwrap();
    assert_eq!((&*closed.reason.code, closed.until), ("outside_window", Some(at("2026-12-06T02:00"))));
    assert!(closed.reason.sentence.contains("6 Dec 2026, 02:00 UTC"), "{}", closed.reason);

    // A freeze over the opening moves it to the next one; one that ends inside of a window opens there.
    let long = calendar(vec![weekly.clone(), freeze("2026-12-05T00:00", 36, "")]);
    assert_eq!(long.closed(&stack(None), monday).unwrap().until, Some(at("2026-12-13T02:00")));
    let short = calendar(vec![weekly.clone(), freeze("2026-12-05T00:00", 28, "")]);
    assert_eq!(short.closed(&stack(None), monday).unwrap().until, Some(at("2026-12-06T04:00")));
    let inside = short.closed(&stack(None), at("2026-12-06T03:00")).unwrap();
    assert_eq!(inside.reason.code, "frozen", "denied inside of its maintenance window");

    // Nobody waits for a window that never comes again, nor for one that is switched off.
    let past = calendar(vec![maintenance("2026-10-01T02:00", 4, "")]);
    assert_eq!(past.closed(&stack(None), monday), None);
    let off = calendar(vec![WindowSpec { enabled: false, ..freeze("2026-11-30T00:00", 48, "") }]);
    assert_eq!(off.closed(&stack(None), monday), None);
    // A freeze without a gap has no opening in sight.
    let ever = calendar(vec![freeze("2026-01-01T00:00", 24, "FREQ=DAILY")]);
    let closed = ever.closed(&stack(None), monday).unwrap();
    assert_eq!((&*closed.reason.code, closed.until), ("frozen", None));
}

#[test]
fn a_tenants_window_counts_for_the_stack_it_has_for_itself_alone() {
    let now = at("2026-11-30T12:00");
    for (scope, covers) in [
        ("everyone", [true, true, true]),
        ("tier:premium", [true, true, true]),
        ("tier:basic", [false, false, false]),
        ("region:eu-west-1", [true, true, true]),
        ("region:us-east-1", [false, false, false]),
        ("tenant:acme", [true, false, false]),
    ] {
        let spec = WindowSpec { scope: scope.parse().unwrap(), ..freeze("2026-11-30T00:00", 24, "") };
        let calendar = calendar(vec![spec]);
        let found =
            [Some("acme"), Some("other"), None].map(|owner| calendar.closed(&stack(owner), now).is_some());
        assert_eq!(found, covers, "{scope}");
    }
    for wrong in ["", "all", "tier:", "tier:Not A Key", "stack:x", "tenant:acme,other"] {
        assert!(wrong.parse::<Scope>().is_err(), "{wrong}");
    }
}

#[test]
fn a_hold_keeps_its_stack_until_its_end_and_ends_within_a_year() {
    let now = at("2026-11-30T12:00");
    let hold = Hold {
        id: HoldId(Uuid::from_u128(1)),
        stack: stack(None).stack,
        tenant: TenantId(Uuid::from_u128(2)),
        spec: HoldSpec { reason: "an audit".into(), owner: "ben@example.com".parse().unwrap() },
        made_at: now,
        made_by: "ana".into(),
        until: now + Span::days(2),
        ended_at: None,
    };
    let calendar = Calendar::new(vec![], vec![hold.clone()]);
    let closed = calendar.closed(&stack(None), now).unwrap();
    assert!(closed.is_held() && closed.until == Some(hold.until));
    assert!(
        closed.reason.sentence.contains("ben@example.com") && closed.reason.sentence.contains("an audit")
    );
    assert_eq!(calendar.closed(&stack(None), hold.until), None, "it ends with its end");
    let lifted = Calendar::new(vec![], vec![Hold { ended_at: Some(now), ..hold }]);
    assert_eq!(lifted.closed(&stack(None), now), None);
    assert!(check_end(now, now).is_err() && check_end(now + Span::days(366), now).is_err());
    assert!(check_end(now + Span::days(365), now).is_ok());
    assert!(HoldSpec { reason: " ".into(), owner: "b@example.com".parse().unwrap() }.check().is_err());
}

fn any_rule() -> impl Strategy<Value = String> {
    let days = prop::sample::subsequence(vec!["MO", "TU", "WE", "TH", "FR", "SA", "SU"], 1..4);
    (0..4_usize, 1..4_u8, days, prop::bool::ANY, 1..20_u8).prop_map(|(every, interval, days, by, count)| {
        let freq = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"][every];
        let by = if by { format!(";BYDAY={}", days.join(",")) } else { String::new() };
        let count = if count < 6 { format!(";COUNT={count}") } else { String::new() };
        format!("FREQ={freq};INTERVAL={interval}{by}{count}")
    })
}

fn any_window() -> impl Strategy<Value = WindowSpec> {
    let zone = prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]);
    let rule = prop_oneof![Just(String::new()), any_rule()];
    (prop::bool::ANY, 1..=12_u8, 1..=28_u8, 0..24_u8, 1..90_i64, rule, zone).prop_map(
        |(deny, month, day, hour, hours, rule, zone)| {
            let kind = if deny { WindowKind::Freeze } else { WindowKind::Maintenance };
            spec(kind, "everyone", &format!("2026-{month:02}-{day:02}T{hour:02}:30"), hours, &rule, zone)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The opening is the first instant at which it is open, and what is said to stay, stays.
    #[test]
    fn a_stack_opens_when_it_is_said_to(specs in prop::collection::vec(any_window(), 0..4), hour in 0..20_000_i64) {
        let now = at("2026-02-01T00:00") + Span::hours(hour);
        let calendar = calendar(specs);
        let stacks = [stack(None)];
        let found = calendar.closed_now(&stacks, now);
        let closed = calendar.closed(&stack(None), now);
        prop_assert_eq!(found.closed.get(&stack(None).stack), closed.as_ref());
        prop_assert!(found.until > now);
        // Nothing changes before it is worked out again.
        let last = found.until.0.min(now.0 + Span::days(40).0) - 1;
        for part in 1..5 {
            let then = Timestamp(now.0 + (last - now.0) / 5 * part);
            let still = calendar.closed(&stack(None), then).map(|c| c.reason.code);
            prop_assert_eq!(still, closed.as_ref().map(|c| c.reason.code.clone()), "at {}", then.human());
        }
        let Some(closed) = closed else { return Ok(()) };
        let Some(opens) = closed.until else { return Ok(()) };
        prop_assert!(opens > now && opens - now <= HORIZON);
        prop_assert_eq!(calendar.closed(&stack(None), opens), None, "open at {}", opens.human());
        for part in 1..40 {
            let then = Timestamp(now.0 + (opens.0 - now.0) / 40 * part);
            prop_assert!(calendar.closed(&stack(None), then).is_some(), "closed at {} until {}", then.human(), opens.human());
        }
        prop_assert!(calendar.closed(&stack(None), Timestamp(opens.0 - 1)).is_some(), "closed to the last instant");
    }

    /// Whatever part of time is looked at, the same occurrences are in it.
    #[test]
    fn occurrences_do_not_depend_on_where_one_looks_from(spec in any_window(), days in 0..900_i64, width in 1..60_i64) {
        let begin = at("2026-01-01T00:00");
        let all = spec.spans(begin, begin + Span::days(1000), usize::MAX);
        let (from, to) = (begin + Span::days(days), begin + Span::days(days + width));
        let some: Vec<_> = all.iter().copied().filter(|(b, e)| *e > from && *b < to).collect();
        prop_assert_eq!(spec.spans(from, to, usize::MAX), some);
    }

    #[test]
    fn no_text_breaks_a_rule(text in "[A-Z0-9=;,:+\\-\u{e4} ]{0,60}") {
        let _ = text.parse::<Rule>();
        let _ = format!("FREQ=DAILY;{text}").parse::<Rule>();
        let _ = text.parse::<LocalTime>();
        let _ = text.parse::<Zone>();
        let _ = text.parse::<Scope>();
    }
}

#[test]
fn rules_are_read_as_people_say_them() {
    for (rule, words) in [
        ("", "1 Nov 2026, 02:00 for 4 h (UTC)"),
        ("FREQ=DAILY", "every day at 02:00 for 4 h (UTC)"),
        ("FREQ=DAILY;INTERVAL=3", "every 3 days at 02:00 for 4 h (UTC)"),
        ("FREQ=WEEKLY", "every Sunday at 02:00 for 4 h (UTC)"),
        ("FREQ=WEEKLY;BYDAY=SA,SU", "every Saturday and Sunday at 02:00 for 4 h (UTC)"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "every 2 weeks on Monday at 02:00 for 4 h (UTC)"),
        ("FREQ=MONTHLY;BYDAY=1SU", "every month on the 1st Sunday at 02:00 for 4 h (UTC)"),
        ("FREQ=MONTHLY;BYDAY=-1FR", "every month on the last Friday at 02:00 for 4 h (UTC)"),
        ("FREQ=MONTHLY;BYMONTHDAY=15,-1", "every month on the 15th and the last day at 02:00 for 4 h (UTC)"),
        ("FREQ=MONTHLY", "every month on the 1st at 02:00 for 4 h (UTC)"),
        ("FREQ=YEARLY", "every year on 1 November at 02:00 for 4 h (UTC)"),
        ("FREQ=DAILY;BYHOUR=1,13;COUNT=6", "every day at 01:00 and 13:00, 6 times for 4 h (UTC)"),
        ("FREQ=DAILY;UNTIL=20261224", "every day at 02:00, until 24 Dec 2026 for 4 h (UTC)"),
    ] {
        assert_eq!(maintenance("2026-11-01T02:00", 4, rule).words(), words, "{rule}");
    }
}

#[test]
fn a_tenants_own_windows_stand_for_the_wider_ones_and_a_freeze_still_counts() {
    let own = WindowSpec {
        scope: "tenant:acme".parse().unwrap(),
        ..maintenance("2026-11-04T20:00", 4, "FREQ=WEEKLY")
    };
    let wide = maintenance("2026-11-01T02:00", 4, "FREQ=WEEKLY");
    let both = calendar(vec![wide.clone(), own.clone()]);
    let (sunday, wednesday) = (at("2026-11-29T03:00"), at("2026-12-02T21:00"));
    assert_eq!(both.closed(&stack(Some("acme")), wednesday), None);
    let closed = both.closed(&stack(Some("acme")), sunday).unwrap();
    assert_eq!(closed.until, Some(at("2026-12-02T20:00")), "it waits for its own, not for the wide one");
    assert_eq!(both.closed(&stack(Some("other")), sunday), None, "others go by the wide one");
    assert!(both.closed(&stack(Some("other")), wednesday).is_some());
    let frozen = calendar(vec![wide.clone(), own.clone(), freeze("2026-12-02T00:00", 24, "")]);
    assert_eq!(frozen.closed(&stack(Some("acme")), wednesday).unwrap().reason.code, "frozen");
    // One that never comes again stands for nothing.
    let past = WindowSpec { rule: None, ..own };
    assert_eq!(calendar(vec![wide, past]).closed(&stack(Some("acme")), sunday), None);
}

#[test]
fn a_choice_outside_of_the_limits_is_refused_by_name() {
    let limits = OwnWindows { shortest: Span::hours(2), weekly: Span::hours(6) };
    assert!(limits.check().is_ok());
    assert!(
        OwnWindows { shortest: Span::minutes(5), ..limits }
            .check()
            .unwrap_err()
            .sentence()
            .contains("window_length")
    );
    assert!(
        OwnWindows { weekly: Span::days(8), ..limits }
            .check()
            .unwrap_err()
            .sentence()
            .contains("window_weekly")
    );
    let choice = |hours, rule| limits.allow(&maintenance("2026-11-01T02:00", hours, rule));
    assert!(choice(3, "FREQ=WEEKLY;BYDAY=SA,SU").is_ok());
    for (hours, rule, field) in [
        (1, "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU", "length"),
        (25, "FREQ=WEEKLY;BYDAY=SU", "length"),
        (3, "FREQ=WEEKLY;BYDAY=SU", "days"),
        (3, "FREQ=WEEKLY;INTERVAL=2;BYDAY=SA,SU", "days"),
        (3, "FREQ=WEEKLY;BYDAY=SA,SU;COUNT=9", "days"),
        (3, "FREQ=DAILY", "days"),
    ] {
        let refused = choice(hours, rule).unwrap_err();
        assert!(refused.problems.iter().any(|p| p.field == field), "{rule}: {refused}");
    }
}
