//! Other people in the same account: waited for, never fought.

use crate::world::*;
use domain::process::Outcome;
use drivers::{Driver, DriverEvent, Observation, Submitted};
use emulator::accepted;

/// A template that is not complete before somebody says so.
pub const HELD: &str = "
Parameters:
  Visibility: { Type: Number, Default: 30 }
Resources:
  Queue: { Type: AWS::SQS::Queue, Properties: { VisibilityTimeout: !Ref Visibility } }
  Handle: { Type: AWS::CloudFormation::WaitConditionHandle }
  Wait:
    Type: AWS::CloudFormation::WaitCondition
    DependsOn: Queue
    Properties: { Handle: !Ref Handle, Timeout: '60', Count: 1 }
";

/// Says that the held stack may go on.
pub async fn release(world: &World, stack: &str) {
    let somebody = world.somebody();
    let url = loop {
        let found =
            somebody.describe_stack_resource().stack_name(stack).logical_resource_id("Handle").send().await;
        let url = found.ok().and_then(|f| f.stack_resource_detail?.physical_resource_id);
        match url.filter(|url| url.starts_with("http")) {
            Some(url) => break url,
            None => tokio::task::yield_now().await,
        }
    };
    let path = format!("/{}", url.splitn(4, '/').nth(3).unwrap());
    world.put(&path, r#"{"Status":"SUCCESS","UniqueId":"1","Data":"d","Reason":"ready"}"#).await;
}

#[tokio::test]
async fn an_operation_is_adopted_after_a_restart_and_the_next_one_waits_for_its_end() {
    let world = World::new().await;
    let acme = Stack { template: HELD.into(), ..stack(1, "acme") };
    let (create, update) = (acme.create(1, 30), acme.update(2, 60));
    let before = world.driver().await;
    assert_eq!(before.submit(&create).await.unwrap(), Submitted::Accepted);
    drop(before);

    let driver = world.driver().await;
    let mut events = driver.events();
    assert_eq!(observe(&driver, &create).await, Observation::InProgress);
    assert_eq!(driver.submit(&create).await.unwrap(), Submitted::Accepted);
    assert_eq!(driver.submit(&update).await.unwrap(), Submitted::Accepted);
    assert_eq!(observe(&driver, &update).await, Observation::InProgress);
    loop {
        if let DriverEvent::Progress { token, line, .. } = events.recv().await.unwrap()
            && token == update.token
        {
            assert_eq!(line, "waits: another operation works on the stack (CREATE_IN_PROGRESS)");
            break;
        }
    }
    release(&world, "tg-acme").await;
    assert_eq!(runs(&end_of(&driver, &update, &mut events).await), "digest-60");
    let Observation::Ended(made) = observe(&driver, &create).await else { panic!("the create has ended") };
    assert!(matches!(made, Outcome::Succeeded { .. }), "{made:?}");
    let log = world.proxy.take_log();
    assert_eq!((accepted(&log, "CreateStack"), accepted(&log, "UpdateStack")), (1, 1), "{log:#?}");
}

#[tokio::test]
async fn a_stack_of_somebody_else_is_not_touched() {
    let world = World::new().await;
    let somebody = world.somebody();
    let template = "{\"Resources\":{\"Q\":{\"Type\":\"AWS::SQS::Queue\"}}}";
    somebody.create_stack().stack_name("tg-acme").template_body(template).send().await.unwrap();
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    for change in [acme.create(1, 30), acme.delete(2)] {
        let (code, sentence, ..) = failure(perform(&driver, &change).await);
        assert_eq!(code, "stack_foreign", "{sentence}");
    }
    let log = world.proxy.take_log();
    assert_eq!(accepted(&log, "DeleteStack") + accepted(&log, "CreateStack"), 0);
}

#[tokio::test]
async fn a_stack_that_somebody_deleted_is_missed_and_not_made_anew() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    let somebody = world.somebody();
    somebody.delete_stack().stack_name("tg-acme").send().await.unwrap();
    while somebody.describe_stacks().stack_name("tg-acme").send().await.is_ok() {
        tokio::task::yield_now().await;
    }
    let (code, sentence, retryable, _) = failure(perform(&driver, &acme.update(2, 60)).await);
    assert_eq!((code.as_str(), retryable), ("stack_missing", false));
    assert!(sentence.contains("create it again"), "{sentence}");
    assert_eq!(runs(&perform(&driver, &acme.create(3, 60)).await), "digest-60");
}

#[tokio::test]
async fn a_protected_stack_says_so() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    let protect = world.somebody().update_termination_protection().stack_name("tg-acme");
    protect.enable_termination_protection(true).send().await.unwrap();
    let (code, sentence, _, running) = failure(perform(&driver, &acme.delete(2)).await);
    assert_eq!((code.as_str(), running.as_deref()), ("termination_protected", Some("digest-30")));
    assert!(sentence.contains("turn its termination protection off"), "{sentence}");
}

/// A stack with a resource that says no, in the words of a handler that is a function.
pub fn refusing(when: &str) -> Stack {
    let template = format!(
        r#"
Parameters:
  Visibility: {{ Type: Number, Default: 30 }}
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{{ Effect: Allow, Principal: {{ Service: lambda.amazonaws.com }}, Action: "sts:AssumeRole" }}]
  Handler:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Code:
        ZipFile: |
          import json, urllib.request
          def handler(event, context):
              new = event["ResourceProperties"].get("Visibility")
              old = event.get("OldResourceProperties", {{}}).get("Visibility")
              kind = event["RequestType"]
              fails = {when}
              body = json.dumps({{
                  "Status": "FAILED" if fails else "SUCCESS", "Reason": "it is still in use",
                  "PhysicalResourceId": "keeper", "StackId": event["StackId"], "RequestId": event["RequestId"],
                  "LogicalResourceId": event["LogicalResourceId"], "Data": {{}},
              }}).encode()
              urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], data=body, method="PUT"))
  Keeper:
    Type: Custom::Keeper
    Properties:
      ServiceToken: !GetAtt Handler.Arn
      Visibility: !Ref Visibility
"#
    );
    Stack { template, ..stack(1, "acme") }
}

#[tokio::test]
async fn a_stack_that_cannot_be_deleted_names_the_resource_that_holds() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = refusing("kind == 'Delete'");
    assert_eq!(runs(&perform(&driver, &acme.create(1, 30)).await), "digest-30");
    let (code, sentence, ..) = failure(perform(&driver, &acme.delete(2)).await);
    assert_eq!(code, "delete_failed");
    assert!(sentence.starts_with("Keeper (Custom::Keeper) failed: "), "{sentence}");
    assert!(sentence.contains("it is still in use"), "{sentence}");
    // It is there, half deleted: only a person can say whether it holds data.
    let (code, ..) = failure(perform(&driver, &acme.update(3, 60)).await);
    assert_eq!(code, "stack_half_deleted");
}

#[tokio::test]
async fn an_update_that_could_not_go_back_is_continued_by_the_next() {
    let world = World::new().await;
    let driver = world.driver().await;
    // The update to 60 fails, and the way back to 30 fails once before it succeeds.
    let fails = "kind == 'Update' and (new == '60' or (new == '30' and not __import__('os').path.exists(\
                 '/tmp/MARK') and (open('/tmp/MARK', 'w').close() or True)))";
    let mark = format!("tidegate-{}", world.emulator.address.port());
    let acme = refusing(&fails.replace("MARK", &mark));
    assert_eq!(runs(&perform(&driver, &acme.create(1, 30)).await), "digest-30");
    let (code, sentence, ..) = failure(perform(&driver, &acme.update(2, 60)).await);
    assert_eq!(code, "update_failed");
    assert!(sentence.contains("going back failed too"), "{sentence}");

    let next = perform(&driver, &acme.update(3, 90)).await;
    let _ = std::fs::remove_file(format!("/tmp/{mark}"));
    assert_eq!(runs(&next), "digest-90");
    let log = world.proxy.take_log();
    assert_eq!(accepted(&log, "ContinueUpdateRollback"), 1, "{log:#?}");
}

#[tokio::test]
async fn what_failed_is_told_while_the_stack_still_goes_back() {
    let world = World::new().await;
    let driver = world.driver().await;
    let slowly_back = "new == '30' and __import__('time').sleep(2)";
    let acme = refusing(&format!("kind == 'Update' and (new == '60' or {slowly_back})"));
    perform(&driver, &acme.create(1, 30)).await;
    let mut events = driver.events();
    let update = acme.update(2, 60);
    assert_eq!(driver.submit(&update).await.unwrap(), Submitted::Accepted);
    let mut lines = vec![];
    loop {
        match events.recv().await.unwrap() {
            DriverEvent::Troubled { .. } => break,
            DriverEvent::Progress { line, .. } => lines.push(line),
            DriverEvent::Down { .. } | DriverEvent::Up { .. } => {}
            DriverEvent::Ended { .. } => panic!("it was told too late"),
        }
    }
    let Observation::Troubled(reason) = observe(&driver, &update).await else {
        panic!("no trouble: {lines:#?}")
    };
    assert!(reason.sentence.starts_with("goes back: Keeper (Custom::Keeper)"), "{reason}");
    assert_eq!(lines.last(), Some(&reason.sentence));
    let (code, ..) = failure(end_of(&driver, &update, &mut events).await);
    assert_eq!(code, "update_failed");
}
