//! Tenants choose when they are updated: behind a link that they were sent, within the limits of their tier.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, on_both};
use domain::tenant::TenantState;
use domain::{Span, TenantId, Timestamp};
use drivers::scripted::Fate;
use service::{OwnWindowForm, TenantEdit, TierEdit, TierForm};
use std::sync::atomic::Ordering;

on_both!(
    a_tenant_chooses_within_the_limits_of_its_tier,
    a_link_ends_with_the_next_one_and_with_its_time,
    an_own_window_stands_for_the_wider_ones,
    what_a_customer_has_ends_with_the_customer,
);

const DAY: i64 = 86_400_000;

/// A tier `own` whose tenants may choose two hours or more, four in each week, and `cyd` on it.
async fn world(db: Db) -> (TestApp, TenantId) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    let form = TierForm {
        name: "Own".into(),
        model: "silo".into(),
        signup: "closed".into(),
        regions: "local".into(),
        window_length: Some("2 h".into()),
        window_weekly: Some("4 h".into()),
        ..TierForm::default()
    };
    app.tier("own", form).await;
    let cyd = app.tenant("cyd", "own").await;
    app.active(cyd).await;
    (app, cyd)
}

fn choice(days: &[&str], at: &str, length: &str) -> OwnWindowForm {
    OwnWindowForm {
        days: days.iter().map(|d| (*d).to_owned()).collect(),
        at: at.into(),
        length: length.into(),
        zone: "Europe/Berlin".into(),
    }
}

/// The token of the newest link that was sent.
async fn token(app: &TestApp) -> String {
    let mail = app.store.messages(100).await.unwrap();
    let body = mail.iter().find_map(|m| Some(m.body.split_once("/portal/")?.1.to_owned())).unwrap();
    body.split_whitespace().next().unwrap().to_owned()
}

async fn a_tenant_chooses_within_the_limits_of_its_tier(db: Db) {
    let (app, cyd) = world(db).await;
    app.service.send_portal_link(&app.admin, cyd).await.unwrap();
    let link = token(&app).await;
    let seen = app.service.portal(&link).await.unwrap();
    assert_eq!((seen.plan.as_str(), seen.window.chosen.is_none()), ("Own", true));
    assert_eq!(seen.window.limits.unwrap().words(), "at least 2 h each time, and 4 h in each week");

    for (form, field, says) in [
        (choice(&["SU"], "02:00", "1 h"), "length", "at least 2 h"),
        (choice(&["SU"], "02:00", "3 h"), "days", "needs 4 h in each week, and these are 3 h"),
        (choice(&[], "02:00", "3 h"), "days", "at least one weekday"),
        (choice(&["SU"], "25:00", "4 h"), "at", "no time of day"),
        (choice(&["SU"], "02:00", "30 h"), "length", "at most 24 h"),
        (OwnWindowForm { zone: "Mars".into(), ..choice(&["SU"], "02:00", "4 h") }, "zone", "no time zone"),
    ] {
        let refused = app.service.choose_window(&link, &form).await.unwrap_err();
        let service::Error::Invalid(invalid) = &refused else { panic!("{refused}") };
        let problem = invalid.problems.iter().find(|p| p.field == field);
        assert!(problem.is_some_and(|p| p.message.contains(says)), "{field}: {invalid:?}");
    }
    assert!(app.store.windows().await.unwrap().is_empty(), "nothing of it was saved");

    app.service.choose_window(&link, &choice(&["SU", "WE"], "02:00", "2 h")).await.unwrap();
    let chosen = app.service.portal(&link).await.unwrap().window.chosen.unwrap();
    assert_eq!(chosen.words, "every Wednesday and Sunday at 02:00 for 2 h (Europe/Berlin)");
    assert_eq!(chosen.form, choice(&["WE", "SU"], "02:00", "2 h"));
    assert_eq!((chosen.next.len(), chosen.saved_by.as_str()), (3, "cyd@example.com"));
    // Chosen again it is the same window, and the record says who chose it.
    app.service.choose_window(&link, &choice(&["SA"], "22:00", "4 h")).await.unwrap();
    assert_eq!(app.store.windows().await.unwrap().len(), 1);
    let filter = store::ActivityFilter { limit: 50, ..Default::default() };
    let said = app.store.activity(&filter).await.unwrap();
    assert!(
        said.iter().any(|a| a.kind == "own_window_chosen" && a.actor.name == "cyd@example.com"),
        "{said:?}"
    );
    app.service.give_up_window(&link).await.unwrap();
    assert!(app.store.windows().await.unwrap().is_empty());

    // A promise outlives the limits that it was made within: it holds, and everybody is told.
    app.service.set_tenant_window(&app.admin, cyd, &choice(&["SA"], "22:00", "4 h")).await.unwrap();
    for (length, says) in [
        ("4 h", None),
        ("6 h", Some("needs at least 6 h each time")),
        ("", Some("holds until it is taken away")),
    ] {
        let own = app.store.tier_by_key(&"own".parse().unwrap()).await.unwrap().unwrap().0;
        let mut edit = TierEdit::of(&own);
        edit.form.window_length = Some(length.into());
        app.service.save_tier_edit(&app.admin, Some(own.id), edit).await.unwrap();
        let told = app.service.tenant_window(&app.admin, cyd).await.unwrap().chosen.unwrap().outside;
        assert_eq!(told.is_some(), says.is_some(), "{told:?}");
        assert!(says.is_none_or(|says| told.unwrap().contains(says)));
        assert_eq!(app.store.windows().await.unwrap().len(), 1);
    }
    app.service.clear_tenant_window(&app.admin, cyd).await.unwrap();
    assert!(app.store.windows().await.unwrap().is_empty());

    // Whoever shares a stack, or whose plan does not offer it, chooses nothing, also not by an operator's hand.
    for (slug, tier, code) in [("ada", "basic", "shared_stack"), ("bob", "premium", "not_offered")] {
        let id = app.tenant(slug, tier).await;
        app.active(id).await;
        let form = choice(&["SU"], "02:00", "4 h");
        let refused = app.service.set_tenant_window(&app.admin, id, &form).await.unwrap_err();
        assert_eq!(refused.code(), code);
    }
}

async fn a_link_ends_with_the_next_one_and_with_its_time(db: Db) {
    let (app, cyd) = world(db).await;
    app.service.send_portal_link(&app.admin, cyd).await.unwrap();
    let first = token(&app).await;
    app.pass(1_000);
    app.service.send_portal_link(&app.admin, cyd).await.unwrap();
    let mail = app.store.messages(100).await.unwrap();
    let mut tokens: Vec<String> = mail
        .iter()
        .filter_map(|m| m.body.split_once("/portal/")?.1.split_whitespace().next().map(str::to_owned))
        .collect();
    tokens.retain(|token| *token != first);
    let [second] = tokens.as_slice() else { panic!("{tokens:?}") };
    assert_eq!(app.service.portal(&first).await.unwrap_err().status(), 404, "another was sent");
    assert!(app.service.portal(second).await.is_ok());
    app.pass(91 * DAY);
    assert_eq!(app.service.portal(second).await.unwrap_err().status(), 404, "its time is over");
    assert_eq!(app.service.portal("guessed").await.unwrap_err().status(), 404);
}

async fn an_own_window_stands_for_the_wider_ones(db: Db) {
    let (app, cyd) = world(db).await;
    let dee = app.tenant("dee", "own").await;
    app.active(dee).await;
    let now = Timestamp(app.clock.load(Ordering::SeqCst));
    // The tier is open now; cyd has chosen a day that is not today nor tomorrow.
    let open = service::WindowForm {
        name: "Always".into(),
        kind: "maintenance".into(),
        scope: "tier:own".into(),
        begins: domain::window::LocalTime::of(&domain::window::Zone::utc(), now).to_string(),
        length: "24 h".into(),
        rule: "FREQ=DAILY".into(),
        reason: "whenever".into(),
        ..Default::default()
    };
    app.service.save_window(&app.admin, None, &open, None).await.unwrap();
    assert!(app.service.closed_stacks(&app.admin).await.unwrap().is_empty());
    // Days are counted from Thursday, 1 January 1970.
    let week = ["TH", "FR", "SA", "SU", "MO", "TU", "WE"];
    let later = usize::try_from((now.0 / DAY + 3) % 7).unwrap();
    let form = OwnWindowForm { zone: "UTC".into(), ..choice(&[week[later]], "12:00", "4 h") };
    app.service.set_tenant_window(&app.admin, cyd, &form).await.unwrap();
    let closed = app.service.closed_stacks(&app.admin).await.unwrap();
    let [only] = closed.as_slice() else { panic!("{closed:?}") };
    assert!(only.name.contains("cyd"), "{only:?}");
    assert_eq!(only.closed.reason.code, "outside_window");
    let strategy = r#"[{"name":"All","selector":"everyone","concurrency":"100%","tolerance":"0","mode":"soft","attempts":1,
        "patience":0,"gate":{"bake":0,"checks":[],"grace":0,"approval":null}}]"#;
    app.strategy("Impatient", strategy).await;
    let rollout = app.rollout("1.1.0", "Impatient").await;
    app.until(rollout, "succeeded").await;
    assert_eq!(app.versions().await, ["1.0.0", "1.1.0"]);
    // Given up, it goes with the others again.
    app.service.clear_tenant_window(&app.admin, cyd).await.unwrap();
    assert!(app.service.closed_stacks(&app.admin).await.unwrap().is_empty());
}

async fn what_a_customer_has_ends_with_the_customer(db: Db) {
    let (app, cyd) = world(db).await;
    app.service.send_portal_link(&app.admin, cyd).await.unwrap();
    let link = token(&app).await;
    app.service.choose_window(&link, &choice(&["SU"], "02:00", "4 h")).await.unwrap();
    let edit = |name: &str, email: &str| TenantEdit {
        name: name.into(),
        email: email.into(),
        ..TenantEdit::default()
    };
    app.service.edit_tenant(&app.admin, cyd, &edit("Cyd & Co", "CYD@example.com")).await.unwrap();
    assert!(app.service.portal(&link).await.is_ok(), "the same address");
    app.service.edit_tenant(&app.admin, cyd, &edit("Cyd & Co", "dan@example.com")).await.unwrap();
    assert_eq!(app.service.portal(&link).await.unwrap_err().status(), 404, "it was sent to somebody else");
    assert!(app.store.window_of(cyd).await.unwrap().is_some(), "what was chosen stays");
    app.service.offboard(&app.admin, cyd, "cyd", Span::ZERO).await.unwrap();
    eventually("it has left", || async {
        app.pass(200);
        app.store.tenant(cyd).await.unwrap().unwrap().state == TenantState::Offboarded
    })
    .await;
    assert!(app.store.window_of(cyd).await.unwrap().is_none());
}
