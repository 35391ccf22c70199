//! Customers who sign up by themselves, on both databases.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, on_both};
use drivers::scripted::Fate;
use service::SignupForm;

on_both!(a_repeated_registration_is_one_tenant_and_every_link_works, a_mailbox_is_not_flooded);

fn form() -> SignupForm {
    SignupForm {
        plan: "basic".into(),
        organisation: "Acme Books".into(),
        email: "ada@acme.example".into(),
        ..SignupForm::default()
    }
}

/// Tokens of the links that were sent, oldest first.
async fn links(app: &TestApp) -> Vec<String> {
    let mut mail = app.store.messages(100).await.unwrap();
    mail.reverse();
    mail.iter()
        .filter_map(|m| Some(m.body.split_once("/welcome/")?.1.split_whitespace().next()?.to_owned()))
        .collect()
}

async fn a_repeated_registration_is_one_tenant_and_every_link_works(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    app.service.sign_up(&form()).await.unwrap();
    app.service.sign_up(&form()).await.unwrap();
    let links = links(&app).await;
    assert_eq!(links.len(), 2);
    let looked = app.service.welcome(&links[0]).await.unwrap();
    assert_eq!((looked.organisation.as_str(), looked.state.as_str()), ("Acme Books", "unconfirmed"));
    let (first, second) =
        tokio::join!(app.service.confirm_signup(&links[0]), app.service.confirm_signup(&links[1]));
    first.unwrap();
    second.unwrap();
    for link in &links {
        eventually("the workspace is ready", || async {
            app.service.welcome(link).await.unwrap().url.as_deref() == Some("http://acme-books.localhost")
        })
        .await;
    }
    let (_, tenants) = app.service.tenants(&app.admin, &store::TenantFilter::default()).await.unwrap();
    assert_eq!(tenants, 1);
    assert_eq!(app.service.welcome("no such link").await.unwrap_err().status(), 404);
}

async fn a_mailbox_is_not_flooded(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    for i in 0..8 {
        // Another name each second time: the address is what is protected.
        let slug = if i % 2 == 0 { String::new() } else { format!("acme-{i}") };
        app.service.sign_up(&SignupForm { slug, ..form() }).await.unwrap();
    }
    assert_eq!(links(&app).await.len(), 5);
    app.pass(3_600_001);
    app.service.sign_up(&form()).await.unwrap();
    assert_eq!(links(&app).await.len(), 6, "an hour later there is another");
}
