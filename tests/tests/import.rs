//! Bringing a fleet that others made under Tidegate: shown, saved as shown, and updated by the next rollout alone.
#![allow(missing_docs, clippy::unwrap_used)]

use aws::Account;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_cloudformation as cloudformation;
use aws_sdk_cloudformation::types::{Parameter, Tag};
use aws_sdk_dynamodb as dynamodb;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use emulator::accepted;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use system_tests::{Browser, Cloud, Db, Server, on_both, until};

on_both!(stacks_are_imported_by_name_and_tags, the_tables_of_another_tool_are_an_import_too);

const PLAIN: &str = include_str!("../cloudformation/plain.yaml");
/// What cannot be made: the stack goes back and is left in ROLLBACK_COMPLETE.
const BROKEN: &str =
    "{\"Resources\":{\"Q\":{\"Type\":\"AWS::SQS::Queue\",\"Properties\":{\"VisibilityTimeout\":99999999}}}}";
const ACME: &str = "0192d1a0-7c1e-7f3a-9d51-3b8f6a2c4e10";

/// Another tool with access to the same account, past the proxy.
struct Others {
    stacks: cloudformation::Client,
    tables: dynamodb::Client,
}

impl Others {
    async fn of(cloud: &Cloud) -> Self {
        let credentials = Credentials::new("test", "test", None, None, "tests");
        let account = Account {
            region: Some("eu-west-1".to_owned()),
            endpoint: Some(format!("http://{}", cloud.emulator.address)),
            credentials: Some(SharedCredentialsProvider::new(credentials)),
            ..Account::default()
        };
        let config = account.config().await;
        Self { stacks: cloudformation::Client::new(&config), tables: dynamodb::Client::new(&config) }
    }

    async fn make(&self, name: &str, template: &str, parameters: &[(&str, &str)], tags: &[(&str, &str)]) {
        let parameters = parameters
            .iter()
            .map(|(k, v)| Parameter::builder().parameter_key(*k).parameter_value(*v).build());
        let tags = tags.iter().map(|(k, v)| Tag::builder().key(*k).value(*v).build());
        let making = self.stacks.create_stack().stack_name(name).template_body(template);
        let making = making.set_parameters(Some(parameters.collect())).set_tags(Some(tags.collect()));
        making.send().await.unwrap();
        until("it is at rest", || async { !self.stack(name).await.0.ends_with("IN_PROGRESS") }).await;
    }

    /// A stack's status, parameters and tags.
    async fn stack(&self, name: &str) -> (String, BTreeMap<String, String>, BTreeMap<String, String>) {
        let seen = self.stacks.describe_stacks().stack_name(name).send().await.unwrap();
        let stack = &seen.stacks()[0];
        let parameters = stack.parameters().iter();
        let parameters = parameters
            .map(|p| (p.parameter_key().unwrap().to_owned(), p.parameter_value().unwrap().to_owned()));
        let tags = stack.tags().iter().map(|t| (t.key().unwrap().to_owned(), t.value().unwrap().to_owned()));
        (stack.stack_status().unwrap().as_str().to_owned(), parameters.collect(), tags.collect())
    }

    async fn table(&self, name: &str, key: &str, rows: &[&[(&str, &str)]]) {
        let attribute = AttributeDefinition::builder().attribute_name(key);
        let attribute = attribute.attribute_type(ScalarAttributeType::S).build().unwrap();
        let schema = KeySchemaElement::builder().attribute_name(key).key_type(KeyType::Hash).build().unwrap();
        let making = self.tables.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
        making.attribute_definitions(attribute).key_schema(schema).send().await.unwrap();
        for row in rows {
            let text =
                |(name, value): &(&str, &str)| ((*name).to_owned(), AttributeValue::S((*value).to_owned()));
            let item = row.iter().map(text).collect();
            self.tables.put_item().table_name(name).set_item(Some(item)).send().await.unwrap();
        }
    }
}

/// A server with two tiers and two releases, none of them rolled out.
async fn installation(folder: &std::path::Path, db: Db, cloud: &Cloud) -> (Server, String) {
    let setup = cloud.setup(folder, "");
    let server = Server::with(&folder.join("data"), db, &["--setup", setup.to_str().unwrap()]).await;
    let token = server.token().await;
    for (key, model, visibility) in [("basic", "pool", 30), ("premium", "silo", 60)] {
        let parameter = json!({ "name": "visibility", "kind": { "type": "integer", "min": 0, "max": 43200, "unit": "s" },
            "value": visibility });
        let tier = json!({ "key": key, "name": key, "model": model, "signup": "closed", "regions": ["eu", "eu-west-1"],
            "parameters": [parameter] });
        let (status, answer) = server.call(&token, "POST", "/tiers", Some(tier)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
    for (version, template, commit) in [
        ("1.2.0", PLAIN.to_owned(), "c0ffee1234567890"),
        ("1.3.0", PLAIN.replace("Where orders go.", "Where orders come in."), "decade1234567890"),
    ] {
        let artifacts = json!({ "cloudformation": { "template_body": template.replace("Retention:\n    Type: Number", &format!("Retention:\n    Type: Number\n    # {version}")) } });
        let release = json!({ "version": version, "commit": commit, "artifacts": artifacts });
        let (status, answer) = server.call(&token, "POST", "/releases", Some(release)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
    let plain = json!({ "name": "Plain", "on_halt": "stay", "waves": [{ "name": "All", "selector": "everyone", "concurrency": "100%",
        "tolerance": "0", "mode": "soft", "attempts": 1, "gate": { "bake": 0, "checks": [], "grace": 0, "approval": null } }] });
    assert_eq!(server.call(&token, "POST", "/strategies", Some(plain)).await.0, StatusCode::CREATED);
    (server, token)
}

fn row<'a>(plan: &'a Value, stack: &str) -> &'a Value {
    plan["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["stack"] == stack)
        .unwrap_or_else(|| panic!("{stack}: {plan:#}"))
}

fn problems(row: &Value) -> Vec<String> {
    let own = row["problems"].as_array().unwrap().iter();
    let tenants = row["tenants"].as_array().unwrap().iter().flat_map(|t| t["problems"].as_array().unwrap());
    own.chain(tenants).map(|p| p["field"].as_str().unwrap().to_owned()).collect()
}

fn with(form: &Value, more: &Value) -> Value {
    let mut form = form.as_object().unwrap().clone();
    form.extend(more.as_object().unwrap().clone());
    Value::Object(form)
}

/// Rolls a release out; says which stacks were updated and how often.
async fn roll_out(server: &Server, token: &str, version: &str, cloud: &Cloud) -> BTreeMap<String, usize> {
    cloud.proxy.take_log();
    let start = json!({ "version": version, "strategy": "Plain" });
    let (status, started) = server.call(token, "POST", "/rollouts", Some(start)).await;
    assert_eq!(status, StatusCode::CREATED, "{started}");
    let path = format!("/rollouts/{}", started["id"].as_str().unwrap());
    until("the rollout has succeeded", || async {
        let view = server.call(token, "GET", &path, None).await.1;
        assert!(!["halted", "aborted"].contains(&view["status"].as_str().unwrap()), "{view:#}");
        view["status"] == "succeeded"
    })
    .await;
    let log = cloud.proxy.take_log();
    assert_eq!((accepted(&log, "CreateStack"), accepted(&log, "DeleteStack")), (0, 0), "{log:#?}");
    let mut updates = BTreeMap::new();
    for call in log.iter().filter(|call| call.action == "UpdateStack") {
        *updates.entry(call.stack.clone()).or_default() += 1;
    }
    updates
}

fn changes(cloud: &Cloud) -> Vec<String> {
    let log = cloud.proxy.take_log();
    let reading = |action: &str| ["Describe", "Get", "Scan"].iter().any(|verb| action.starts_with(verb));
    log.into_iter().map(|call| call.action).filter(|action| !reading(action)).collect()
}

async fn tenants(server: &Server, token: &str) -> BTreeMap<String, Value> {
    let (_, page) = server.call(token, "GET", "/tenants", None).await;
    let items = page["items"].as_array().unwrap().iter();
    items.map(|t| (t["slug"].as_str().unwrap().to_owned(), t.clone())).collect()
}

async fn stacks_are_imported_by_name_and_tags(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Cloud::start().await;
    let others = Others::of(&cloud).await;
    let parameters = |tenant: &'static str, model: &'static str, visibility: &'static str| {
        [("TenantId", tenant), ("DeploymentModel", model), ("Visibility", visibility)]
    };
    let ours = ("app", "books");
    let pooled = parameters("pooled", "pool", "30");
    others.make("stack-pooled", PLAIN, &pooled, &[ours, ("tier", "basic"), ("version", "v1.2.0")]).await;
    let named = [
        ours,
        ("plan", "Gold"),
        ("git-commit", "c0ffee1"),
        ("email", "ada@acme.example"),
        ("tenant-name", "Acme Books"),
    ];
    others.make("stack-acme", PLAIN, &parameters(ACME, "silo", "60"), &named).await;
    others.make("stack-birch", PLAIN, &parameters("birch", "silo", "90"), &[ours, ("team", "trees")]).await;
    others.make("stack-billing", PLAIN, &parameters("x", "silo", "60"), &[("app", "billing")]).await;
    others.make("stack-broken", BROKEN, &[], &[ours, ("tier", "premium"), ("tenant", "broken")]).await;
    assert_eq!(others.stack("stack-broken").await.0, "ROLLBACK_COMPLETE");
    let before = others.stack("stack-billing").await;

    let (mut server, token) = installation(folder.path(), db, &cloud).await;
    let t = token.as_str();
    cloud.proxy.take_log();
    let form = json!({ "target": "cloudformation/eu", "pattern": "stack-{tenant}", "tags": "app=books", "plans": "Gold=premium" });
    let (status, plan) = server.call(t, "POST", "/imports/preview", Some(form.clone())).await;
    assert_eq!(status, StatusCode::OK, "{plan:#}");
    let names: Vec<_> =
        plan["rows"].as_array().unwrap().iter().map(|r| r["stack"].as_str().unwrap()).collect();
    assert_eq!(names, ["stack-acme", "stack-birch", "stack-broken", "stack-pooled"]);
    let acme = row(&plan, "stack-acme");
    assert_eq!((&acme["tier"], &acme["tier_by"]), (&json!("premium"), &json!("tag")), "{acme:#}");
    assert_eq!(
        (&acme["release"], &acme["release_by"], &acme["proved"]),
        (&json!("1.2.0"), &json!("tag"), &json!(true)),
        "{acme:#}"
    );
    assert_eq!(
        (&acme["region"], &acme["kind"], &acme["status"]),
        (&json!("eu-west-1"), &json!("silo"), &json!("CREATE_COMPLETE"))
    );
    let tenant = &acme["tenants"][0];
    assert_eq!(
        (&tenant["id"], &tenant["slug"], &tenant["email"]),
        (&json!(ACME), &json!("acme"), &json!("ada@acme.example"))
    );
    let shared = row(&plan, "stack-pooled");
    assert_eq!(
        (&shared["kind"], &shared["proved"], &shared["tenants"]),
        (&json!("pool"), &json!(true), &json!([])),
        "{shared:#}"
    );
    let birch = row(&plan, "stack-birch");
    assert_eq!(problems(birch), ["tier", "email"], "{birch:#}");
    assert_eq!(problems(row(&plan, "stack-broken")), ["stack", "email"]);

    // What has problems is not saved, nor what was not shown.
    let hash = plan["plan"].as_str().unwrap();
    let (status, refused) =
        server.call(t, "POST", "/imports", Some(with(&form, &json!({ "plan": hash })))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused["errors"][0]["field"], "stack-birch.tier", "{refused}");
    let rows = json!({ "rows": [
        { "stack": "stack-birch", "tier": "premium", "tenants": [{ "key": "birch", "email": "bo@birch.example", "name": "Birch & Sons" }] },
        { "stack": "stack-broken", "leave_out": true },
    ] });
    let form = with(&form, &rows);
    let (status, refused) =
        server.call(t, "POST", "/imports", Some(with(&form, &json!({ "plan": hash })))).await;
    assert_eq!((status, refused["code"].as_str()), (StatusCode::CONFLICT, Some("plan_changed")));
    assert!(tenants(&server, t).await.is_empty(), "nothing was saved");
    let (_, plan) = server.call(t, "POST", "/imports/preview", Some(form.clone())).await;
    let birch = row(&plan, "stack-birch");
    assert_eq!(
        birch["differs"],
        json!([{ "parameter": "Visibility", "is": "90", "will": "60" },
        { "parameter": "TenantId", "is": "birch", "will": birch["tenants"][0]["id"] }])
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .cloned()
        .collect::<Value>(),
        "{birch:#}"
    );
    assert!(birch["next"].as_str().unwrap().contains("catch-up list"), "{birch:#}");
    let hash = plan["plan"].as_str().unwrap().to_owned();
    // Somebody changes the fleet after it was shown.
    others
        .stacks
        .update_stack()
        .stack_name("stack-birch")
        .use_previous_template(true)
        .parameters(Parameter::builder().parameter_key("TenantId").use_previous_value(true).build())
        .parameters(Parameter::builder().parameter_key("DeploymentModel").use_previous_value(true).build())
        .parameters(Parameter::builder().parameter_key("Visibility").parameter_value("95").build())
        .tags(Tag::builder().key("app").value("books").build())
        .tags(Tag::builder().key("team").value("trees").build())
        .send()
        .await
        .unwrap();
    until("it is updated", || async { others.stack("stack-birch").await.0 == "UPDATE_COMPLETE" }).await;
    let save = |hash: &str| Some(with(&form, &json!({ "plan": hash })));
    let (status, _) = server.call(t, "POST", "/imports", save(&hash)).await;
    assert_eq!(status, StatusCode::CONFLICT, "the fleet is another by now");
    let (_, plan) = server.call(t, "POST", "/imports/preview", Some(form.clone())).await;
    let hash = plan["plan"].as_str().unwrap();
    let (status, done) = server.call(t, "POST", "/imports", save(hash)).await;
    assert_eq!(
        (status, &done),
        (StatusCode::CREATED, &json!({ "stacks": 3, "tenants": 2, "unchanged": 0, "unproved": 1 }))
    );
    let (status, again) = server.call(t, "POST", "/imports", save(hash)).await;
    assert_eq!(
        (status, &again),
        (StatusCode::OK, &json!({ "stacks": 0, "tenants": 0, "unchanged": 3, "unproved": 0 }))
    );
    assert_eq!(changes(&cloud), Vec::<String>::new(), "an import only reads");

    let mut admin = server.admin().await;
    server = server.kill_and_start_again().await;
    let now = tenants(&server, t).await;
    assert_eq!(now.keys().collect::<Vec<_>>(), ["acme", "birch"]);
    assert_eq!((&now["acme"]["state"], &now["acme"]["version"]), (&json!("active"), &json!("1.2.0")));
    assert_eq!(
        (&now["birch"]["state"], &now["birch"]["version"]),
        (&json!("active"), &Value::Null),
        "unknown is never fine"
    );
    let metrics =
        system_tests::http().get(format!("{}/metrics", server.base)).bearer_auth(t).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("tidegate_stacks_behind 1"), "the unproved one: {metrics}");
    let activity = admin.open("/activity").await.text().await.unwrap();
    assert!(activity.contains("imported 3 stacks and 2 tenants from cloudformation/eu"), "{activity}");
    let mail = std::fs::read_dir(server.data.join("mail"))
        .unwrap()
        .filter(|f| f.as_ref().unwrap().file_name() != ".trial");
    assert_eq!(mail.count(), 0, "nobody was written to");

    // The next release reaches exactly the imported ones, once each; they are proved, and still under their own names.
    let updates = roll_out(&server, t, "1.3.0", &cloud).await;
    let once = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), 1)).collect::<BTreeMap<_, usize>>();
    assert_eq!(updates, once(&["stack-acme", "stack-birch", "stack-pooled"]));
    let now = tenants(&server, t).await;
    assert!(now.values().all(|tenant| tenant["version"] == "1.3.0"), "{now:#?}");
    let (_, parameters, tags) = others.stack("stack-birch").await;
    assert_eq!((parameters["Visibility"].as_str(), tags["team"].as_str()), ("60", "trees"));
    assert_eq!(tags["tidegate:release"], "1.3.0");
    assert_eq!(others.stack("stack-acme").await.1["TenantId"], ACME, "its tenant is who it was");
    assert_eq!(others.stack("stack-billing").await, before, "another team's stack is left alone");
    let (_, plan) = server.call(t, "POST", "/imports/preview", Some(form)).await;
    assert!(
        ["stack-acme", "stack-birch", "stack-pooled"].iter().all(|s| row(&plan, s)["fate"] == "known"),
        "{plan:#}"
    );
    assert_eq!(roll_out(&server, t, "1.3.0", &cloud).await, BTreeMap::new(), "there is nothing left to do");
}

#[tokio::test]
async fn a_person_sees_what_was_inferred_corrects_it_and_saves_it_without_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Cloud::start().await;
    let others = Others::of(&cloud).await;
    let parameters = [("TenantId", "birch"), ("DeploymentModel", "silo"), ("Visibility", "60")];
    others.make("stack-birch", PLAIN, &parameters, &[("version", "1.2.0")]).await;
    let (server, _) = installation(folder.path(), Db::Sqlite, &cloud).await;
    let mut admin = server.admin().await;
    let settings = admin.open("/settings").await.text().await.unwrap();
    assert!(settings.contains("href=\"/settings/import\""), "{settings}");
    let empty = admin.open("/settings/import").await.text().await.unwrap();
    assert!(empty.contains("cloudformation/eu") && empty.contains("stack-{tenant}"), "{empty}");
    let form = [("form[target]", "cloudformation/eu"), ("form[source]", "stacks"), ("form[tags]", "")];

    let wrong = post(&mut admin, &form, &[("act", "show"), ("form[pattern]", "{tenant}-{tenant}")]).await;
    assert!(wrong.text().await.unwrap().contains("has {tenant} twice"));
    let pattern = ("form[pattern]", "stack-{tenant}");
    let page = post(&mut admin, &form, &[("act", "show"), pattern]).await.text().await.unwrap();
    for told in [
        "by its parameters",
        "by a tag",
        "E-mail is not known",
        "1 stack cannot be imported yet",
        "Check again",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(!page.contains("value=\"save\""), "there is no button for what cannot be saved");
    let row = [
        pattern,
        ("rows[0][stack]", "stack-birch"),
        ("rows[0][tier]", "premium"),
        ("rows[0][release]", "1.2.0"),
        ("rows[0][tenants][0][key]", "birch"),
        ("rows[0][tenants][0][slug]", "birch-trees"),
        ("rows[0][tenants][0][name]", "Birch & Sons"),
        ("rows[0][tenants][0][email]", "bo@birch.example"),
    ];
    let page = post(&mut admin, &form, &[&row[..], &[("act", "show")]].concat()).await.text().await.unwrap();
    assert!(page.contains("Import 1 stack and 1 tenant") && page.contains("birch-trees"), "{page}");
    let shown = page.split("name=\"shown\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let save = |shown: &'static str| [("act", "save"), ("shown", shown)];
    let refused =
        post(&mut admin, &form, &[&row[..], &save("something else")].concat()).await.text().await.unwrap();
    assert!(refused.contains("differs from what was shown"), "{refused}");
    let shown: &'static str = shown.leak();
    let saved = post(&mut admin, &form, &[&row[..], &save(shown)].concat()).await;
    assert_eq!(
        (saved.status(), &saved.headers()["location"]),
        (StatusCode::SEE_OTHER, &"/tenants".parse().unwrap())
    );
    let list = admin.open("/tenants").await.text().await.unwrap();
    assert!(list.contains("Imported 1 stack and 1 tenant") && list.contains("stack-birch@eu"), "{list}");
    let overview = admin.open("/").await.text().await.unwrap();
    assert!(overview.contains("a rollout or catching up makes it known"), "{overview}");
    let saved = post(&mut admin, &form, &[&row[..], &save(shown)].concat()).await;
    assert_eq!(saved.status(), StatusCode::SEE_OTHER);
    assert!(admin.open("/tenants").await.text().await.unwrap().contains("Nothing changed"));

    // Who may not change settings sees none of it.
    let password = admin.add_person("olga@example.com", "operator").await;
    let mut operator = Browser::new(&server.base);
    operator.sign_in("olga@example.com", password).await;
    assert_eq!(operator.open("/settings/import").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(post(&mut operator, &form, &[("act", "show"), pattern]).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_only_shown_is_not_taken_for_written() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Cloud::start().await;
    let others = Others::of(&cloud).await;
    let parameters = [("TenantId", "birch"), ("DeploymentModel", "silo"), ("Visibility", "60")];
    others.make("stack-birch", PLAIN, &parameters, &[("version", "1.2.0")]).await;
    let (server, _) = installation(folder.path(), Db::Sqlite, &cloud).await;
    let mut admin = server.admin().await;
    let page = |email: &'static str| {
        let form = [("form[target]", "cloudformation/eu"), ("form[source]", "stacks"), ("act", "show")];
        [&form[..], &[("form[pattern]", "stack-{tenant}"), ("form[email]", email)]].concat()
    };
    let shown = admin.post("/settings/import", &page("ops+{tenant}@old.example")).await.text().await.unwrap();
    assert!(shown.contains("ops+birch@old.example"), "{shown}");

    // Another address for all is another address, though the page posts the old one with each tenant.
    let mut posted = fields(&shown);
    posted.retain(|(name, _)| name != "form[email]");
    posted.push(("form[email]".to_owned(), "ops+{tenant}@new.example".to_owned()));
    let shown = send(&mut admin, &posted, "show").await.text().await.unwrap();
    assert!(shown.contains("ops+birch@new.example") && !shown.contains("chosen by you"), "{shown}");

    // What is written stays, and follows no default any more.
    let mut posted = fields(&shown);
    for (_, value) in posted.iter_mut().filter(|(name, _)| name.ends_with("[slug]")) {
        *value = "birch-trees".to_owned();
    }
    let shown = send(&mut admin, &posted, "show").await.text().await.unwrap();
    let shown = send(&mut admin, &fields(&shown), "show").await.text().await.unwrap();
    assert!(
        shown.contains("value=\"birch-trees\"") && shown.contains("ops+birch-trees@new.example"),
        "{shown}"
    );

    // And the first click on the button saves what the page shows.
    let saved = send(&mut admin, &fields(&shown), "save").await;
    assert_eq!(saved.status(), StatusCode::SEE_OTHER, "{}", saved.text().await.unwrap());
}

/// What a browser posts of the page's form, but for its buttons.
fn fields(page: &str) -> Vec<(String, String)> {
    let form = page.split("id=\"import\"").nth(1).unwrap().split("</form>").next().unwrap();
    let attribute = |tag: &str, name: &str| {
        let text = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
        Some(text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    };
    let mut fields = vec![];
    let mut select = String::new();
    for tag in form.split('<').skip(1).map(|tag| format!(" {}", tag.split('>').next().unwrap())) {
        let name = || attribute(&tag, "name").unwrap_or_default();
        let value = || attribute(&tag, "value").unwrap_or_default();
        match tag.split_whitespace().next() {
            Some("input") => {
                let is_box = tag.contains("checkbox") || tag.contains("radio");
                if !is_box || tag.contains(" checked") {
                    fields.push((name(), value()));
                }
            }
            Some("select") => select = name(),
            Some("option") if tag.contains(" selected") => fields.push((select.clone(), value())),
            _ => {}
        }
    }
    fields
}

async fn send(browser: &mut Browser, fields: &[(String, String)], act: &str) -> reqwest::Response {
    let mut all: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.push(("act", act));
    browser.post("/settings/import", &all).await
}

/// Sends the page's own form.
async fn post(browser: &mut Browser, form: &[(&str, &str)], more: &[(&str, &str)]) -> reqwest::Response {
    browser.post("/settings/import", &[form, more].concat()).await
}

async fn the_tables_of_another_tool_are_an_import_too(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Cloud::start().await;
    let others = Others::of(&cloud).await;
    for (name, tenant, model, visibility) in [
        ("stack-pooled", "pooled", "pool", "30"),
        ("stack-t-7", "t-7", "silo", "75"),
        ("stack-other", "other", "silo", "60"),
    ] {
        let parameters = [("TenantId", tenant), ("DeploymentModel", model), ("Visibility", visibility)];
        others.make(name, PLAIN, &parameters, &[]).await;
    }
    let mapping: [&[(&str, &str)]; 3] = [
        &[
            ("tenantId", "pooled"),
            ("stackName", "stack-pooled"),
            ("waveNumber", "1"),
            ("codeCommitId", "c0ffee1234567890"),
        ],
        &[
            ("tenantId", "t-7"),
            ("stackName", "stack-t-7"),
            ("waveNumber", "2"),
            ("codeCommitId", "c0ffee1234567890"),
        ],
        &[("tenantId", "t-9"), ("stackName", "stack-t-9"), ("waveNumber", "2"), ("codeCommitId", "")],
    ];
    let details = |id: usize| -> Vec<(String, String)> {
        let pairs = [
            ("tenantId", format!("p-{id}")),
            ("tenantName", format!("Reader {id}")),
            ("tenantEmail", format!("r{id}@example.com")),
            ("tenantTier", "Basic".to_owned()),
            ("dedicatedTenancy", "false".to_owned()),
            ("isActive", (id != 3).to_string()),
        ];
        pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
    };
    let many: Vec<_> = (0..5).map(details).collect();
    let many: Vec<Vec<(&str, &str)>> =
        many.iter().map(|row| row.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()).collect();
    let mut rows: Vec<&[(&str, &str)]> = many.iter().map(Vec::as_slice).collect();
    let owner: &[(&str, &str)] = &[
        ("tenantId", "t-7"),
        ("tenantName", "Seven Seas"),
        ("tenantEmail", "sea@seven.example"),
        ("tenantTier", "Platinum"),
        ("dedicatedTenancy", "true"),
        ("isActive", "true"),
        ("apiKey", "do-not-show"),
    ];
    rows.push(owner);
    others.table("ServerlessSaaS-TenantDetails", "tenantId", &rows).await;
    others.table("ServerlessSaaS-TenantStackMapping", "tenantId", &mapping).await;
    others
        .table(
            "ServerlessSaaS-Settings",
            "settingName",
            &[&[("settingName", "userPoolId-pooled"), ("settingValue", "hidden-value")]],
        )
        .await;

    let (server, token) = installation(folder.path(), db, &cloud).await;
    let t = token.as_str();
    let form = json!({ "target": "cloudformation/eu", "source": "tables", "plans": "Platinum=premium", "keep": true });
    let (status, missing) = server
        .call(t, "POST", "/imports/preview", Some(with(&form, &json!({ "mapping": "NotThere" }))))
        .await;
    assert_eq!(
        (status, missing["errors"][0]["field"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("mapping")),
        "{missing}"
    );
    let (status, plan) = server.call(t, "POST", "/imports/preview", Some(form.clone())).await;
    assert_eq!(status, StatusCode::OK, "{plan:#}");
    let text = plan.to_string();
    assert!(!text.contains("do-not-show") && !text.contains("hidden-value"), "{text}");
    assert!(
        text.contains("names the stack stack-t-9, which is not there") && text.contains("userPoolId-pooled"),
        "{text}"
    );
    let names: Vec<_> =
        plan["rows"].as_array().unwrap().iter().map(|r| r["stack"].as_str().unwrap()).collect();
    assert_eq!(names, ["stack-pooled", "stack-t-7"]);
    let shared = row(&plan, "stack-pooled");
    assert_eq!(
        (&shared["tier"], &shared["tier_by"], &shared["release_by"]),
        (&json!("basic"), &json!("table"), &json!("table")),
        "{shared:#}"
    );
    assert_eq!(
        (shared["tenants"].as_array().unwrap().len(), &shared["proved"]),
        (5, &json!(true)),
        "{shared:#}"
    );
    let own = row(&plan, "stack-t-7");
    assert_eq!(
        (&own["tier"], &own["tenants"][0]["name"]),
        (&json!("premium"), &json!("Seven Seas")),
        "{own:#}"
    );
    assert_eq!(own["tenants"][0]["tags"], json!(["wave-2"]));
    // Its own visibility is kept; only the tenant's id would change, which the template makes of Tidegate's.
    assert_eq!(
        own["differs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| d["parameter"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["TenantId"],
        "{own:#}"
    );

    cloud.proxy.take_log();
    let save = with(&form, &json!({ "plan": plan["plan"] }));
    let (status, done) = server.call(t, "POST", "/imports", Some(save.clone())).await;
    assert_eq!(
        (status, &done),
        (StatusCode::CREATED, &json!({ "stacks": 2, "tenants": 6, "unchanged": 0, "unproved": 1 })),
        "{done}"
    );
    assert_eq!(changes(&cloud), Vec::<String>::new(), "an import only reads");
    let now = tenants(&server, t).await;
    assert_eq!(now.len(), 6);
    assert_eq!((&now["p-3"]["state"], &now["p-0"]["state"]), (&json!("suspended"), &json!("active")));
    assert_eq!((&now["t-7"]["tier"], &now["t-7"]["stack"]), (&json!("premium"), &json!("stack-t-7@eu")));

    // The other tool goes on for a while: whoever it adds to the shared stack joins, and nothing else happens.
    let late: &[(&str, AttributeValue)] = &[
        ("tenantId", AttributeValue::S("p-9".into())),
        ("tenantName", AttributeValue::S("Reader 9".into())),
        ("tenantEmail", AttributeValue::S("r9@example.com".into())),
        ("tenantTier", AttributeValue::S("Basic".into())),
    ];
    let item = late.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    others
        .tables
        .put_item()
        .table_name("ServerlessSaaS-TenantDetails")
        .set_item(Some(item))
        .send()
        .await
        .unwrap();
    let (_, plan) = server.call(t, "POST", "/imports/preview", Some(form.clone())).await;
    assert_eq!(
        (&row(&plan, "stack-pooled")["fate"], &row(&plan, "stack-t-7")["fate"]),
        (&json!("joins"), &json!("known")),
        "{plan:#}"
    );
    let (_, done) =
        server.call(t, "POST", "/imports", Some(with(&form, &json!({ "plan": plan["plan"] })))).await;
    assert_eq!(done, json!({ "stacks": 0, "tenants": 1, "unchanged": 1, "unproved": 0 }));

    let updates = roll_out(&server, t, "1.3.0", &cloud).await;
    assert_eq!(updates, [("stack-pooled".to_owned(), 1), ("stack-t-7".to_owned(), 1)].into());
    let (_, parameters, _) = others.stack("stack-t-7").await;
    assert_eq!(parameters["Visibility"], "75", "its own value was kept");
    assert!(tenants(&server, t).await.values().all(|tenant| tenant["version"] == "1.3.0"));
}
