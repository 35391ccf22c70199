//! Permissions are asked in the service, whatever door somebody comes through: every method for every role, and
//! for every scope of a token.
#![allow(missing_docs, clippy::unwrap_used)]

use domain::access::{Channel, Permission, Role};
use domain::rollout::{Command, Verdict};
use domain::strategy::StrategySpec;
use domain::{
    Actor, AnnouncementId, ApiTokenId, HoldId, MailId, ProcessId, QueueMessageId, SignupId, Span, StackId,
    StrategyId, TaskId, TenantId, TierId, UserId, WindowId,
};
use service::{
    BulkChange, BulkVerb, Chosen, DriftFilter, Error, HoldForm, ImportForm, NewRelease, NewTenant, NewToken,
    NewUser, OwnWindowForm, PoolForm, RollBack, RulesForm, Service, StackFilter, StartRollout, TenantEdit,
    TierChangeForm, TierEdit, TierForm, WindowChoices, WindowForm,
};
use std::sync::Arc;
use store::{ActivityFilter, FleetFilter, Store, TenantFilter};
use uuid::Uuid;

/// Methods with the permission that each needs.
const NEEDED: &[(&str, Permission)] = &[
    ("activity", Permission::View),
    ("agenda", Permission::View),
    ("closed_groups", Permission::View),
    ("closed_stacks", Permission::View),
    ("delete_window", Permission::Rollouts),
    ("extend_hold", Permission::Rollouts),
    ("hold_stack", Permission::Rollouts),
    ("holds", Permission::View),
    ("lift_hold", Permission::Rollouts),
    ("override_windows", Permission::Rollouts),
    ("preview_window", Permission::View),
    ("preview_window_choices", Permission::View),
    ("save_window", Permission::Rollouts),
    ("save_window_choices", Permission::Rollouts),
    ("stack_named", Permission::View),
    ("stack_windows", Permission::View),
    ("window", Permission::View),
    ("windows", Permission::View),
    ("add_release", Permission::Releases),
    ("add_sample_tiers", Permission::Tiers),
    ("add_tenant", Permission::Tenants),
    ("add_user", Permission::Settings),
    ("announce_again", Permission::Settings),
    ("answer_signup", Permission::Tenants),
    ("ask_plan_changes", Permission::Rollouts),
    ("ask_wave_changes", Permission::Rollouts),
    ("catch_up", Permission::Rollouts),
    ("change_user", Permission::Settings),
    ("check_drift", Permission::Rollouts),
    ("converge", Permission::Rollouts),
    ("convergence", Permission::View),
    ("decide", Permission::Decide),
    ("decide_task", Permission::Decide),
    ("delete_strategy", Permission::Strategies),
    ("drift", Permission::View),
    ("drifts", Permission::View),
    ("dismiss_message", Permission::Settings),
    ("feed", Permission::View),
    ("fleet", Permission::View),
    ("gate", Permission::View),
    ("gates_page", Permission::View),
    ("import", Permission::Settings),
    ("keep_tenant", Permission::Tenants),
    ("edit_pool", Permission::Tenants),
    ("forget_wanted_pool", Permission::Tenants),
    ("make_pool", Permission::Tenants),
    ("pools", Permission::View),
    ("remove_pool", Permission::Tenants),
    ("live_release", Permission::View),
    ("metrics", Permission::View),
    ("offboard", Permission::Tenants),
    ("overview", Permission::View),
    ("plan_changes", Permission::Rollouts),
    ("position", Permission::View),
    ("preview", Permission::Rollouts),
    ("preview_catch_up", Permission::Rollouts),
    ("preview_import", Permission::Settings),
    ("preview_strategy", Permission::View),
    ("preview_tier", Permission::View),
    ("queue_view", Permission::Settings),
    ("release", Permission::View),
    ("releases", Permission::View),
    ("releases_page", Permission::View),
    ("repair", Permission::Rollouts),
    ("replicas", Permission::Settings),
    ("reset_password", Permission::Settings),
    ("resume_catch_up", Permission::Rollouts),
    ("retry_tenant", Permission::Tenants),
    ("open_rollout", Permission::View),
    ("preview_back", Permission::Rollouts),
    ("roll_back", Permission::Rollouts),
    ("mark_release", Permission::Releases),
    ("rollout", Permission::View),
    ("rollout_changes", Permission::View),
    ("rollouts", Permission::View),
    ("rollouts_page", Permission::View),
    ("save_convergence", Permission::Settings),
    ("save_strategy", Permission::Strategies),
    ("save_tier", Permission::Tiers),
    ("settings", Permission::Settings),
    ("stack", Permission::View),
    ("start_rollout", Permission::Rollouts),
    ("steer", Permission::Rollouts),
    ("strategies", Permission::View),
    ("strategies_page", Permission::View),
    ("strategy", Permission::View),
    ("suspend", Permission::Tenants),
    ("task", Permission::View),
    ("tasks", Permission::View),
    ("tenant", Permission::View),
    ("tenants", Permission::View),
    ("tier", Permission::View),
    ("tiers", Permission::View),
    ("tokens", Permission::View),
    ("try_message_again", Permission::Settings),
    ("users", Permission::Settings),
    ("waiting_signups", Permission::View),
    ("change_many", Permission::Tenants),
    ("driver_kinds", Permission::View),
    ("edit_tenant", Permission::Tenants),
    ("inbox", Permission::View),
    ("preview_bulk", Permission::Tenants),
    ("rollout_stacks", Permission::View),
    ("rollout_state", Permission::View),
    ("rollouts_before", Permission::View),
    ("save_strategy_seen", Permission::Strategies),
    ("save_tier_edit", Permission::Tiers),
    ("clear_tenant_window", Permission::Tenants),
    ("send_portal_link", Permission::Tenants),
    ("set_tenant_window", Permission::Tenants),
    ("tenant_window", Permission::View),
    ("send_again", Permission::Settings),
    ("set_suspended", Permission::Tenants),
    ("stack_in_rollout", Permission::View),
    ("suspend_with_reason", Permission::Tenants),
    ("targets", Permission::View),
    ("check_sources", Permission::View),
    ("tenant_tags", Permission::View),
    ("tier_change", Permission::View),
    ("set_suspended_with", Permission::Tenants),
    ("suspend_with_notice", Permission::Tenants),
    ("offboarding", Permission::View),
    ("certificate", Permission::View),
    ("tiers_for_change", Permission::View),
    ("preview_tier_change", Permission::View),
    ("change_tier", Permission::Tenants),
    ("undo_tier_change", Permission::Tenants),
    ("finish_tier_change", Permission::Tenants),
    ("skip_hook", Permission::Tenants),
    ("timeline", Permission::View),
];

/// Calls a method on an installation where nothing is: what is let through finds nothing, or finds its input wrong.
async fn call(s: &Service, actor: &Actor, name: &str) -> Result<(), Error> {
    let process = ProcessId(Uuid::from_u128(1));
    let (tenant, tier) = (TenantId(Uuid::from_u128(2)), TierId(Uuid::from_u128(3)));
    let (strategy, stack) = (StrategyId(Uuid::from_u128(4)), StackId(Uuid::from_u128(5)));
    let (user, signup) = (UserId(Uuid::from_u128(6)), SignupId(Uuid::from_u128(7)));
    let (task, message) = (TaskId(Uuid::from_u128(11)), QueueMessageId(Uuid::from_u128(12)));
    let (window, hold) = (WindowId(Uuid::from_u128(13)), HoldId(Uuid::from_u128(14)));
    match name {
        "offboarding" => s.offboarding(actor, tenant).await.map(drop),
        "certificate" => s.certificate(actor, tenant).await.map(drop),
        "set_suspended_with" => s.set_suspended_with(actor, tenant, true, "", "").await,
        "suspend_with_notice" => s.suspend_with_notice(actor, tenant, "x", "").await,
        "tier_change" => s.tier_change(actor, tenant).await.map(drop),
        "tiers_for_change" => s.tiers_for_change(actor, tenant).await.map(drop),
        "preview_tier_change" => {
            s.preview_tier_change(actor, tenant, &TierChangeForm::default()).await.map(drop)
        }
        "change_tier" => s.change_tier(actor, tenant, &TierChangeForm::default()).await.map(drop),
        "undo_tier_change" => s.undo_tier_change(actor, tenant, "").await,
        "finish_tier_change" => s.finish_tier_change(actor, tenant).await,
        "skip_hook" => s.skip_hook(actor, tenant, "").await,
        "agenda" => s.agenda(actor).await.map(drop),
        "closed_groups" => s.closed_groups(actor).await.map(drop),
        "closed_stacks" => s.closed_stacks(actor).await.map(drop),
        "delete_window" => s.delete_window(actor, window).await,
        "extend_hold" => s.extend_hold(actor, hold, &HoldForm::default()).await.map(drop),
        "hold_stack" => s.hold_stack(actor, stack, &HoldForm::default()).await.map(drop),
        "holds" => s.holds(actor).await.map(drop),
        "lift_hold" => s.lift_hold(actor, hold).await.map(drop),
        "override_windows" => s.override_windows(actor, stack, "").await,
        "preview_window" => s.preview_window(actor, &WindowForm::default()).await.map(drop),
        "preview_window_choices" => {
            s.preview_window_choices(actor, &WindowChoices::default()).await.map(drop)
        }
        "save_window_choices" => {
            s.save_window_choices(actor, None, &WindowChoices::default(), None).await.map(drop)
        }
        "save_window" => s.save_window(actor, None, &WindowForm::default(), None).await.map(drop),
        "stack_named" => s.stack_named(actor, "x", "").await.map(drop),
        "stack_windows" => s.stack_windows(actor, stack).await.map(drop),
        "window" => s.window(actor, window).await.map(drop),
        "windows" => s.windows(actor).await.map(drop),
        "activity" => s.activity(actor, &ActivityFilter::default()).await.map(drop),
        "add_release" => s.add_release(actor, NewRelease::default()).await.map(drop),
        "add_sample_tiers" => s.add_sample_tiers(actor).await,
        "add_tenant" => s.add_tenant(actor, NewTenant::default()).await.map(drop),
        "announce_again" => s.announce_again(actor, AnnouncementId(Uuid::from_u128(10))).await,
        "add_user" => s.add_user(actor, NewUser::default()).await.map(drop),
        "answer_signup" => s.answer_signup(actor, signup, true).await,
        "change_user" => s.change_user(actor, user, "admin", "", false).await,
        "catch_up" => s.catch_up(actor, &Chosen::Stacks(vec![stack]), None).await.map(drop),
        "converge" => s.converge(actor, stack).await.map(drop),
        "convergence" => s.convergence(actor).await.map(drop),
        "fleet" => s.fleet(actor, &FleetFilter::default()).await.map(drop),
        "preview_catch_up" => s.preview_catch_up(actor, &Chosen::Stacks(vec![stack])).await.map(drop),
        "resume_catch_up" => s.resume_catch_up(actor).await,
        "save_convergence" => s.save_convergence(actor, &RulesForm::default()).await,
        "decide" => s.decide(actor, process, 0, Verdict::Approve, "", "").await,
        "ask_plan_changes" => s.ask_plan_changes(actor, &StartRollout::default(), true).await.map(drop),
        "ask_wave_changes" => s.ask_wave_changes(actor, process, 0).await.map(drop),
        "check_drift" => s.check_drift(actor, stack).await,
        "drift" => s.drift(actor, stack).await.map(drop),
        "drifts" => s.drifts(actor, &DriftFilter::default()).await.map(drop),
        "plan_changes" => s.plan_changes(actor, &StartRollout::default()).await.map(drop),
        "repair" => s.repair(actor, stack).await.map(drop),
        "replicas" => s.replicas(actor).await.map(drop),
        "rollout_changes" => s.rollout_changes(actor, process).await.map(drop),
        "decide_task" => s.decide_task(actor, task, Verdict::Approve, "").await,
        "dismiss_message" => s.dismiss_message(actor, message).await,
        "delete_strategy" => s.delete_strategy(actor, strategy).await,
        "feed" => s.feed(actor, 0, 1).await.map(drop),
        "gate" => s.gate(actor, process, 0).await.map(drop),
        "gates_page" => s.gates_page(actor, None, 1).await.map(drop),
        "import" => s.import(actor, &ImportForm::default(), "").await.map(drop),
        "keep_tenant" => s.keep_tenant(actor, tenant).await,
        "edit_pool" => s.edit_pool(actor, stack, &PoolForm::default()).await,
        "forget_wanted_pool" => s.forget_wanted_pool(actor, "", "").await,
        "make_pool" => s.make_pool(actor, "", "").await,
        "pools" => s.pools(actor).await.map(drop),
        "remove_pool" => s.remove_pool(actor, stack).await,
        "live_release" => s.live_release(actor).await.map(drop),
        "metrics" => s.metrics(actor).await.map(drop),
        "offboard" => s.offboard(actor, tenant, "", Span::ZERO).await,
        "overview" => s.overview(actor).await.map(drop),
        "position" => s.position(actor).await.map(drop),
        "preview" => s.preview(actor, &StartRollout::default()).await.map(drop),
        "preview_import" => s.preview_import(actor, &ImportForm::default()).await.map(drop),
        "preview_tier" => s.preview_tier(actor, tier, TierEdit::default()).await.map(drop),
        "queue_view" => s.queue_view(actor).await.map(drop),
        "release" => s.release(actor, "1.0.0").await.map(drop),
        "releases" => s.releases(actor).await.map(drop),
        "releases_page" => s.releases_page(actor, None, 1).await.map(drop),
        "reset_password" => s.reset_password(actor, user).await.map(drop),
        "retry_tenant" => s.retry_tenant(actor, tenant).await,
        "open_rollout" => s.open_rollout(actor).await.map(drop),
        "preview_back" => s.preview_back(actor, process, &RollBack::default()).await.map(drop),
        "roll_back" => s.roll_back(actor, process, &RollBack::default()).await.map(drop),
        "mark_release" => s.mark_release(actor, "9.9.9", true, "x").await.map(drop),
        "rollout" => s.rollout(actor, process).await.map(drop),
        "rollouts" => s.rollouts(actor, 1).await.map(drop),
        "rollouts_page" => s.rollouts_page(actor, None, 1).await.map(drop),
        "preview_strategy" => s.preview_strategy(actor, &[None]).await.map(drop),
        "save_strategy" => s.save_strategy(actor, None, spec()).await.map(drop),
        "save_tier" => s.save_tier(actor, None, TierForm::default()).await.map(drop),
        "settings" => s.settings(actor).await.map(drop),
        "stack" => s.stack(actor, stack).await.map(drop),
        "start_rollout" => s.start_rollout(actor, &StartRollout::default()).await.map(drop),
        "steer" => s.steer(actor, process, Command::Resume).await,
        "strategies" => s.strategies(actor).await.map(drop),
        "strategies_page" => s.strategies_page(actor, None, 1).await.map(drop),
        "strategy" => s.strategy(actor, strategy).await.map(drop),
        "suspend" => s.set_suspended(actor, tenant, true, "").await,
        "task" => s.task(actor, task).await.map(drop),
        "tasks" => s.tasks(actor).await.map(drop),
        "tenant" => s.tenant(actor, tenant).await.map(drop),
        "tenants" => s.tenants(actor, &TenantFilter::default()).await.map(drop),
        "tier" => s.tier(actor, tier).await.map(drop),
        "tiers" => s.tiers(actor).await.map(drop),
        "tokens" => s.tokens(actor).await.map(drop),
        "try_message_again" => s.try_message_again(actor, message).await,
        "users" => s.users(actor).await.map(drop),
        "waiting_signups" => s.waiting_signups(actor).await.map(drop),
        "change_many" => s.change_many(actor, &bulk()).await.map(drop),
        "driver_kinds" => s.driver_kinds(actor).map(drop),
        "edit_tenant" => s.edit_tenant(actor, tenant, &TenantEdit::default()).await.map(drop),
        "inbox" => s.inbox(actor).await.map(drop),
        "preview_bulk" => s.preview_bulk(actor, BulkVerb::Suspend, &[tenant], None).await.map(drop),
        "rollout_stacks" => s.rollout_stacks(actor, process, &StackFilter::default()).await.map(drop),
        "rollout_state" => s.rollout_state(actor, process).await.map(drop),
        "rollouts_before" => s.rollouts_before(actor, None, 1).await.map(drop),
        "save_strategy_seen" => s.save_strategy_seen(actor, None, spec(), None).await.map(drop),
        "save_tier_edit" => s.save_tier_edit(actor, None, TierEdit::default()).await.map(drop),
        "clear_tenant_window" => s.clear_tenant_window(actor, tenant).await,
        "send_portal_link" => s.send_portal_link(actor, tenant).await.map(drop),
        "set_tenant_window" => s.set_tenant_window(actor, tenant, &OwnWindowForm::default()).await,
        "tenant_window" => s.tenant_window(actor, tenant).await.map(drop),
        "send_again" => s.send_again(actor, MailId(Uuid::from_u128(8))).await,
        "set_suspended" => s.set_suspended(actor, tenant, true, "").await,
        "stack_in_rollout" => s.stack_in_rollout(actor, process, stack).await.map(drop),
        "suspend_with_reason" => s.suspend_with_reason(actor, tenant, "").await,
        "targets" => s.targets(actor).map(drop),
        "check_sources" => s.check_sources(actor).map(drop),
        "tenant_tags" => s.tenant_tags(actor).await.map(drop),
        "timeline" => s.timeline(actor, process).await.map(drop),
        other => panic!("{other} is not called"),
    }
}

fn bulk() -> BulkChange {
    BulkChange { verb: BulkVerb::Suspend, tenants: vec![], comment: String::new(), tags: String::new() }
}

fn spec() -> StrategySpec {
    serde_json::from_str(r#"{ "name": "x", "waves": [], "on_halt": "stay" }"#).unwrap()
}

async fn installation() -> (tempfile::TempDir, Service) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
    let clock: service::Clock = Arc::new(|| domain::Timestamp(1_800_000_000_000));
    let service = Service::new(store, clock, Arc::new(service::TakesAll), "http://{slug}.localhost");
    (folder, service)
}

fn actor(permissions: &[Permission], channel: Channel) -> Actor {
    Actor {
        user: Some(UserId(Uuid::from_u128(9))),
        name: "somebody".into(),
        groups: vec![],
        permissions: permissions.to_vec(),
        channel,
    }
}

async fn table(service: &Service, who: &str, permissions: &[Permission], channel: Channel) {
    let actor = actor(permissions, channel);
    for (method, needed) in NEEDED {
        let result = call(service, &actor, method).await;
        let forbidden = matches!(&result, Err(Error::Forbidden(reason)) if reason.code == "forbidden");
        assert_eq!(forbidden, !permissions.contains(needed), "{who} calls {method}: {result:?}");
        assert!(!matches!(result, Err(Error::Internal(_))), "{who} calls {method}: {result:?}");
    }
}

/// What anybody who is signed in does to what is their own; the actor, not a permission, decides.
const OWN: &[&str] = &["add_token", "change_password", "delete_token", "tokens"];

#[test]
fn no_method_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for method in text.split("pub async fn ").skip(1) {
            let (name, rest) = method.split_once('(').unwrap();
            if rest.trim_start().starts_with("&self, actor: &Actor") {
                found += 1;
                let listed = NEEDED.iter().any(|(listed, _)| *listed == name) || OWN.contains(&name);
                assert!(listed, "{name} takes an actor, and no permission of it is tested");
            }
        }
    }
    assert!(found > 50, "only {found} methods were found");
}

#[tokio::test]
async fn every_role_does_what_it_may_and_nothing_else() {
    let (_folder, service) = installation().await;
    for role in Role::ALL {
        table(&service, role.word(), role.permissions(), Channel::Console).await;
    }
}

#[tokio::test]
async fn every_scope_of_a_token_opens_its_own_methods() {
    let (_folder, service) = installation().await;
    for permission in Permission::ALL {
        table(&service, permission.word(), &[*permission], Channel::Api).await;
    }
    table(&service, "a customer", &[], Channel::Signup).await;
}

async fn person(service: &Service, email: &str, role: Role) -> Actor {
    let admin = actor(&[Permission::Settings], Channel::Console);
    let form = NewUser {
        email: email.into(),
        role: role.to_string(),
        groups: String::new(),
        password: "a long password".into(),
    };
    let id = service.add_user(&admin, form).await.unwrap();
    service.console_actor(id).await.unwrap().unwrap().0
}

fn token(permissions: &[Permission], days: &str) -> NewToken {
    let permissions = permissions.iter().map(ToString::to_string).collect();
    NewToken { name: "ci".into(), permissions, days: days.into() }
}

#[tokio::test]
async fn nobody_gives_a_token_more_than_they_have() {
    let (_folder, service) = installation().await;
    for role in Role::ALL {
        let owner = person(&service, &format!("{role}@example.com"), *role).await;
        for permission in Permission::ALL {
            let made = service.add_token(&owner, token(&[*permission], "1")).await;
            assert_eq!(
                made.is_ok(),
                role.permissions().contains(permission),
                "{role} {permission}: {made:?}"
            );
            if let Ok(secret) = made {
                assert_eq!(service.token_actor(&secret).await.unwrap().permissions, [*permission]);
            }
        }
        assert!(service.add_token(&owner, token(&[], "1")).await.is_err(), "no permission is no token");
        let mut door = owner.clone();
        door.channel = Channel::Api;
        assert!(
            service.add_token(&door, token(&[Permission::View], "1")).await.is_err(),
            "no token makes tokens"
        );
    }
}

#[tokio::test]
async fn a_token_follows_its_owner() {
    let (_folder, service) = installation().await;
    let admin = person(&service, "admin@example.com", Role::Admin).await;
    let owner = person(&service, "ana@example.com", Role::Operator).await;
    let scopes = [Permission::View, Permission::Releases];
    let secret = service.add_token(&owner, token(&scopes, "0")).await.unwrap();
    assert_eq!(service.token_actor(&secret).await.unwrap().permissions, scopes);
    let id = owner.user.unwrap();
    service.change_user(&admin, id, "viewer", "", false).await.unwrap();
    assert_eq!(service.token_actor(&secret).await.unwrap().permissions, [Permission::View], "less by now");
    service.change_user(&admin, id, "viewer", "", true).await.unwrap();
    assert!(service.token_actor(&secret).await.is_err(), "barred");
    service.change_user(&admin, id, "operator", "", false).await.unwrap();
    assert!(service.token_actor(&secret).await.is_ok());

    // Others see and revoke their own only.
    let other = person(&service, "ben@example.com", Role::Viewer).await;
    assert!(service.tokens(&other).await.unwrap().is_empty());
    assert_eq!(service.tokens(&owner).await.unwrap()[0].owner, "ana@example.com");
    let token: ApiTokenId = service.tokens(&admin).await.unwrap()[0].token.id;
    assert!(matches!(service.delete_token(&other, token).await, Err(Error::Forbidden(_))));
    service.delete_token(&owner, token).await.unwrap();
    assert!(service.token_actor(&secret).await.is_err(), "revoked");
}

#[tokio::test]
async fn a_token_ends_on_its_day() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
    let now = Arc::new(std::sync::atomic::AtomicI64::new(1_800_000_000_000));
    let read = now.clone();
    let clock: service::Clock =
        Arc::new(move || domain::Timestamp(read.load(std::sync::atomic::Ordering::SeqCst)));
    let service = Service::new(store, clock, Arc::new(service::TakesAll), "http://{slug}.localhost");
    let owner = person(&service, "ana@example.com", Role::Viewer).await;
    let secret = service.add_token(&owner, token(&[Permission::View], "2")).await.unwrap();
    now.fetch_add(Span::days(2).0 - 1, std::sync::atomic::Ordering::SeqCst);
    assert!(service.token_actor(&secret).await.is_ok());
    now.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    assert!(service.token_actor(&secret).await.is_err());
}

#[tokio::test]
async fn an_engines_command_is_no_steering() {
    let (_folder, service) = installation().await;
    let operator = person(&service, "ana@example.com", Role::Operator).await;
    let reason = domain::Reason::new("x", "x");
    let commands = [
        Command::Withdraw { stack: StackId(Uuid::from_u128(5)), reason },
        Command::Decide {
            wave: 0,
            verdict: Verdict::Approve,
            comment: String::new(),
            plan_hash: String::new(),
        },
    ];
    for command in commands {
        let refused = service.steer(&operator, ProcessId(Uuid::from_u128(1)), command).await;
        assert_eq!(refused.unwrap_err().code(), "not_steering");
    }
}
