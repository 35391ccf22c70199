//! Pipelines of Step Functions that wait for a decision: asked in the inbox, told until they have answered.

use crate::world::World;
use aws_sdk_sfn::Client;
use emulator::Fault;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use system_tests::{Browser, Db, on_both, until};

on_both!(a_pipeline_is_told_what_was_decided, a_decision_outlives_the_server_and_lost_answers);

/// A state machine that asks for its approval as the reference pipeline does, and remembers what it was told.
struct Pipeline {
    client: Client,
    machine: String,
}

impl Pipeline {
    async fn new(world: &World) -> Self {
        let client = Client::new(&world.config);
        let definition = json!({ "StartAt": "Ask", "States": { "Ask": {
            "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": true,
            "Parameters": { "QueueUrl": world.url("task_gates"), "MessageBody": {
                "MessageTitle.$": "$.title", "CurrentDeploymentWave.$": "$.wave", "TaskToken.$": "$$.Task.Token"
            } } } } });
        let made = client.create_state_machine().name("pipeline").definition(definition.to_string());
        let made = made.role_arn("arn:aws:iam::000000000000:role/pipeline").send().await.unwrap();
        Self { client, machine: made.state_machine_arn }
    }

    async fn start(&self, title: &str) -> String {
        let input = json!({ "title": title, "wave": "2" }).to_string();
        let started =
            self.client.start_execution().state_machine_arn(&self.machine).input(input).send().await;
        started.unwrap().execution_arn
    }

    /// Its status, and what it ended with. The emulator tells errors as output, where AWS has fields for them.
    async fn state(&self, execution: &str) -> (String, Value) {
        let seen = self.client.describe_execution().execution_arn(execution).send().await.unwrap();
        let said = seen.output.map(|text| serde_json::from_str(&text).unwrap());
        let failed = || json!({ "Error": seen.error, "Cause": seen.cause });
        (seen.status.as_str().to_owned(), said.unwrap_or_else(failed))
    }
}

async fn tasks(world: &World) -> Vec<Value> {
    let (status, tasks) = world.call("GET", "/tasks", None).await;
    assert_eq!(status, StatusCode::OK, "{tasks}");
    tasks["items"].as_array().unwrap().clone()
}

async fn asking(world: &World, title: &str) -> String {
    until("the task asks", || async { tasks(world).await.iter().any(|t| t["title"] == title) }).await;
    let all = tasks(world).await;
    let task = all.iter().find(|t| t["title"] == title).unwrap();
    assert_eq!(
        (&task["state"], &task["wave"], &task["queue"]),
        (&json!("asking"), &json!("2"), &json!("tidegate-task_gates"))
    );
    task["id"].as_str().unwrap().to_owned()
}

async fn a_pipeline_is_told_what_was_decided(db: Db) {
    let world = World::start(db, "").await;
    let pipeline = Pipeline::new(&world).await;
    let mut admin = world.server().admin().await;
    let password = admin.add_person("vera@example.com", "viewer").await;

    // Approved on its page, with the output to the letter.
    let first = pipeline.start("Deploy wave 2?").await;
    let id = asking(&world, "Deploy wave 2?").await;
    let page = world.page(&mut admin, "/approvals").await;
    assert!(page.contains("Deploy wave 2?") && page.contains("tidegate-task_gates"), "{page}");
    let mut vera = Browser::new(&world.server().base);
    vera.sign_in("vera@example.com", password).await;
    assert!(world.page(&mut vera, "/approvals").await.contains("You cannot decide here"));
    let (needed, waiting) = (world.page(&mut admin, "/").await, world.page(&mut vera, "/").await);
    assert!(needed.contains("Needs you") && needed.contains("A pipeline waits for a decision"), "{needed}");
    assert!(waiting.contains("Waits for others") && !waiting.contains("Needs you"), "{waiting}");
    let fields = |verdict| [("form[id]", id.as_str()), ("form[comment]", ""), ("form[verdict]", verdict)];
    vera.submit("decide_task", &fields("approve")).await;
    assert_eq!(pipeline.state(&first).await.0, "RUNNING", "a viewer decides nothing");
    // A rejection without a reason is sent back.
    admin.submit("decide_task", &fields("reject")).await;
    assert!(world.page(&mut admin, "/approvals").await.contains("say why you reject"));
    admin.submit("decide_task", &fields("approve")).await;
    until("the pipeline goes on", || async { pipeline.state(&first).await.0 == "SUCCEEDED" }).await;
    let said = pipeline.state(&first).await.1;
    assert_eq!(said, json!({ "approval_status": "Approved" }));
    until("that is known", || async { tasks(&world).await[0]["state"] == "told" }).await;
    let (status, twice) = world
        .call("POST", &format!("/tasks/{id}/decide"), Some(json!({ "verdict": "reject", "comment": "late" })))
        .await;
    assert_eq!((status, &twice["code"]), (StatusCode::CONFLICT, &json!("gate_decided")), "{twice}");
    assert!(twice["detail"].as_str().unwrap().contains("admin@localhost has approved it already"), "{twice}");

    // Rejected over REST, with its cause.
    let second = pipeline.start("Deploy wave 2 again?").await;
    let id = asking(&world, "Deploy wave 2 again?").await;
    let no = json!({ "verdict": "reject", "comment": "exports fail" });
    assert_eq!(world.call("POST", &format!("/tasks/{id}/decide"), Some(no)).await.0, StatusCode::ACCEPTED);
    until("the pipeline ends", || async { pipeline.state(&second).await.0 == "FAILED" }).await;
    let said = pipeline.state(&second).await.1;
    assert_eq!(said, json!({ "Error": "Rejected", "Cause": "exports fail (admin@localhost (tests))" }));

    // The same token twice is one task; one that nobody waits for says so when it is decided.
    let stray =
        json!({ "MessageTitle": "Stray?", "CurrentDeploymentWave": 2, "TaskToken": "stray-token-of-nobody" });
    world.send("task_gates", &stray).await;
    world.send("task_gates", &stray).await;
    world.emptied("task_gates").await;
    let id = asking(&world, "Stray?").await;
    assert_eq!(tasks(&world).await.iter().filter(|t| t["title"] == "Stray?").count(), 1);
    let yes = json!({ "verdict": "approve" });
    assert_eq!(world.call("POST", &format!("/tasks/{id}/decide"), Some(yes)).await.0, StatusCode::ACCEPTED);
    let stray = async || tasks(&world).await.into_iter().find(|t| t["title"] == "Stray?").unwrap();
    until("it is known to be gone", || async { stray().await["state"] == "lapsed" }).await;
    assert!(stray().await["reason"].as_str().unwrap().contains("TaskDoesNotExist"), "{}", stray().await);
    let page = world.page(&mut admin, "/approvals").await;
    assert!(page.contains("Waits no longer") && page.contains("Knows it"), "{page}");
    let record = world.page(&mut admin, "/activity?about=task/").await;
    for told in ["waits for a decision", "exports fail", "has taken the decision", "is closed"] {
        assert!(record.contains(told), "{told}: {record}");
    }
    for text in [page, record, json!(tasks(&world).await).to_string()] {
        assert!(!text.contains("stray-token"), "a token is for its pipeline alone");
    }
}

async fn a_decision_outlives_the_server_and_lost_answers(db: Db) {
    let mut world = World::start(db, "").await;
    let pipeline = Pipeline::new(&world).await;
    let execution = pipeline.start("Go on?").await;
    let id = asking(&world, "Go on?").await;
    let (down, tries) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (is_down, counted) = (down.clone(), tries.clone());
    world.cloud.proxy.follow(move |call| match call.action.as_str() {
        "SendTaskSuccess" if is_down.load(Ordering::SeqCst) => {
            counted.fetch_add(1, Ordering::SeqCst);
            Fault::Cut
        }
        _ => Fault::None,
    });
    let yes = json!({ "verdict": "approve" });
    assert_eq!(world.call("POST", &format!("/tasks/{id}/decide"), Some(yes)).await.0, StatusCode::ACCEPTED);
    until("telling was tried", || async { tries.load(Ordering::SeqCst) >= 2 }).await;
    until("it is said why", || async { tasks(&world).await[0]["reason"].is_string() }).await;
    assert_eq!(tasks(&world).await[0]["state"], "decided");
    assert_eq!(pipeline.state(&execution).await.0, "RUNNING");
    world.kill_and_start_again().await;
    down.store(false, Ordering::SeqCst);
    until("the pipeline goes on", || async { pipeline.state(&execution).await.0 == "SUCCEEDED" }).await;
    until("that is known", || async { tasks(&world).await[0]["state"] == "told" }).await;
}
