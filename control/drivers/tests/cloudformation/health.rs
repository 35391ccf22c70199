//! Law 2 of DESIGN §3: an operation has succeeded only when the application was heard to be well after it.

use crate::app::App;
use crate::world::*;
use domain::process::Outcome;
use drivers::{Change, Driver, DriverEvent, Observation, Submitted};
use emulator::accepted;
use serde_json::json;

/// A change to a release whose application answers at this address.
fn at(url: &str, mut change: Change, within: u64) -> Change {
    change.to.as_mut().unwrap().artifact = json!({
        "template_body": PLAIN, "parameters": { "Address": { "constant": url } },
        "address": "AppUrl", "health": "/healthz", "health_within": within
    });
    change
}

#[tokio::test]
async fn a_stack_is_done_when_its_application_is_well_and_not_before() {
    let world = World::new().await;
    let driver = world.driver().await;
    let app = App::answering(503).await;
    let create = at(&app.url(), stack(1, "acme").create(1, 30), 60);
    let mut events = driver.events();
    assert_eq!(driver.submit(&create).await.unwrap(), Submitted::Accepted);
    let waits = format!("waits until the application is well: {}/healthz answers 503", app.url());
    loop {
        match events.recv().await.unwrap() {
            DriverEvent::Progress { line, .. } if line == waits => break,
            DriverEvent::Ended { .. } => panic!("it ended while its application answered 503"),
            _ => {}
        }
    }
    world.proxy.take_log();
    assert_eq!(observe(&driver, &create).await, Observation::InProgress);
    app.answer(302);
    let made = end_of(&driver, &create, &mut events).await;
    assert_eq!(runs(&made), "digest-30");
    let Outcome::Succeeded { outputs, .. } = made else { panic!() };
    assert_eq!(outputs[domain::stack::ADDRESS], app.url());
    assert_eq!(world.proxy.take_log().len(), 0, "CloudFormation knows nothing of health");
}

#[tokio::test]
async fn an_application_that_stays_unwell_fails_the_operation_and_says_what_runs() {
    let world = World::new().await;
    let driver = world.driver().await;
    let (well, unwell) = (App::answering(200).await, App::answering(503).await);
    let acme = stack(1, "acme");
    assert_eq!(runs(&perform(&driver, &at(&well.url(), acme.create(1, 30), 5)).await), "digest-30");

    let update = at(&unwell.url(), acme.update(2, 60), 1);
    let (code, sentence, retryable, running) = failure(perform(&driver, &update).await);
    assert_eq!((code.as_str(), retryable), ("unhealthy", false), "{sentence}");
    assert!(sentence.contains(&format!("{}/healthz answers 503", unwell.url())), "{sentence}");
    // It runs the new configuration: whoever goes back has something to go back from.
    assert_eq!(running.as_deref(), Some("digest-60"));
    assert!(unwell.asked() >= 2, "it was asked {} times", unwell.asked());

    // Nothing listens there any more, and one that listens and never answers.
    for (n, status, says) in [(3, None, "does not answer ("), (4, Some(0), "does not answer within")] {
        let mute = App::answering(status.unwrap_or(200)).await;
        let url = mute.url();
        let _listens = status.map(|_| mute);
        let (code, sentence, ..) =
            failure(perform(&driver, &at(&url, acme.update(n, 30 + 10 * n as i64), 1)).await);
        assert!(code == "unhealthy" && sentence.contains(says), "{sentence}");
    }
    // The way back is an operation like any other.
    assert_eq!(runs(&perform(&driver, &at(&well.url(), acme.update(5, 30), 5)).await), "digest-30");
}

/// The driver is gone while the application is asked: whoever comes after it knows from the stack where to ask.
#[tokio::test]
async fn health_is_asked_again_after_a_kill() {
    let world = World::new().await;
    let app = App::answering(503).await;
    let create = at(&app.url(), stack(1, "acme").create(1, 30), 60);
    let killed = world.driver().await;
    let mut events = killed.events();
    killed.submit(&create).await.unwrap();
    while !matches!(events.recv().await.unwrap(), DriverEvent::Progress { line, .. } if line.contains("asks http"))
    {
    }
    drop(killed);

    let driver = world.driver().await;
    let mut events = driver.events();
    assert_eq!(observe(&driver, &create).await, Observation::InProgress, "it was never heard to be well");
    app.answer(200);
    let made = end_of(&driver, &create, &mut events).await;
    assert_eq!(runs(&made), "digest-30");
    let Outcome::Succeeded { outputs, .. } = made else { panic!() };
    assert_eq!(outputs[domain::stack::ADDRESS], app.url());
    assert_eq!(accepted(&world.proxy.take_log(), "CreateStack"), 1);
}

#[tokio::test]
async fn an_address_that_the_stack_does_not_have_is_a_failure_with_a_remedy() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    for (n, url, says) in
        [(1, "", "AppUrl, where the release says that"), (2, "app.example", "“app.example”")]
    {
        let change = if n == 1 { acme.create(n, 30) } else { acme.update(n, 30) };
        let (code, sentence, _, running) = failure(perform(&driver, &at(url, change, 5)).await);
        assert!(code == "address_missing" && sentence.contains(says), "{sentence}");
        assert_eq!(running.as_deref(), Some("digest-30"));
    }
}

#[tokio::test]
async fn gates_ask_the_applications_too() {
    let world = World::new().await;
    let driver = world.driver().await;
    let app = App::answering(200).await;
    let acme = at(&app.url(), stack(1, "acme").create(1, 30), 5);
    let silent = stack(2, "silent").create(1, 30);
    perform(&driver, &acme).await;
    perform(&driver, &silent).await;
    // A driver without memory: the stack's tags say where to ask.
    let driver = world.driver().await;
    let names = [(acme.stack, acme.name.clone()), (silent.stack, silent.name.clone())];
    let down = async || -> Vec<Option<String>> {
        driver.probe(&names).await.into_iter().map(|sample| sample.down).collect()
    };
    assert_eq!(down().await, [None, None], "a release that says nothing of health is not asked");
    let asked = app.asked();
    app.answer(500);
    let told = down().await;
    assert_eq!(told[0].as_deref(), Some(format!("{}/healthz answers 500", app.url()).as_str()));
    assert_eq!((told[1].as_deref(), app.asked()), (None, asked + 1));
}
