//! Messages on their way: each address gets its own, once, and what did not arrive says why.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::smtp::{Answer, SmtpServer};
use common::{Db, TestApp, eventually, on_both, person};
use domain::access::Role;
use domain::process::{Mail, Recipient};
use domain::{MailId, Span};
use drivers::scripted::Fate;
use engine::{MailConfig, Mailer};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use store::{Addressing, Delivery, DeliveryState, Message, Store, User};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

on_both!(
    a_refused_address_neither_holds_up_nor_repeats_the_others,
    a_temporary_failure_is_tried_again_when_its_time_comes,
    what_fails_for_a_day_is_set_aside,
    a_server_that_hangs_holds_up_one_message,
    a_wrong_password_sets_nothing_aside,
    two_mailers_on_one_database_send_once,
    who_joins_an_empty_group_gets_what_waits_for_it,
    a_group_that_stays_empty_for_a_week_is_given_up,
    a_crash_after_sending_repeats_a_message_once,
    silence_after_sending_repeats_a_message_once,
    a_folder_gets_a_file_for_each_recipient,
);

struct Post {
    app: TestApp,
    server: SmtpServer,
    patience: Duration,
}

impl Post {
    async fn with(db: Db, script: impl Fn(&str, u32) -> Answer + Send + Sync + 'static) -> Self {
        let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
        Self { app, server: SmtpServer::start(script).await, patience: Mailer::PATIENCE }
    }

    /// For servers that hang: nobody wants to wait for them.
    async fn with_little_patience(
        db: Db,
        script: impl Fn(&str, u32) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self { patience: Duration::from_millis(700), ..Self::with(db, script).await }
    }

    fn mailer(&self) -> JoinHandle<()> {
        self.mailer_to(MailConfig::Smtp(format!("smtp://{}", self.server.address)), self.app.store.clone())
    }

    fn mailer_to(&self, config: MailConfig, store: Store) -> JoinHandle<()> {
        let mailer = Mailer {
            config,
            from: "Tidegate <tidegate@example.com>".into(),
            base: "https://tidegate.example.com".into(),
            tenant_url: String::new(),
            patience: self.patience,
        };
        let clock = self.app.clock.clone();
        let clock: engine::Clock =
            std::sync::Arc::new(move || domain::Timestamp(clock.load(Ordering::SeqCst)));
        tokio::spawn(async move { mailer.run(store, clock, CancellationToken::new()).await.unwrap() })
    }

    async fn user(&self, name: &str, groups: &[&str]) {
        let user = User {
            id: uuid::Uuid::now_v7().into(),
            email: format!("{name}@example.com").parse().unwrap(),
            role: Role::Approver,
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            password: String::new(),
            disabled: false,
            created_at: self.app.service.now(),
        };
        let mut tx = self.app.store.begin().await.unwrap();
        tx.save_user(&user).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn write(&self, to: Recipient) -> MailId {
        let id = MailId(uuid::Uuid::now_v7());
        let mail = Mail { key: id.to_string(), to, subject: "Wave 2".into(), body: "{base}/gates".into() };
        let mut tx = self.app.store.begin().await.unwrap();
        tx.mail(&id.to_string(), &mail, self.app.service.now()).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    async fn message(&self, id: MailId) -> Message {
        self.app.store.messages(500).await.unwrap().into_iter().find(|m| m.id == id).unwrap()
    }

    async fn delivery(&self, id: MailId, address: &str) -> Option<Delivery> {
        self.message(id).await.deliveries.into_iter().find(|d| d.address == address)
    }

    /// Turns the clock, and returns when a mailer has done what was due then: the message that shows it stood last.
    async fn pass(&self, span: Span) {
        static NTH: AtomicU32 = AtomicU32::new(0);
        self.app.pass(span.0);
        let last = format!("last{}@example.com", NTH.fetch_add(1, Ordering::SeqCst));
        let id = self.write(Recipient::Address(last.clone())).await;
        self.until(id, &last, sent).await;
    }

    async fn until(&self, id: MailId, address: &str, fits: impl Fn(&Delivery) -> bool) {
        eventually(&format!("the message to {address} is where it should be"), || async {
            self.delivery(id, address).await.is_some_and(|d| fits(&d))
        })
        .await;
    }
}

fn sent(d: &Delivery) -> bool {
    matches!(d.state, DeliveryState::Sent(_))
}

fn set_aside(d: &Delivery) -> bool {
    matches!(d.state, DeliveryState::SetAside(_))
}

fn failed(d: &Delivery) -> bool {
    d.error.is_some()
}

async fn a_refused_address_neither_holds_up_nor_repeats_the_others(db: Db) {
    let refuse = |to: &str, nth| {
        if to == "ben@example.com" && nth == 1 { Answer::Refuse } else { Answer::Take }
    };
    let post = Post::with(db, refuse).await;
    for name in ["ana", "ben", "cy"] {
        post.user(name, &[]).await;
    }
    let _mailer = post.mailer();
    let id = post.write(Recipient::Approvers(None)).await;
    for name in ["ana", "cy"] {
        post.until(id, &format!("{name}@example.com"), sent).await;
    }
    post.until(id, "ben@example.com", set_aside).await;
    let ben = post.delivery(id, "ben@example.com").await.unwrap();
    assert_eq!(ben.error.as_deref(), Some("the mail server refused it: 550 no such mailbox"));
    assert_eq!(ben.attempts, 1);

    post.pass(Span::days(30)).await;
    for (name, times) in [("ana", 1), ("ben", 0), ("cy", 1)] {
        let got = post.server.to(&format!("{name}@example.com"));
        assert_eq!(got.len(), times, "{name}");
        assert!(got.iter().all(|m| m.text.contains("https://tidegate.example.com/gates")));
    }
    assert_eq!(post.server.asked("ben@example.com"), 1);

    let viewer = person(2, "viewer@example.com", Role::Viewer);
    assert_eq!(post.app.service.send_again(&viewer, id).await.unwrap_err().status(), 403);
    post.app.service.send_again(&post.app.admin, id).await.unwrap();
    post.until(id, "ben@example.com", sent).await;
    assert_eq!(post.server.to("ben@example.com")[0].id, format!("<{}@example.com>", ben.id));
    assert_eq!(post.server.to("ana@example.com").len(), 1, "who has it is left in peace");
    assert_eq!(post.app.service.send_again(&post.app.admin, id).await.unwrap_err().code(), "not_set_aside");
}

async fn a_temporary_failure_is_tried_again_when_its_time_comes(db: Db) {
    let busy = |to: &str, nth| {
        if to == "ana@example.com" && nth <= 2 { Answer::PutOff } else { Answer::Take }
    };
    let post = Post::with(db, busy).await;
    let _mailer = post.mailer();
    let ana = "ana@example.com";
    let id = post.write(Recipient::Address(ana.into())).await;
    post.until(id, ana, failed).await;
    let first = post.delivery(id, ana).await.unwrap();
    assert_eq!(first.error.as_deref(), Some("the mail server put it off: 451 come back later"));
    assert_eq!(first.state, DeliveryState::Waiting(post.app.service.now() + Span::minutes(1)));

    post.pass(Span::seconds(59)).await;
    assert_eq!(post.delivery(id, ana).await.unwrap().attempts, 1, "not before its time");
    post.pass(Span::seconds(2)).await;
    post.until(id, ana, |d| d.attempts == 2 && failed(d)).await;
    post.pass(Span::minutes(4)).await;
    assert_eq!(post.delivery(id, ana).await.unwrap().attempts, 2, "the second pause is longer");
    post.pass(Span::minutes(2)).await;
    post.until(id, ana, sent).await;
    assert_eq!(post.server.to(ana).len(), 1);
    assert_eq!(post.delivery(id, ana).await.unwrap().error, None);
}

async fn what_fails_for_a_day_is_set_aside(db: Db) {
    let never = |to: &str, _| if to == "ana@example.com" { Answer::PutOff } else { Answer::Take };
    let post = Post::with(db, never).await;
    let _mailer = post.mailer();
    let ana = "ana@example.com";
    let begin = post.app.service.now();
    let id = post.write(Recipient::Address(ana.into())).await;
    for attempt in 1..=7 {
        post.until(id, ana, |d| d.attempts == attempt && failed(d)).await;
        let DeliveryState::Waiting(next) = post.delivery(id, ana).await.unwrap().state else { panic!() };
        post.pass(Span((next - post.app.service.now()).0 + 1)).await;
    }
    post.until(id, ana, set_aside).await;
    let delivery = post.delivery(id, ana).await.unwrap();
    assert_eq!(delivery.attempts, 8);
    assert!(delivery.error.unwrap().contains("451 come back later; it was tried 8 times"));
    let took = post.app.service.now() - begin;
    assert!((Span::minutes(20 * 60)..Span::days(1)).contains(&took), "{took:?}");
}

async fn a_server_that_hangs_holds_up_one_message(db: Db) {
    let hang = |to: &str, nth| {
        if to == "ana@example.com" && nth == 1 { Answer::Hang } else { Answer::Take }
    };
    let post = Post::with_little_patience(db, hang).await;
    for name in ["ana", "ben"] {
        post.user(name, &[]).await;
    }
    let _mailer = post.mailer();
    let id = post.write(Recipient::Approvers(None)).await;
    post.until(id, "ben@example.com", sent).await;
    post.until(id, "ana@example.com", failed).await;
    let delivery = post.delivery(id, "ana@example.com").await.unwrap();
    assert!(delivery.error.unwrap().contains("did not answer within"));
    post.pass(Span::minutes(2)).await;
    post.until(id, "ana@example.com", sent).await;
    assert_eq!(post.server.to("ben@example.com").len(), 1);
}

async fn a_wrong_password_sets_nothing_aside(db: Db) {
    let post = Post::with(db, |_, _| Answer::Take).await;
    let wrong = MailConfig::Smtp(format!("smtp://ada:wrong@{}?tls=none", post.server.address));
    let mailer = post.mailer_to(wrong, post.app.store.clone());
    let ana = "ana@example.com";
    let id = post.write(Recipient::Address(ana.into())).await;
    post.until(id, ana, failed).await;
    let delivery = post.delivery(id, ana).await.unwrap();
    assert!(matches!(delivery.state, DeliveryState::Waiting(_)));
    assert_eq!(delivery.error.unwrap(), "the mail server cannot be used: 535 wrong password");
    mailer.abort();
    let _mailer = post.mailer();
    post.pass(Span::minutes(2)).await;
    post.until(id, ana, sent).await;
}

async fn two_mailers_on_one_database_send_once(db: Db) {
    let slowly = |_: &str, _| Answer::TakeSlowly(Duration::from_millis(300));
    let post = Post::with(db, slowly).await;
    for n in 0..40 {
        post.user(&format!("user{n}"), &[]).await;
    }
    let id = post.write(Recipient::Approvers(None)).await;
    let config = MailConfig::Smtp(format!("smtp://{}", post.server.address));
    let other = Store::open(&post.app.url).await.unwrap();
    let _first = post.mailer_to(config.clone(), post.app.store.clone());
    let _second = post.mailer_to(config, other);
    eventually("everyone has it", || async {
        let message = post.message(id).await;
        message.deliveries.len() == 40 && message.deliveries.iter().all(sent)
    })
    .await;
    post.pass(Span::days(1)).await;
    let taken = post.server.taken();
    assert_eq!(taken.len(), 41);
    assert_eq!(taken.iter().map(|t| &t.to).collect::<BTreeSet<_>>().len(), 41);
    assert_eq!(taken.iter().map(|t| &t.id).collect::<BTreeSet<_>>().len(), 41);
    assert!((2..=16).contains(&post.server.most_at_once()), "{} at once", post.server.most_at_once());
}

async fn who_joins_an_empty_group_gets_what_waits_for_it(db: Db) {
    let post = Post::with(db, |_, _| Answer::Take).await;
    post.user("ana", &["other"]).await;
    let _mailer = post.mailer();
    let id = post.write(Recipient::Approvers(Some("release".into()))).await;
    let why = "nobody fits the recipient; add a user to that group";
    eventually("it waits for a recipient", || async {
        let addressing = post.message(id).await.addressing;
        matches!(addressing, Addressing::Waiting { why: Some(text), .. } if text == why)
    })
    .await;
    post.user("ben", &["release"]).await;
    post.pass(Span::minutes(1)).await;
    post.until(id, "ben@example.com", sent).await;
    let message = post.message(id).await;
    assert_eq!((message.addressing, message.deliveries.len()), (Addressing::Done, 1));

    post.user("cy", &["release"]).await;
    post.pass(Span::days(1)).await;
    assert_eq!(post.message(id).await.deliveries.len(), 1, "recipients are settled once");
}

async fn a_group_that_stays_empty_for_a_week_is_given_up(db: Db) {
    let post = Post::with(db, |_, _| Answer::Take).await;
    let _mailer = post.mailer();
    let id = post.write(Recipient::Approvers(Some("release".into()))).await;
    post.pass(Span::days(6)).await;
    assert!(matches!(post.message(id).await.addressing, Addressing::Waiting { .. }));
    post.pass(Span::days(1)).await;
    let why = "nobody fits the recipient; add a user to that group";
    assert_eq!(post.message(id).await.addressing, Addressing::SetAside(why.into()));
    post.user("ben", &["release"]).await;
    post.app.service.send_again(&post.app.admin, id).await.unwrap();
    post.until(id, "ben@example.com", sent).await;
}

async fn a_crash_after_sending_repeats_a_message_once(db: Db) {
    let ana = "ana@example.com";
    let silent = move |to: &str, _| if to == ana { Answer::TakeAndHang } else { Answer::Take };
    let post = Post::with(db, silent).await;
    let id = post.write(Recipient::Address(ana.into())).await;
    for times in 1..=2 {
        let mailer = post.mailer();
        eventually("it was sent", || async { post.server.to(ana).len() == times }).await;
        mailer.abort();
        let _ = mailer.await;
        // A claim lasts ten times the patience.
        post.app.pass(i64::try_from(post.patience.as_millis()).unwrap() * 10 + 1);
    }
    let _mailer = post.mailer();
    post.until(id, ana, set_aside).await;
    let why = post.delivery(id, ana).await.unwrap().error.unwrap();
    assert!(why.starts_with("it may have arrived"), "{why}");
    post.pass(Span::days(1)).await;
    let taken = post.server.to(ana);
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].id, taken[1].id, "mail systems can tell that it is the same");
}

async fn silence_after_sending_repeats_a_message_once(db: Db) {
    let ana = "ana@example.com";
    let silent = move |to: &str, _| if to == ana { Answer::TakeAndHang } else { Answer::Take };
    let post = Post::with_little_patience(db, silent).await;
    let _mailer = post.mailer();
    let id = post.write(Recipient::Address(ana.into())).await;
    post.until(id, ana, failed).await;
    assert!(matches!(post.delivery(id, ana).await.unwrap().state, DeliveryState::Waiting(_)));
    post.pass(Span::minutes(1)).await;
    post.until(id, ana, set_aside).await;
    let why = post.delivery(id, ana).await.unwrap().error.unwrap();
    assert!(why.starts_with("it may have arrived"), "{why}");
    assert_eq!(post.server.to(ana).len(), 2);
}

async fn a_folder_gets_a_file_for_each_recipient(db: Db) {
    let post = Post::with(db, |_, _| Answer::Take).await;
    let folder = tempfile::tempdir().unwrap();
    let _mailer = post.mailer_to(MailConfig::Folder(folder.path().into()), post.app.store.clone());
    let names = ["ana", "ben", "cy", "dora"];
    for name in &names[..2] {
        post.user(name, &[]).await;
    }
    let id = post.write(Recipient::Approvers(None)).await;
    for name in &names[..2] {
        post.until(id, &format!("{name}@example.com"), sent).await;
    }
    for name in &names[2..] {
        let address = format!("{name}@example.com");
        let id = post.write(Recipient::Address(address.clone())).await;
        post.until(id, &address, sent).await;
    }
    let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let to: Vec<_> = files
        .iter()
        .map(|path| {
            assert_eq!(path.extension().unwrap(), "eml");
            let text = std::fs::read_to_string(path).unwrap();
            let to = text.lines().find_map(|l| l.strip_prefix("To: ")).unwrap();
            to.trim_end_matches("@example.com").to_owned()
        })
        .collect();
    assert_eq!(to, names, "names sort by time");
}
