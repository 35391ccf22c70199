//! Off-boarding in full on real databases: export before anything goes, proof at the end, and a person where a hook fails.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, on_both};
use domain::hook::Point;
use domain::tenant::TenantState;
use domain::{Span, TenantId};
use drivers::scripted::Fate;
use engine::{Call, Hook, Hooks};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

on_both!(
    what_is_left_is_proved_by_a_certificate,
    a_failed_export_keeps_everything_until_a_person_says_otherwise,
    an_engine_that_dies_in_between_repeats_nothing,
    whoever_is_kept_and_tried_again_stays_in_the_pool_that_was_begun,
);

/// A program that notes its step, and fails at one for as long as a file is there.
fn hooks(folder: &Path) -> Hooks {
    let script = folder.join("hook");
    let text = format!(
        "#!/bin/sh\necho $TIDEGATE_POINT >> {told}\n[ ! -e {folder}/break-$TIDEGATE_POINT ] || exit 3\n\
         [ $TIDEGATE_POINT != export ] || echo '{{\"artifact\":\"s3://exports/1\"}}' > $TIDEGATE_OUTPUT\n",
        told = folder.join("told").display(),
        folder = folder.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let call = Call::Command { program: script.display().to_string(), args: vec![] };
    let (points, timeout) = (Point::ALL.to_vec(), Duration::from_secs(10));
    Hooks::new(vec![Hook { name: "ours".into(), points, call, timeout }])
}

fn told(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

async fn with_hooks(db: Db, folder: &Path) -> TestApp {
    let mut app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    app.crash();
    app.hooks = hooks(folder);
    app.start();
    app
}

async fn state(app: &TestApp, id: TenantId, wanted: TenantState) {
    eventually(&format!("the tenant is {wanted}"), || async {
        app.pass(200);
        app.store.tenant(id).await.unwrap().unwrap().state == wanted
    })
    .await;
}

async fn what_is_left_is_proved_by_a_certificate(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let app = with_hooks(db, folder.path()).await;
    let ada = app.tenant("ada", "premium").await;
    app.active(ada).await;
    assert!(app.service.certificate(&app.admin, ada).await.is_err(), "it has not gone");
    app.service.offboard(&app.admin, ada, "ada", Span::hours(2)).await.unwrap();
    eventually("its data are exported at once", || async { told(folder.path()) == ["export"] }).await;
    eventually("it waits for the end of its grace", || async {
        let view = app.service.offboarding(&app.admin, ada).await.unwrap().unwrap();
        view.process.summary.status == "waiting"
    })
    .await;
    assert!(app.driver.running().contains_key("silo-ada"), "nothing is deleted yet");
    app.pass(Span::hours(2).0);
    state(&app, ada, TenantState::Offboarded).await;
    let certificate = app.service.certificate(&app.admin, ada).await.unwrap();
    let steps: Vec<_> = certificate.evidence.iter().map(|e| e.step.as_str()).collect();
    assert_eq!(
        steps,
        [
            "Exporting data",
            "Before the stack is deleted",
            "Stack deleted",
            "Closing billing",
            "Stack looked for",
            "Verifying that nothing is left"
        ]
    );
    assert_eq!(certificate.evidence[0].artifact.as_deref(), Some("s3://exports/1"));
    assert!(certificate.requested_at < certificate.completed_at && certificate.digest.len() == 64);
    assert_eq!(certificate.requested_by, "admin@example.com");
    assert_eq!(told(folder.path()), ["export", "before_delete", "billing", "verify_gone"]);
    let again = app.service.certificate(&app.admin, ada).await.unwrap();
    assert_eq!(again, certificate, "read from the log, it is always the same");
}

async fn a_failed_export_keeps_everything_until_a_person_says_otherwise(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("break-export"), "").unwrap();
    let app = with_hooks(db, folder.path()).await;
    let (ada, bob) = (app.tenant("ada", "basic").await, app.tenant("bob", "basic").await);
    app.active(ada).await;
    app.active(bob).await;
    app.service.offboard(&app.admin, ada, "ada", Span::ZERO).await.unwrap();
    eventually("a person is asked", || async {
        let view = app.service.offboarding(&app.admin, ada).await.unwrap().unwrap();
        view.may_skip
    })
    .await;
    app.pass(Span::days(3).0);
    assert_eq!(told(folder.path()), ["export"], "nothing goes before its data are out");
    assert!(app.service.skip_hook(&app.admin, ada, " ").await.is_err(), "not without a comment");
    app.service.skip_hook(&app.admin, ada, "they want none").await.unwrap();
    state(&app, ada, TenantState::Offboarded).await;
    let certificate = app.service.certificate(&app.admin, ada).await.unwrap();
    assert_eq!(certificate.evidence[0].outcome, "left out by admin@example.com: they want none");
    assert_eq!(certificate.shared_stacks, ["pool-basic-local-1"]);
    assert_eq!(told(folder.path()), ["export", "delete_share", "billing", "verify_gone"]);
    assert_eq!(app.driver.served("pool-basic-local-1"), ["bob"]);
}

async fn an_engine_that_dies_in_between_repeats_nothing(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("break-before_delete"), "").unwrap();
    let mut app = with_hooks(db, folder.path()).await;
    let ada = app.tenant("ada", "premium").await;
    app.active(ada).await;
    app.service.offboard(&app.admin, ada, "ada", Span::ZERO).await.unwrap();
    let waits = || async {
        let view = app.service.offboarding(&app.admin, ada).await.unwrap().unwrap();
        view.may_skip
    };
    eventually("a person is asked", waits).await;
    std::fs::remove_file(folder.path().join("break-before_delete")).unwrap();
    app.crash();
    app.service.retry_tenant(&app.admin, ada).await.unwrap();
    app.pass(16_000);
    app.start();
    state(&app, ada, TenantState::Offboarded).await;
    assert_eq!(told(folder.path()), ["export", "before_delete", "before_delete", "billing", "verify_gone"]);
    let deleted = app.driver.history().into_iter().filter(|(name, to)| name == "silo-ada" && to.is_none());
    assert_eq!(deleted.count(), 1);
}

async fn whoever_is_kept_and_tried_again_stays_in_the_pool_that_was_begun(db: Db) {
    let broken = Arc::new(AtomicBool::new(true));
    let breaks = broken.clone();
    let app = TestApp::with(db, &["1.0.0"], move |change| match change.name.starts_with("pool-") {
        true if breaks.load(Ordering::SeqCst) => Fate::Fail { retryable: false },
        _ => Fate::Succeed,
    })
    .await;
    let ada = app.tenant("ada", "basic").await;
    let is = async |state| app.store.tenant(ada).await.unwrap().unwrap().state == state;
    eventually("its onboarding fails", || is(TenantState::Failed)).await;
    app.service.offboard(&app.admin, ada, "ada", Span::hours(72)).await.unwrap();
    app.service.keep_tenant(&app.admin, ada).await.unwrap();
    broken.store(false, Ordering::SeqCst);
    app.service.retry_tenant(&app.admin, ada).await.unwrap();
    app.active(ada).await;
    assert_eq!(app.store.stacks_of(ada).await.unwrap().len(), 1, "it is in one pool");
    assert_eq!(app.store.pools().await.unwrap().len(), 1, "and no other was made");
}
