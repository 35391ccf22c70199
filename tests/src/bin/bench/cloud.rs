//! CloudFormation: 200 stacks in three waves, against the same emulator in one run: Tidegate, a plain loop that calls
//! `UpdateStack` and waits (the floor), and `aws cloudformation deploy` in parallel; Tidegate by sweeps alone, and with
//! stack events, which a bridge takes from the emulator to a queue of it as SNS would.
//!
//! Each update takes five seconds, by a resource whose function sleeps: real ones take longer. All three have the same
//! concurrency. The proxy counts the calls, and breaks some where that is measured.

use anyhow::{Context as _, Result, ensure};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Capability, Parameter};
use emulator::{Bridge, Call, Fault, Form, TOPIC, accepted, events_queue, of_queue, python};
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use system_tests::{Cloud, Db, Server};

const STACKS: usize = 200;
const AT_ONCE: usize = 20;
/// In the first wave, in the first two.
const WAVES: (usize, usize) = (20, 80);
/// How long an update takes, in seconds.
const WORK: u32 = 5;
/// How often the bridge looks for events: SNS takes longer.
const BRIDGE: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(900);

/// A function that stands for work: it sleeps as long as the resource says.
const WORKER: &str = r#"
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{ Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: "sts:AssumeRole" }]
  Worker:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Timeout: 60
      Code:
        ZipFile: |
          import json, time, urllib.request
          def handler(event, context):
              time.sleep(float(event["ResourceProperties"]["Seconds"]))
              body = json.dumps({
                  "Status": "SUCCESS", "PhysicalResourceId": "work", "StackId": event["StackId"],
                  "RequestId": event["RequestId"], "LogicalResourceId": event["LogicalResourceId"], "Data": {},
              }).encode()
              urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], data=body, method="PUT"))
Outputs:
  Arn: { Value: !GetAtt Worker.Arn }
"#;

/// What a tenant has: a queue, and work.
fn template(worker: &str, n: u32, seconds: u32) -> String {
    format!(
        r#"
Parameters:
  TenantId: {{ Type: String }}
Resources:
  Orders: {{ Type: AWS::SQS::Queue }}
  Work:
    Type: Custom::Work
    Properties: {{ ServiceToken: "{worker}", Seconds: "{seconds}", Release: "{n}", Tenant: !Ref TenantId }}
"#
    )
}

/// All of it, printed as it is measured.
pub async fn measure(with_command_line: bool) -> Result<()> {
    let cloud = Cloud::start().await;
    let client = client(&cloud, None).await;
    let worker = worker(&client).await?;
    let folder = tempfile::tempdir()?;
    let setup = cloud.setup_at(500.0, folder.path(), "burst = 500");
    let data = folder.path().join("data");
    let fleet = Fleet::start(&data, &setup, worker.clone()).await?;
    println!("CloudFormation: {STACKS} stacks in 3 waves, {AT_ONCE} at once, {WORK} s of work in each:");

    let tidegate = fleet.rollout(&cloud, 1, WORK).await?;
    tidegate.print("Tidegate by sweeps", None);
    let floor = plain_loop(&cloud, &worker, 2).await?;
    println!("  a plain loop: {:.1} s, {:.2} calls a stack", floor.took.as_secs_f64(), floor.per_stack());
    tidegate.print("so Tidegate by sweeps", Some(floor.took));
    if with_command_line {
        let cli = command_line(&cloud, folder.path(), &worker, 3).await?;
        println!(
            "  aws cloudformation deploy: {:.1} s, {:.2} calls a stack",
            cli.took.as_secs_f64(),
            cli.per_stack()
        );
    }

    let mut n = 0_u32;
    cloud.proxy.follow(move |call| {
        n += 1;
        match (n % 10, n / 10 % 3) {
            (0, 0) => Fault::Throttle,
            (0, 1) => Fault::AcceptedThenCut,
            (0, _) if call.action == "UpdateStack" => Fault::AcceptedThenLate(Duration::from_secs(31)),
            (0, _) => Fault::AcceptedThenBroken,
            _ => Fault::None,
        }
    });
    fleet
        .rollout(&cloud, 4, WORK)
        .await?
        .print("every tenth call throttled, late, broken or cut", Some(floor.took));
    drop(fleet);
    cloud.proxy.follow(|_| Fault::None);

    let queue = events_queue(&cloud.emulator).await;
    let events = format!("burst = 500\nevents_queue = '{}'\nnotification_arns = ['{TOPIC}']", queue.url);
    let fleet = Fleet::again(&data, &cloud.setup_at(500.0, folder.path(), &events), worker.clone()).await?;
    let bridge = Bridge::over(&cloud.emulator, &queue, Form::Sns, BRIDGE).await;
    fleet.rollout(&cloud, 5, WORK).await?.print("Tidegate with stack events", Some(floor.took));
    drop((fleet, bridge));

    let slow = cloud.setup_at(2.0, folder.path(), "");
    let fleet = Fleet::again(&data, &slow, worker).await?;
    cloud.proxy.throttle(2.5);
    fleet
        .rollout(&cloud, 6, 0)
        .await?
        .print("with a budget of 2 calls/s, before a provider that allows 2.5", None);
    Ok(())
}

/// What one way of updating took.
struct Taken {
    took: Duration,
    calls: Vec<Call>,
}

impl Taken {
    /// Calls of CloudFormation; those of a queue are SQS's.
    fn per_stack(&self) -> f64 {
        self.calls.iter().filter(|call| !of_queue(call)).count() as f64 / STACKS as f64
    }

    fn print(&self, name: &str, floor: Option<Duration>) {
        let throttled = self.calls.iter().filter(|c| c.fault == Fault::Throttle).count();
        let ratio = floor
            .map(|floor| format!(", {:.2} x the plain loop", self.took.as_secs_f64() / floor.as_secs_f64()));
        println!(
            "  {name}: {:.1} s{}, {:.2} calls a stack, {throttled} throttled, each stack updated once",
            self.took.as_secs_f64(),
            ratio.unwrap_or_default(),
            self.per_stack()
        );
    }
}

/// A server whose tenants have a stack each.
struct Fleet {
    server: Server,
    token: String,
    worker: String,
}

impl Fleet {
    async fn start(data: &Path, setup: &Path, worker: String) -> Result<Self> {
        let setup = setup.to_str().context("a path")?;
        let server = Server::with(data, Db::Sqlite, &["--setup", setup, "--log", "error"]).await;
        let token = server.token().await;
        std::fs::write(data.join("bench-token"), &token)?;
        let fleet = Self { server, token, worker };
        let tier = json!({ "key": "premium", "name": "Premium", "model": "silo", "signup": "closed", "regions": ["eu"] });
        fleet.call("POST", "/tiers", tier).await?;
        let wave = |name: &str, selector: &str| {
            json!({ "name": name, "selector": selector, "concurrency": AT_ONCE.to_string(), "tolerance": "0",
                "mode": "soft", "attempts": 3, "gate": { "bake": 0, "checks": [], "grace": 0, "approval": null } })
        };
        let waves = [wave("First", "tag:first"), wave("Second", "tag:second"), wave("Rest", "everyone")];
        fleet
            .call("POST", "/strategies", json!({ "name": "Waves", "on_halt": "stay", "waves": waves }))
            .await?;
        fleet.register(0, 0).await?;
        fleet.roll(0).await?;
        let begin = Instant::now();
        for n in 0..STACKS {
            let tag = if n < WAVES.0 {
                "first"
            } else if n < WAVES.1 {
                "second"
            } else {
                "rest"
            };
            let tenant = json!({ "name": format!("Tenant {n}"), "slug": format!("t{n}"), "tier": "premium",
                "region": "eu", "email": "a@b.example", "tags": [tag] });
            fleet.call("POST", "/tenants", tenant).await?;
        }
        loop {
            let (_, page) =
                fleet.server.call(&fleet.token, "GET", "/tenants?state=active&limit=500", None).await;
            if page["items"].as_array().is_some_and(|items| items.len() == STACKS) {
                break;
            }
            ensure!(begin.elapsed() < PATIENCE, "tenants do not become active: {page}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        println!("CloudFormation: {STACKS} tenants onboarded in {:.1} s", begin.elapsed().as_secs_f64());
        Ok(fleet)
    }

    /// On what another one left.
    async fn again(data: &Path, setup: &Path, worker: String) -> Result<Self> {
        let setup = setup.to_str().context("a path")?;
        let server = Server::with(data, Db::Sqlite, &["--setup", setup, "--log", "error"]).await;
        let token = std::fs::read_to_string(data.join("bench-token"))?;
        Ok(Self { server, token, worker })
    }

    async fn call(&self, verb: &str, path: &str, body: Value) -> Result<Value> {
        let (status, answer) = self.server.call(&self.token, verb, path, Some(body)).await;
        ensure!(status.is_success(), "{verb} {path}: {answer}");
        Ok(answer)
    }

    async fn register(&self, n: u32, seconds: u32) -> Result<()> {
        let body = template(&self.worker, n, seconds);
        let artifacts = json!({ "cloudformation": { "template_body": body } });
        let release = json!({ "version": format!("1.{n}.0"), "artifacts": artifacts });
        self.call("POST", "/releases", release).await.map(drop)
    }

    /// Starts the rollout of release `n` and waits for its success.
    async fn roll(&self, n: u32) -> Result<Duration> {
        let begin = Instant::now();
        let wanted = json!({ "version": format!("1.{n}.0"), "strategy": "Waves" });
        let rollout = self.call("POST", "/rollouts", wanted).await?;
        let path = format!("/rollouts/{}", rollout["id"].as_str().context("no id")?);
        loop {
            let (_, view) = self.server.call(&self.token, "GET", &path, None).await;
            if view["status"] == "succeeded" {
                return Ok(begin.elapsed());
            }
            let told = view.to_string();
            ensure!(
                view["status"] == "running" && !told.contains("hrottl"),
                "the rollout does not go on: {told}"
            );
            ensure!(begin.elapsed() < PATIENCE, "the rollout does not end: {}", view["sentence"]);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn rollout(&self, cloud: &Cloud, n: u32, seconds: u32) -> Result<Taken> {
        self.register(n, seconds).await?;
        cloud.proxy.take_log();
        let took = self.roll(n).await?;
        let calls = cloud.proxy.take_log();
        let mut updates: BTreeMap<&str, usize> = BTreeMap::new();
        for call in calls.iter().filter(|c| c.accepted && c.action == "UpdateStack") {
            *updates.entry(&call.stack).or_default() += 1;
        }
        ensure!(updates.len() == STACKS && updates.values().all(|n| *n == 1), "not once each: {updates:?}");
        Ok(Taken { took, calls })
    }
}

async fn client(cloud: &Cloud, endpoint: Option<String>) -> Client {
    let credentials = aws_sdk_cloudformation::config::Credentials::new("test", "test", None, None, "bench");
    let account = aws::Account {
        region: Some("eu-west-1".into()),
        endpoint: Some(endpoint.unwrap_or_else(|| cloud.endpoint())),
        credentials: Some(aws_sdk_cloudformation::config::SharedCredentialsProvider::new(credentials)),
        ..aws::Account::default()
    };
    Client::new(&account.config().await)
}

async fn worker(client: &Client) -> Result<String> {
    client
        .create_stack()
        .stack_name("worker")
        .template_body(WORKER)
        .capabilities(Capability::CapabilityIam)
        .send()
        .await?;
    wait(client, "worker").await?;
    let seen = client.describe_stacks().stack_name("worker").send().await?;
    let output = seen.stacks().first().and_then(|stack| stack.outputs().first()?.output_value());
    Ok(output.context("the worker has no output")?.to_owned())
}

async fn wait(client: &Client, stack: &str) -> Result<()> {
    loop {
        let seen = client.describe_stacks().stack_name(stack).send().await?;
        let status = seen.stacks().first().and_then(|s| s.stack_status()).map_or("", |s| s.as_str());
        if matches!(status, "CREATE_COMPLETE" | "UPDATE_COMPLETE") {
            return Ok(());
        }
        ensure!(status.ends_with("_IN_PROGRESS"), "{stack} is in {status}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// The floor: no plan, no record, no waves, no proof.
async fn plain_loop(cloud: &Cloud, worker: &str, n: u32) -> Result<Taken> {
    let client = client(cloud, None).await;
    let body = template(worker, n, WORK);
    cloud.proxy.take_log();
    let begin = Instant::now();
    let updates = (0..STACKS).map(|i| {
        let (client, body) = (client.clone(), body.clone());
        async move {
            let name = format!("tg-silo-t{i}");
            let tenant = Parameter::builder().parameter_key("TenantId").use_previous_value(true).build();
            client.update_stack().stack_name(&name).template_body(body).parameters(tenant).send().await?;
            wait(&client, &name).await
        }
    });
    let mut all = futures::stream::iter(updates).buffer_unordered(AT_ONCE);
    while let Some(done) = all.next().await {
        done?;
    }
    let calls = cloud.proxy.take_log();
    ensure!(accepted(&calls, "UpdateStack") == STACKS, "the loop updated another number of stacks");
    Ok(Taken { took: begin.elapsed(), calls })
}

/// As many processes of AWS's command line at once.
async fn command_line(cloud: &Cloud, folder: &Path, worker: &str, n: u32) -> Result<Taken> {
    let aws = tokio::task::spawn_blocking(|| python("awscli-1.46.3", &["awscli==1.46.3"])).await?.join("aws");
    let file = folder.join("template.yaml");
    std::fs::write(&file, template(worker, n, WORK))?;
    cloud.proxy.take_log();
    let begin = Instant::now();
    let updates = (0..STACKS).map(|i| {
        let mut command = tokio::process::Command::new(&aws);
        command
            .args(["cloudformation", "deploy", "--endpoint-url", &cloud.endpoint()])
            .args(["--stack-name", &format!("tg-silo-t{i}"), "--template-file"])
            .arg(&file)
            .envs(emulator::CREDENTIALS)
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .kill_on_drop(true);
        async move {
            let done = command.output().await?;
            ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            Ok(())
        }
    });
    let mut all = futures::stream::iter(updates).buffer_unordered(AT_ONCE);
    while let Some(done) = all.next().await {
        done?;
    }
    Ok(Taken { took: begin.elapsed(), calls: cloud.proxy.take_log() })
}
