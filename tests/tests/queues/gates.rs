//! Gates that ask: announced with a token, answered through a queue, decided once and for the plan that was shown.

use crate::schemas::Schema;
use crate::world::World;
use emulator::Fault;
use serde_json::{Value, json};
use system_tests::{Db, on_both, until};

on_both!(
    a_gate_is_answered_through_a_queue,
    a_quorum_needs_as_many_people_as_it_says,
    an_announcement_whose_answer_is_lost_is_good_for_one_answer,
);

fn answer(id: &str, token: &Value, by: &str) -> Value {
    json!({ "type": "gate.answer", "version": 1, "id": id, "token": token, "decision": "approve", "by": by })
}

async fn a_gate_is_answered_through_a_queue(db: Db) {
    let mut world = World::start(db, "'any'").await;
    world.fleet(json!({ "quorum": 1, "expiry": 3_600_000 })).await;
    let (opened, _) = Schema::get(&world.server().base, "gate.opened.v1").await;
    let (answers, _) = Schema::get(&world.server().base, "gate.answer.v1").await;
    let mut admin = world.server().admin().await;
    let rollout = world.roll_out().await;

    let first = world.next("gates").await;
    opened.check(&first).unwrap();
    assert_eq!(first["rollout"]["id"], rollout.as_str());
    assert_eq!(first["wave"], json!({ "number": 1, "name": "Canary", "of": 2 }));
    assert_eq!(first["next"], json!({ "number": 2, "name": "Rest", "stacks": 1, "tenants": 1 }));
    assert_eq!((&first["plan"]["from"], &first["plan"]["to"]), (&json!(["1.0.0"]), &json!("1.1.0")));
    assert_eq!((&first["plan"]["stacks"], &first["approvals"]["missing"]), (&json!(2), &json!(1)));
    assert_eq!(first["link"], format!("http://localhost:{}/gates/{rollout}/1", world.server().port));

    // Whoever started it does not count, and that uses up no token; the message is done with.
    let own = answer("a-1", &first["token"], "Admin@localhost");
    answers.check(&own).unwrap();
    world.send("answers", &own).await;
    world.emptied("answers").await;
    let record = world.page(&mut admin, "/activity?about=queue/").await;
    assert!(record.contains("whoever started the rollout cannot approve it"), "{record}");

    // A tenant that joins the next wave changes the plan: it is announced anew, and the former token counts no more.
    world.tenant("cedar", &[]).await;
    let second = world.next("gates").await;
    opened.check(&second).unwrap();
    assert_ne!(first["plan"]["hash"], second["plan"]["hash"]);
    assert_ne!(first["token"], second["token"]);
    world.send("answers", &answer("a-2", &first["token"], "pm@corp.example")).await;
    world.emptied("answers").await;
    let record = world.page(&mut admin, "/activity?about=queue/").await;
    assert!(record.contains("the plan changed since it was shown"), "{record}");
    assert_eq!(world.status(&rollout).await, "running");

    // The server is killed; the newest token counts still, once, however often its message comes.
    world.kill_and_start_again().await;
    let yes = answer("a-3", &second["token"], "pm@corp.example");
    world.send("answers", &yes).await;
    world.send("answers", &yes).await;
    until("the rollout is complete", || async { world.status(&rollout).await == "succeeded" }).await;
    world.emptied("answers").await;
    let (_, view) = world.call("GET", &format!("/rollouts/{rollout}"), None).await;
    assert_eq!(view["waves"][0]["state"], "passed", "{view}");
    assert_eq!(world.version("cedar").await.as_deref(), Some("1.1.0"));
    let record = world.page(&mut admin, "/activity?about=rollout/").await;
    let told = "pm@corp.example approved wave 1 “Canary” through a queue";
    assert_eq!(record.matches(told).count(), 1, "one decision, recorded as what it was: {record}");

    // Late, by another: a clear outcome, nothing set aside.
    world.send("answers", &answer("a-4", &second["token"], "late@corp.example")).await;
    world.emptied("answers").await;
    let record = world.page(&mut admin, "/activity?about=queue/").await;
    assert!(record.contains("late@corp.example answered the gate of wave 1 through a queue"), "{record}");
    let (_, queues) = world.call("GET", "/queues", None).await;
    assert_eq!(queues["set_aside_in_all"], 0, "{queues}");
    assert!(world.is_empty("gates").await, "nothing was announced twice");
    let settings = world.page(&mut admin, "/settings").await;
    assert!(settings.contains("Announced gates") && settings.contains("Answered"), "{settings}");
    assert!(!settings.contains("tgt_"), "a token is for its receiver alone");
}

async fn a_quorum_needs_as_many_people_as_it_says(db: Db) {
    let world = World::start(db, "['product']").await;
    world.fleet(json!({ "quorum": 2, "group": "product", "expiry": 3_600_000 })).await;
    let mut admin = world.server().admin().await;
    admin.add_person("vera@example.com", "viewer").await;
    let rollout = world.roll_out().await;
    let first = world.next("gates").await;
    assert_eq!(
        first["approvals"],
        json!({ "group": "product", "missing": 2, "groups": [{ "group": "product", "missing": 2 }], "escalated": null })
    );

    // Somebody on record has their own rights, whatever the queue says.
    world.send("answers", &answer("q-1", &first["token"], "vera@example.com")).await;
    world.send("answers", &answer("q-2", &first["token"], "one@corp.example")).await;
    let second = world.next("gates").await;
    assert_eq!(second["approvals"]["missing"], 1);
    assert_eq!(second["plan"]["hash"], first["plan"]["hash"]);
    world.send("answers", &answer("q-3", &first["token"], "two@corp.example")).await;
    world.send("answers", &answer("q-4", &second["token"], "One@corp.example")).await;
    world.emptied("answers").await;
    assert_eq!(world.status(&rollout).await, "running", "one person is one approval");
    let record = world.page(&mut admin, "/activity?about=queue/").await;
    for told in ["may not decide gates", "this token was used already", "you have decided this gate already"]
    {
        assert!(record.contains(told), "{told}: {record}");
    }
    world.send("answers", &answer("q-5", &second["token"], "two@corp.example")).await;
    until("the rollout is complete", || async { world.status(&rollout).await == "succeeded" }).await;

    // A rejection through a queue stops as one in the console does; without a reason it is set aside.
    world.made("/releases", crate::world::release("1.2.0")).await;
    let started = world.made("/rollouts", json!({ "version": "1.2.0", "strategy": "Asking" })).await;
    let third = world.next("gates").await;
    let mut no = answer("q-6", &third["token"], "one@corp.example");
    no["decision"] = json!("reject");
    world.send("answers", &no).await;
    world.emptied("answers").await;
    let (_, queues) = world.call("GET", "/queues", None).await;
    assert!(queues["set_aside"][0]["reason"].as_str().unwrap().contains("comment: is empty"), "{queues}");
    assert!(!queues.to_string().contains("tgt_"), "its token is blacked out: {queues}");
    no["comment"] = json!("exports fail");
    world.send("answers", &no).await;
    let id = started["id"].as_str().unwrap();
    until("the rollout is halted", || async { world.status(id).await == "halted" }).await;
}

async fn an_announcement_whose_answer_is_lost_is_good_for_one_answer(db: Db) {
    let world = World::start(db, "'any'").await;
    world.fleet(json!({ "quorum": 1, "expiry": 3_600_000 })).await;
    let mut left = 2;
    world.cloud.proxy.follow(move |call| match call.action.as_str() {
        "SendMessage" if left > 0 => {
            left -= 1;
            if left == 1 { Fault::Broken } else { Fault::AcceptedThenCut }
        }
        _ => Fault::None,
    });
    let rollout = world.roll_out().await;
    let (first, second) = (world.next("gates").await, world.next("gates").await);
    assert_eq!(first["id"], second["id"], "the same message");
    assert_ne!(first["token"], second["token"]);
    world.send("answers", &answer("l-1", &second["token"], "one@corp.example")).await;
    until("the rollout is complete", || async { world.status(&rollout).await == "succeeded" }).await;
    world.send("answers", &answer("l-2", &first["token"], "two@corp.example")).await;
    world.emptied("answers").await;
    let mut admin = world.server().admin().await;
    let record = world.page(&mut admin, "/activity?about=queue/").await;
    assert!(record.contains("two@corp.example answered the gate"), "{record}");
}
