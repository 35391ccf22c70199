//! A stack's life: made, updated, deleted; and what a failure says.

use crate::world::*;
use aws::{Account, Role};
use domain::process::Outcome;
use drivers::cloudformation::{Cloudformation, Settings};
use drivers::{Change, Driver, DriverEvent, Observation, Submitted};
use emulator::accepted;

#[tokio::test]
async fn a_stack_is_made_updated_and_deleted_with_one_call_each() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");

    let made = perform(&driver, &acme.create(1, 30)).await;
    assert_eq!(runs(&made), "digest-30");
    let Outcome::Succeeded { outputs, .. } = made else { panic!() };
    assert_eq!(outputs["Tenant"], "t-1");
    assert!(outputs["OrdersUrl"].contains("tg-acme-orders"), "{outputs:?}");

    let described = world.somebody().describe_stacks().stack_name("tg-acme").send().await.unwrap();
    let tags = described.stacks()[0].tags();
    let tag = |key: &str| tags.iter().find(|t| t.key() == Some(key)).and_then(|t| t.value()).unwrap_or("-");
    assert_eq!(tag("tidegate:stack"), acme.create(1, 30).stack.to_string());
    assert_eq!(tag("tidegate:operation"), acme.create(1, 30).token.to_string());
    assert_eq!((tag("tidegate:tenant"), tag("tidegate:tier")), ("acme", "basic"));
    assert_eq!((tag("tidegate:release"), tag("tidegate:digest")), ("1.4.0", "digest-30"));

    assert_eq!(runs(&perform(&driver, &acme.update(2, 60)).await), "digest-60");
    assert_eq!(runs(&perform(&driver, &acme.delete(3)).await), "nothing");
    let log = world.proxy.take_log();
    for action in ["CreateStack", "UpdateStack", "DeleteStack"] {
        assert_eq!(accepted(&log, action), 1, "{action}: {log:#?}");
    }
    assert_eq!(runs(&perform(&driver, &acme.delete(4)).await), "nothing", "what is gone is gone");
}

/// Each deployment model, with what its tier makes of it; the function itself answers for its health.
#[tokio::test]
async fn a_sam_template_is_deployed_and_answers() {
    let world = World::new().await;
    let driver = world.driver().await;
    let base = format!("http://{}/_aws/lambda-url", world.emulator.address);
    for (id, model, table) in [(1, "silo", "OwnTable"), (2, "pool", "SharedTable")] {
        let acme = Stack { template: SAM.into(), ..stack(id, &format!("sam-{model}")) };
        let sam = |mut change: Change, warm: u32| {
            let goal = change.to.as_mut().unwrap();
            goal.model = model.into();
            goal.artifact = serde_json::json!({
                "template_body": SAM, "address": "AppUrl", "health": "/healthz",
                "parameters": {
                    "UrlBase": { "constant": base }, "ReservedConcurrency": { "constant": 5 },
                    "ProvisionedConcurrency": { "constant": warm }, "CanaryEnabled": { "constant": false },
                }
            });
            change
        };
        let made = perform(&driver, &sam(acme.create(1, 30), 0)).await;
        assert_eq!(runs(&made), "digest-30");
        let Outcome::Succeeded { outputs, .. } = made else { panic!() };
        assert!(outputs["Function"].contains("OrdersFunction"), "{outputs:?}");
        assert!(outputs[domain::stack::ADDRESS].starts_with(&base), "{outputs:?}");
        let resources = world.somebody().list_stack_resources().stack_name(format!("tg-sam-{model}"));
        let resources = resources.send().await.unwrap();
        let tables = resources
            .stack_resource_summaries()
            .iter()
            .filter(|r| r.resource_type() == Some("AWS::DynamoDB::Table"));
        let tables: Vec<_> = tables.filter_map(|r| r.logical_resource_id()).collect();
        assert_eq!(tables, [table]);
        assert_eq!(runs(&perform(&driver, &sam(acme.update(2, 60), 1)).await), "digest-60");
    }
}

#[tokio::test]
async fn no_updates_is_success() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    perform(&driver, &acme.update(2, 60)).await;
    world.proxy.take_log();

    // A driver that knows nothing is given the same operation again.
    let again = perform(&world.driver().await, &acme.update(2, 60)).await;
    assert_eq!(runs(&again), "digest-60");
    let Outcome::Succeeded { outputs, .. } = again else { panic!() };
    assert_eq!(outputs["Tenant"], "t-1");
    assert_eq!(accepted(&world.proxy.take_log(), "UpdateStack"), 0);
}

#[tokio::test]
async fn a_failed_update_names_the_first_failed_resource_and_what_still_runs() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    let mut events = driver.events();

    let (code, sentence, retryable, running) = failure(perform(&driver, &acme.update(2, TOO_LONG)).await);
    assert_eq!(code, "update_failed");
    assert!(sentence.starts_with("Orders (AWS::SQS::Queue) failed: "), "{sentence}");
    assert!(sentence.ends_with("the stack runs what it ran before"), "{sentence}");
    assert!(!retryable);
    assert_eq!(running.as_deref(), Some("digest-30"));

    let mut lines = vec![];
    while let Ok(event) = events.try_recv() {
        if let DriverEvent::Progress { line, .. } = event {
            lines.push(line);
        }
    }
    assert!(lines.iter().any(|l| l.starts_with("UPDATE_FAILED Orders (AWS::SQS::Queue): ")), "{lines:#?}");
    assert_eq!(runs(&perform(&driver, &acme.update(3, 90)).await), "digest-90", "the next one is taken");
}

#[tokio::test]
async fn a_stack_that_never_lived_is_deleted_and_made_anew() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    let (code, sentence, ..) = failure(perform(&driver, &acme.create(1, TOO_LONG)).await);
    assert_eq!(code, "create_failed");
    assert!(sentence.starts_with("Orders (AWS::SQS::Queue) failed: "), "{sentence}");

    world.proxy.take_log();
    assert_eq!(runs(&perform(&driver, &acme.update(2, 30)).await), "digest-30");
    let log = world.proxy.take_log();
    let done = ["DeleteStack", "CreateStack", "UpdateStack"].map(|action| accepted(&log, action));
    assert_eq!(done, [1, 1, 0], "{log:#?}");
}

#[tokio::test]
async fn after_a_restart_the_provider_tells_what_became_of_operations() {
    let world = World::new().await;
    let acme = stack(1, "acme");
    let driver = world.driver().await;
    perform(&driver, &acme.create(1, 30)).await;
    perform(&driver, &acme.update(2, 60)).await;
    let failed = perform(&driver, &acme.update(3, TOO_LONG)).await;

    let driver = world.driver().await;
    assert_eq!(observe(&driver, &acme.update(3, TOO_LONG)).await, Observation::Ended(failed));
    assert_eq!(observe(&driver, &acme.update(4, 90)).await, Observation::NeverArrived);
    let Observation::Ended(done) = observe(&driver, &acme.update(2, 60)).await else { panic!() };
    assert_eq!(runs(&done), "digest-60");
    assert_eq!(driver.submit(&acme.update(2, 60)).await.unwrap(), Submitted::Ended(done));
    assert_eq!(observe(&driver, &stack(2, "other").create(1, 30)).await, Observation::NeverArrived);
}

#[tokio::test]
async fn a_parameter_without_a_value_is_named_before_anything_is_sent() {
    let world = World::new().await;
    let driver = world.driver().await;
    let template = "Parameters: {Vpc: {Type: String}}\nResources: {Q: {Type: AWS::SQS::Queue}}";
    let acme = Stack { template: template.into(), ..stack(1, "acme") };
    let (code, sentence, ..) = failure(perform(&driver, &acme.create(1, 30)).await);
    assert_eq!(code, "parameter_missing");
    assert!(sentence.contains("Vpc"), "{sentence}");
    assert!(world.proxy.take_log().is_empty());

    let artifact = serde_json::json!({ "template_body": PLAIN, "parameters": { "Visibilty": "visibility" } });
    let wrong = driver.check_artifact(&artifact).unwrap_err().sentence();
    assert!(wrong.starts_with("parameters.Visibilty: is no parameter of the template"), "{wrong}");
}

#[tokio::test]
async fn a_stack_tells_its_state_and_its_log() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    let change = acme.create(1, 30);
    perform(&driver, &change).await;
    let missing = stack(2, "other").create(1, 30);
    let names = [(change.stack, change.name.clone()), (missing.stack, missing.name.clone())];
    let samples = driver.probe(&names).await;
    assert_eq!(samples[0].down, None);
    assert_eq!(samples[1].down.as_deref(), Some("its stack is not there"));
    let log = driver.log_tail("acme", 100).await.unwrap();
    assert!(log.contains("CREATE_COMPLETE Orders (AWS::SQS::Queue)"), "{log}");
    assert!(log.lines().last().unwrap().contains("CREATE_COMPLETE tg-acme"), "{log}");
}

#[tokio::test]
async fn a_template_by_its_address_is_read_once_and_its_parameters_are_checked() {
    let world = World::new().await;
    let driver = world.driver().await;
    world.put("/templates", "").await;
    world.put("/templates/plain.yaml", PLAIN).await;
    let url = format!("http://{}/templates/plain.yaml", world.emulator.address);
    let artifact = serde_json::json!({ "template_url": url, "parameters": { "Stage": "stage" } });
    driver.check_artifact(&artifact).unwrap();
    let tier = ["visibility".to_owned()].into();
    let wrong = driver.check_parameters(&artifact, &tier).await.unwrap_err().sentence();
    assert!(wrong.starts_with("parameters.Stage: comes from stage, which the tier does not have"), "{wrong}");

    let mut change = stack(1, "acme").create(1, 30);
    change.to.as_mut().unwrap().artifact = serde_json::json!({ "template_url": url });
    assert_eq!(runs(&perform(&driver, &change).await), "digest-30");
    let log = world.proxy.take_log();
    assert_eq!(log.iter().filter(|c| c.action == "GetTemplateSummary").count(), 1);

    // What was corrected at the address counts at the next registration.
    let mapped = serde_json::json!({ "template_url": url, "parameters": { "Vpc": { "constant": "v" } } });
    let wrong = driver.check_parameters(&mapped, &tier).await.unwrap_err().sentence();
    assert!(wrong.starts_with("parameters.Vpc: is no parameter of the template"), "{wrong}");
    let corrected = PLAIN.replace("  Stage:\n", "  Vpc: { Type: String }\n  Stage:\n");
    world.put("/templates/plain.yaml", &corrected).await;
    driver.check_parameters(&mapped, &tier).await.unwrap();

    let missing = serde_json::json!({ "template_url": format!("{url}.gone") });
    let wrong = driver.check_parameters(&missing, &tier).await.unwrap_err().sentence();
    assert!(wrong.starts_with("template_url: "), "{wrong}");
}

#[tokio::test]
async fn stacks_live_in_another_account_by_its_role() {
    let world = World::new().await;
    let account = world.account();
    let role = Role {
        arn: "arn:aws:iam::210987654321:role/tidegate".into(),
        external_id: Some("tg-7".into()),
        endpoint: account.endpoint.clone(),
    };
    let account = Account { role: Some(role), ..account };
    let driver = Cloudformation::connect(Settings { account, ..world.settings() }).await;
    let made = perform(&driver, &stack(1, "acme").create(1, 30)).await;
    assert_eq!(runs(&made), "digest-30");
    assert_eq!(accepted(&world.proxy.take_log(), "AssumeRole"), 1);
}
