//! Sign-ups and releases that come through a queue: each once in effect, and what cannot be handled is set aside.

use crate::schemas::Schema;
use crate::world::{World, artifacts, tier};
use emulator::Fault;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use system_tests::{Db, on_both, until};

on_both!(
    what_comes_twice_is_done_once,
    what_cannot_be_handled_is_set_aside_and_tried_again,
    a_server_that_is_killed_before_it_deletes_repeats_nothing,
    a_queue_that_cannot_be_read_says_so,
);

fn sign_up(id: &str, slug: &str, tier: &str) -> Value {
    json!({ "type": "tenant.signup", "version": 1, "id": id, "name": slug, "email": "it@acme.example", "tier": tier })
}

fn register(id: &str, version: &str) -> Value {
    json!({ "type": "release.register", "version": 1, "id": id, "release": version, "artifacts": artifacts("1.0.0") })
}

async fn set_aside(world: &World) -> Vec<Value> {
    let (status, queues) = world.call("GET", "/queues", None).await;
    assert_eq!(status, StatusCode::OK, "{queues}");
    queues["set_aside"].as_array().unwrap().clone()
}

async fn what_comes_twice_is_done_once(db: Db) {
    let world = World::start(db, "").await;
    world.made("/tiers", tier("premium")).await;
    let (tenants, _) = Schema::get(&world.server().base, "tenant.signup.v1").await;
    let (releases, _) = Schema::get(&world.server().base, "release.register.v1").await;
    let (acme, one) = (sign_up("s-1", "acme", "premium"), register("r-1", "1.0.0"));
    tenants.check(&acme).unwrap();
    releases.check(&one).unwrap();
    for message in [&acme, &one, &acme, &one, &acme, &one] {
        world.send("intake", message).await;
    }
    // Another message that says the same of the release is handled too.
    world.send("intake", &register("r-2", "1.0.0")).await;
    world.emptied("intake").await;
    assert_eq!(world.tenants("acme").await, 1);
    let (_, list) = world.call("GET", "/releases", None).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["registered_by"], "queue tidegate-intake");
    assert_eq!(set_aside(&world).await, Vec::<Value>::new());
    let mut admin = world.server().admin().await;
    let record = world.page(&mut admin, "/activity").await;
    assert_eq!(record.matches("registered release 1.0.0").count(), 1, "{record}");
}

async fn what_cannot_be_handled_is_set_aside_and_tried_again(db: Db) {
    let world = World::start(db, "").await;
    let answer = json!({ "type": "gate.answer", "version": 1, "id": "x", "token": "tgt_secret_secret_secret_secret",
        "decision": "approve", "by": "a" });
    let mut strange = sign_up("p-3", "cedar", "premium");
    strange["colour"] = json!("red");
    let bad = [
        ("intake", json!("no object"), "body: must be a JSON object"),
        ("intake", json!({ "type": "tenant.signup", "version": 1 }), "id: is missing"),
        ("intake", json!({ "type": "tenant.remove", "version": 1, "id": "p-1" }), "type: is not known here"),
        (
            "intake",
            json!({ "type": "tenant.signup", "version": 2, "id": "p-2" }),
            "version: is not known here",
        ),
        ("intake", strange, "colour: does not fit"),
        ("intake", register("p-4", "one"), "release: "),
        ("intake", answer.clone(), "from the queue of answers alone"),
        ("answers", answer, "token: is none that Tidegate gave"),
        ("answers", register("p-5", "1.0.0"), "send it to the queue of intake"),
        (
            "task_gates",
            json!({ "MessageTitle": "Wave 2", "CurrentDeploymentWave": 2 }),
            "TaskToken: is missing",
        ),
    ];
    for (queue, message, _) in &bad {
        world.send(queue, message).await;
    }
    world
        .queue("intake")
        .send("{ \"type\": \"tenant.signup\", \"token\": \"tgt_cut_cut_cut_cut_cut_cut")
        .await
        .unwrap();
    for queue in ["intake", "answers", "task_gates"] {
        world.emptied(queue).await;
    }
    let aside = set_aside(&world).await;
    assert_eq!(aside.len(), bad.len() + 1, "{aside:?}");
    for (queue, message, told) in &bad {
        let fits = |m: &&Value| m["queue"] == *queue && m["reason"].as_str().unwrap().contains(told);
        assert!(aside.iter().any(|m| fits(&m)), "{message}: {aside:?}");
    }
    let shown = json!(aside).to_string();
    assert!(
        shown.contains("is no JSON") && !shown.contains("secret_secret") && !shown.contains("cut_cut"),
        "{shown}"
    );

    // A sign-up for a tier that is not there yet: tried again in vain, then with success.
    world.send("intake", &sign_up("s-1", "acme", "premium")).await;
    world.emptied("intake").await;
    let aside = set_aside(&world).await;
    let acme = aside.iter().find(|m| m["message"] == "s-1").unwrap();
    assert!(acme["reason"].as_str().unwrap().contains("tier: is no tier"), "{acme}");
    let id = acme["id"].as_str().unwrap();
    let mut admin = world.server().admin().await;
    let page = world.page(&mut admin, "/settings").await;
    assert!(
        page.contains("Try again") && page.contains("is no tier") && !page.contains("secret_secret"),
        "{page}"
    );
    let vain = admin.submit("try_message_again", &[("id", id)]).await;
    assert_eq!(vain.headers()["location"], "/settings");
    assert!(world.page(&mut admin, "/settings").await.contains("is no tier"), "it says why not");
    world.made("/tiers", tier("premium")).await;
    assert_eq!(admin.submit("try_message_again", &[("id", id)]).await.headers()["location"], "/settings");
    assert!(world.page(&mut admin, "/settings").await.contains("It was handled"));
    assert_eq!(world.tenants("acme").await, 1);
    let again = world.call("POST", &format!("/queues/messages/{id}/try-again"), Some(json!({}))).await;
    assert_eq!((again.0, &again.1["code"]), (StatusCode::CONFLICT, &json!("not_set_aside")));

    // Its sender sends it once more: known. Another message under its id is refused for good.
    world.send("intake", &sign_up("s-1", "acme", "premium")).await;
    world.send("intake", &sign_up("s-1", "birch", "premium")).await;
    world.emptied("intake").await;
    assert_eq!((world.tenants("acme").await, world.tenants("birch").await), (1, 0));
    let aside = set_aside(&world).await;
    let reused = aside.iter().find(|m| m["message"] == "s-1").unwrap();
    assert!(reused["reason"].as_str().unwrap().contains("id: was used for another message"), "{reused}");

    for message in &aside {
        let path = format!("/queues/messages/{}/dismiss", message["id"].as_str().unwrap());
        assert_eq!(world.call("POST", &path, None).await.0, StatusCode::NO_CONTENT);
    }
    assert_eq!(set_aside(&world).await, Vec::<Value>::new());
    let record = world.page(&mut admin, "/activity?about=queue/").await;
    assert!(record.contains("admin@localhost tried the message “s-1” of the queue intake again"), "{record}");
    assert!(record.contains("(tests) dismissed the message “s-1” of the queue intake"), "{record}");
}

async fn a_server_that_is_killed_before_it_deletes_repeats_nothing(db: Db) {
    let mut world = World::start(db, "").await;
    world.made("/tiers", tier("premium")).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    world.cloud.proxy.follow(move |call| match call.action.as_str() {
        "DeleteMessage" => {
            counted.fetch_add(1, Ordering::SeqCst);
            Fault::Cut
        }
        _ => Fault::None,
    });
    world.send("intake", &sign_up("k-1", "acme", "premium")).await;
    world.send("intake", &register("k-2", "1.0.0")).await;
    until("both are handled and cannot be deleted", || async { asked.load(Ordering::SeqCst) >= 2 }).await;
    world.kill_and_start_again().await;
    until("they were delivered again", || async { asked.load(Ordering::SeqCst) >= 4 }).await;
    assert!(!world.is_empty("intake").await, "nothing was deleted yet");
    assert_eq!(world.tenants("acme").await, 1);
    world.cloud.proxy.follow(|_| Fault::None);
    world.emptied("intake").await;
    assert_eq!(world.tenants("acme").await, 1);
    let (_, list) = world.call("GET", "/releases", None).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(set_aside(&world).await, Vec::<Value>::new());
}

async fn a_queue_that_cannot_be_read_says_so(db: Db) {
    let mut world = World::without_server().await;
    world.serve(db, &["intake"], "").await;
    let state = async || {
        let (_, queues) = world.call("GET", "/queues", None).await;
        queues["queues"][0].clone()
    };
    until("it is missed", || async { state().await["state"] == "fails" }).await;
    let told = state().await["reason"].as_str().unwrap().to_owned();
    assert!(told.contains("there is no such queue") && told.contains("correct its address"), "{told}");
    let mut admin = world.server().admin().await;
    let page = world.page(&mut admin, "/settings").await;
    assert!(page.contains("tidegate-intake") && page.contains("Cannot be read"), "{page}");
    world.make("intake").await;
    world.send("intake", &register("u-1", "1.0.0")).await;
    world.emptied("intake").await;
    until("it works", || async { state().await["state"] == "works" }).await;
}
