//! Stack events through a queue: few calls, the cause of a failure at once, and no harm from whatever a queue does.

use crate::fleet::{all, all_run, fleet};
use crate::others::{HELD, refusing, release};
use crate::world::*;
use aws::Queue;
use drivers::cloudformation::budget::Limits;
use drivers::cloudformation::{Cloudformation, Settings};
use drivers::{Driver, DriverEvent, Observation, Submitted};
use emulator::{Bridge, Call, Fault, Form, TOPIC, accepted, events_queue, of_queue};
use std::time::{Duration, Instant};

/// How often the bridge looks for events.
const SOON: Duration = Duration::from_millis(50);

/// A driver that hears of events, once it does.
async fn listening(world: &World, queue: &Queue) -> Cloudformation {
    let settings = Settings {
        events_queue: Some(queue.url.clone()),
        notification_arns: vec![TOPIC.into()],
        limits: Limits { per_second: 500.0, burst: 500.0 },
        ..world.settings()
    };
    let driver = Cloudformation::connect(settings).await;
    let receives = || world.proxy.take_log().iter().filter(|c| of_queue(c) && c.accepted).count();
    let waiting = async {
        while receives() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the queue is not read");
    driver
}

/// Calls of CloudFormation.
fn cloudformation(log: &[Call]) -> usize {
    log.iter().filter(|call| !of_queue(call)).count()
}

#[tokio::test]
async fn fifty_stacks_are_updated_with_hardly_more_than_a_call_each() {
    let world = World::new().await;
    let queue = events_queue(&world.emulator).await;
    let driver = listening(&world, &queue).await;
    let _bridge = Bridge::over(&world.emulator, &queue, Form::Sns, SOON).await;
    let fleet = fleet(50);
    all_run(&all(&driver, fleet.iter().map(|s| s.create(1, 30)).collect(), 20).await, "digest-30");
    world.proxy.take_log();

    let begin = Instant::now();
    all_run(&all(&driver, fleet.iter().map(|s| s.update(2, 60)).collect(), 20).await, "digest-60");
    let log = world.proxy.take_log();
    let per_stack = cloudformation(&log) as f64 / 50.0;
    println!("{per_stack} calls for each updated stack with events, in {:?}", begin.elapsed());
    assert_eq!(accepted(&log, "UpdateStack"), 50);
    assert_eq!(driver.trouble(), None);
    assert!(per_stack <= 1.2, "{per_stack} calls for each stack");

    drop(driver);
    // A driver without memory, one that never saw when a stack's former operation began, needs no more.
    let driver = listening(&world, &queue).await;
    all_run(&all(&driver, fleet.iter().map(|s| s.update(3, 90)).collect(), 20).await, "digest-90");
    let per_stack = cloudformation(&world.proxy.take_log()) as f64 / 50.0;
    println!("{per_stack} after a restart");
    assert!(per_stack <= 1.2, "{per_stack} calls for each stack after a restart");
}

/// Each kind of operation, in each form in which its events may come.
#[tokio::test]
async fn every_form_of_event_leads_to_the_same_end() {
    for form in [Form::Sns, Form::Raw, Form::EventBridge, Form::SnsTwiceBackwards] {
        let world = World::new().await;
        let queue = events_queue(&world.emulator).await;
        let driver = listening(&world, &queue).await;
        let _bridge = Bridge::over(&world.emulator, &queue, form, SOON).await;
        let acme = stack(1, "acme");
        let begin = Instant::now();
        assert_eq!(runs(&perform(&driver, &acme.create(1, 30)).await), "digest-30", "{form:?}");
        assert_eq!(runs(&perform(&driver, &acme.update(2, 60)).await), "digest-60", "{form:?}");
        let (code, sentence, _, running) = failure(perform(&driver, &acme.update(3, TOO_LONG)).await);
        assert_eq!((code.as_str(), running.as_deref()), ("update_failed", Some("digest-60")), "{sentence}");
        assert!(sentence.starts_with("Orders (AWS::SQS::Queue) failed"), "{sentence}");
        assert_eq!(runs(&perform(&driver, &acme.delete(4)).await), "nothing", "{form:?}");
        // A sweep would come after a minute.
        assert!(begin.elapsed() < Duration::from_secs(50), "{form:?}: {:?}", begin.elapsed());
        let log = world.proxy.take_log();
        let sent = ["CreateStack", "UpdateStack", "DeleteStack"].map(|action| accepted(&log, action));
        assert_eq!(sent, [1, 2, 1], "{form:?}: {log:#?}");
    }
}

#[tokio::test]
async fn what_failed_first_is_told_at_once_and_each_line_once() {
    let world = World::new().await;
    let queue = events_queue(&world.emulator).await;
    let driver = listening(&world, &queue).await;
    let _bridge = Bridge::over(&world.emulator, &queue, Form::Sns, SOON).await;
    let slowly_back = "new == '30' and __import__('time').sleep(2)";
    let acme = refusing(&format!("kind == 'Update' and (new == '60' or {slowly_back})"));
    perform(&driver, &acme.create(1, 30)).await;
    world.proxy.take_log();
    let mut events = driver.events();
    let update = acme.update(2, 60);
    assert_eq!(driver.submit(&update).await.unwrap(), Submitted::Accepted);
    let mut lines = vec![];
    loop {
        match events.recv().await.unwrap() {
            DriverEvent::Progress { line, .. } => lines.push(line),
            DriverEvent::Ended { .. } => break,
            DriverEvent::Down { .. } | DriverEvent::Up { .. } => {}
            DriverEvent::Troubled { .. } => {
                let log = world.proxy.take_log();
                assert_eq!(cloudformation(&log), 1, "it was told without a call: {log:#?}");
                let Observation::Troubled(reason) = observe(&driver, &update).await else {
                    panic!("no trouble")
                };
                assert_eq!((reason.code.as_ref(), Some(&reason.sentence)), ("goes_back", lines.last()));
            }
        }
    }
    assert_eq!(lines.iter().filter(|line| line.starts_with("goes back: ")).count(), 1, "{lines:#?}");
    let failed = |line: &&String| line.starts_with("UPDATE_FAILED Keeper (Custom::Keeper)");
    assert_eq!(lines.iter().filter(failed).count(), 1, "{lines:#?}");
    let (code, sentence, ..) = failure(end_of(&driver, &update, &mut events).await);
    assert!(code == "update_failed" && sentence.starts_with("Keeper (Custom::Keeper) failed"), "{sentence}");
}

#[tokio::test]
async fn a_queue_that_cannot_be_read_is_told_and_sweeps_do_its_work() {
    let world = World::new().await;
    let queue = events_queue(&world.emulator).await;
    let driver = listening(&world, &queue).await;
    let _bridge = Bridge::over(&world.emulator, &queue, Form::Sns, SOON).await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    assert_eq!(driver.trouble(), None);
    world.proxy.follow(|call| if of_queue(call) { Fault::Broken } else { Fault::None });
    let trouble = loop {
        match driver.trouble() {
            Some(trouble) => break trouble,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(trouble.code, "events_unread");
    assert!(trouble.sentence.contains(&queue.url) && trouble.sentence.contains("looked at"), "{trouble}");
    let begin = Instant::now();
    assert_eq!(runs(&perform(&driver, &acme.update(2, 60)).await), "digest-60");
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    world.proxy.follow(|_| Fault::None);
    while driver.trouble().is_some() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_named() {
    let world = World::new().await;
    let settings = drivers::cloudformation::Settings {
        events_queue: Some(format!("http://{}/000000000000/none", world.emulator.address)),
        ..world.settings()
    };
    let driver = drivers::cloudformation::Cloudformation::connect(settings).await;
    while driver.trouble().is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let trouble = driver.trouble().unwrap();
    assert!(trouble.sentence.contains("there is no such queue"), "{trouble}");
    assert!(trouble.sentence.contains("make it or correct events_queue"), "{trouble}");
    assert_eq!(runs(&perform(&driver, &stack(1, "acme").create(1, 30)).await), "digest-30");
}

/// How many messages are in the queue, seen or not.
async fn left(queue: &aws::Queue, most: usize) -> Vec<String> {
    let mut bodies = vec![];
    while bodies.len() < most {
        let some = queue.receive(Duration::from_secs(1), 10).await.unwrap();
        if some.is_empty() {
            break;
        }
        for message in some {
            queue.delete(&message.receipt).await.unwrap();
            bodies.push(message.body);
        }
    }
    bodies
}

#[tokio::test]
async fn what_is_not_for_this_process_is_left_or_deleted_and_never_stops_it() {
    let world = World::new().await;
    let queue = events_queue(&world.emulator).await;
    let of = |token: &str| {
        format!(
            "StackId='arn:aws:cloudformation:eu-west-1:0:stack/tg-other/1'\nLogicalResourceId='tg-other'\n\
             ResourceStatus='UPDATE_COMPLETE'\nResourceType='AWS::CloudFormation::Stack'\nStackName='tg-other'\n\
             ClientRequestToken='{token}'\n"
        )
    };
    for body in ["", "hello", "{\"Type\":\"Notification\"}", &of("Console-UpdateStack-1"), &of("null")] {
        let body = if body.is_empty() { " " } else { body };
        queue.send(body).await.unwrap();
    }
    // Two replicas read one queue, and each event is of an operation that only one of them has.
    let (one, two) = (listening(&world, &queue).await, listening(&world, &queue).await);
    let _bridge = Bridge::over(&world.emulator, &queue, Form::Sns, SOON).await;
    let begin = Instant::now();
    for n in 1..=2 {
        let (acme, other) = (stack(n, &format!("acme-{n}")), stack(10 + n, &format!("other-{n}")));
        let (acme, other) = (acme.create(1, 30), other.create(1, 30));
        let (acme, other) = tokio::join!(perform(&one, &acme), perform(&two, &other));
        assert_eq!((runs(&acme), runs(&other)), ("digest-30".into(), "digest-30".into()));
    }
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    // An operation that nobody has, such as another installation's, is not kept for ever.
    let nobodys = of("00000000-0000-0000-0000-0000000f0f0f");
    queue.send(&nobodys).await.unwrap();
    drop(_bridge);
    tokio::time::sleep(Duration::from_secs(15)).await;
    drop((one, two));
    let left = left(&queue, 100).await;
    assert!(left.is_empty(), "{left:#?}");
}

/// The end of somebody else's operation is an event too: whoever waits for it goes on.
#[tokio::test]
async fn who_waits_for_another_operation_hears_of_its_end() {
    let world = World::new().await;
    let queue = events_queue(&world.emulator).await;
    let acme = Stack { template: HELD.into(), ..stack(1, "acme") };
    let driver = listening(&world, &queue).await;
    let _bridge = Bridge::over(&world.emulator, &queue, Form::Sns, SOON).await;
    let (create, update) = (acme.create(1, 30), acme.update(2, 60));
    let mut events = driver.events();
    assert_eq!(driver.submit(&create).await.unwrap(), Submitted::Accepted);
    assert_eq!(driver.submit(&update).await.unwrap(), Submitted::Accepted);
    release(&world, "tg-acme").await;
    assert_eq!(runs(&end_of(&driver, &update, &mut events).await), "digest-60");
    let log = world.proxy.take_log();
    assert_eq!((accepted(&log, "CreateStack"), accepted(&log, "UpdateStack")), (1, 1), "{log:#?}");
}
