//! Sessions, cookies, origins, names and limits, as a browser without scripts meets them.
#![allow(missing_docs, clippy::unwrap_used)]

use reqwest::StatusCode;
use system_tests::{Browser, Db, Server, http, on_both};

on_both!(signing_out_lasts, a_new_password_ends_other_sessions);

fn fragment(browser: &Browser, server: &Server) -> (Browser, reqwest::RequestBuilder) {
    let request = http().get(format!("{}/settings", server.base)).header("x-tidegate-fragment", "1");
    (browser.clone(), request)
}

async fn signing_out_lasts(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(&folder.path().join("data"), db, &[]).await;
    let mut admin = server.admin().await;
    let page = admin.open("/settings").await;
    assert!(!page.headers().contains_key("set-cookie"), "looking at a page writes no session");

    // Pages on their way while their person signs out, again and again.
    for _ in 0..5 {
        let mut admin = server.admin().await;
        let mut stale = admin.clone();
        admin.submit("add_user", &[("form[email]", "x"), ("form[role]", "x"), ("form[password]", "x")]).await;
        let mut others: Vec<_> = (0..8).map(|_| admin.clone()).collect();
        let pages = futures::future::join_all(others.iter_mut().map(|other| other.open("/settings")));
        let (_, _) = tokio::join!(pages, admin.submit("sign_out", &[]));
        for other in others.iter_mut().chain([&mut stale, &mut admin]) {
            assert!(!other.is_signed_in().await, "whoever has the old cookie is signed out");
        }
    }
}

#[tokio::test]
async fn what_is_told_is_told_to_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data")).await;
    let mut admin = server.admin().await;
    admin.add_person("ana@example.com", "approver").await;
    let (mut page, request) = fragment(&admin, &server);
    let text = page.send(request).await.text().await.unwrap();
    assert!(
        !text.contains("ana@example.com was added"),
        "a page that fetches a part of itself is told nothing"
    );
    let text = admin.open("/settings").await.text().await.unwrap();
    assert!(text.contains("ana@example.com was added"), "the person is");
    assert!(!admin.open("/settings").await.text().await.unwrap().contains("was added"), "once");

    // A form that cannot be read says so on its page, and never in an address.
    let lost = admin.submit("add_token", &[("form[name]", "x"), ("form[days][oops]", "1")]).await;
    assert_eq!(lost.headers()["location"], "/settings");
    let text = admin.open("/settings").await.text().await.unwrap();
    assert!(text.contains("A field of this form is missing or cannot be read"));
}

async fn a_new_password_ends_other_sessions(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(&folder.path().join("data"), db, &[]).await;
    let mut admin = server.admin().await;
    let first = admin.add_person("ana@example.com", "viewer").await;
    let mut here = Browser::new(&server.base);
    let mut there = Browser::new(&server.base);
    here.sign_in("ana@example.com", first).await;
    there.sign_in("ana@example.com", first).await;
    assert!(here.is_signed_in().await && there.is_signed_in().await);

    let change =
        |current: &'static str, new: &'static str| [("form[current]", current), ("form[new_password]", new)];
    here.submit("change_password", &change("not it", "another long one")).await;
    assert!(here.open("/settings").await.text().await.unwrap().contains("is not your password"));
    here.submit("change_password", &change(first, "short")).await;
    assert!(here.open("/settings").await.text().await.unwrap().contains("must have 12 to 200 characters"));
    assert!(there.is_signed_in().await, "nothing has changed yet");
    here.submit("change_password", &change(first, "another long one")).await;
    assert!(here.open("/settings").await.text().await.unwrap().contains("Your password is changed"));
    assert!(!there.is_signed_in().await, "the other session has ended");
    there.sign_in("ana@example.com", first).await;
    assert!(!there.is_signed_in().await, "the former password is none");
    there.sign_in("ana@example.com", "another long one").await;
    assert!(there.is_signed_in().await);

    // An admin gives them another one, shown once.
    let page = admin.open("/settings").await.text().await.unwrap();
    let row = page.split("ana@example.com</td>").nth(1).unwrap();
    let id = row.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    admin.submit("reset_password", &[("id", id)]).await;
    let page = admin.open("/settings").await.text().await.unwrap();
    let password = page.split("<code>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(!here.is_signed_in().await && !there.is_signed_in().await, "their sessions have ended");
    assert!(!admin.open("/settings").await.text().await.unwrap().contains(&password), "it is shown once");
    here.sign_in("ana@example.com", &password).await;
    assert!(here.is_signed_in().await);
    let refused = here.submit("reset_password", &[("id", id)]).await;
    assert_eq!(refused.headers()["location"], "/settings");
    assert!(here.open("/settings").await.text().await.unwrap().contains("it needs the permission"));
}

#[tokio::test]
async fn secrets_do_not_stand_in_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data).await;
    let mut admin = server.admin().await;
    let fields = [("form[name]", "t"), ("form[days]", "1"), ("form[permissions][]", "view")];
    let made = admin.submit("add_token", &fields).await;
    let cookies: Vec<_> =
        made.headers().get_all("set-cookie").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
    let cookie = cookies.iter().find(|c| c.contains("=tg_")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let token = cookie.split('=').nth(1).unwrap().split(';').next().unwrap().to_owned();
    let session = cookies.iter().find(|c| c.starts_with("tidegate=")).unwrap();
    let session = session.split('=').nth(1).unwrap().split(';').next().unwrap().to_owned();
    for file in ["tidegate.db", "tidegate.db-wal"] {
        let Ok(bytes) = std::fs::read(data.join(file)) else { continue };
        for secret in [&token, &session] {
            assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{file} holds a secret");
        }
    }
    assert!(admin.open("/settings").await.text().await.unwrap().contains(&token));
}

#[tokio::test]
async fn answers_carry_their_headers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data")).await;
    let mut admin = server.admin().await;
    let page = admin.open("/").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert_eq!(page.headers()["cache-control"], "no-store");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    let text = page.text().await.unwrap();
    assert!(text.contains(&format!("nonce=\"{nonce}\"")), "scripts of the page have its nonce");
    let again = admin.open("/").await.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(!again.contains(&nonce), "each answer has a nonce of its own");
    for path in ["/api/v1/tiers", "/healthz", "/live", "/do/nothing"] {
        let answer = http().get(format!("{}{path}", server.base)).send().await.unwrap();
        assert!(answer.headers().contains_key("content-security-policy"), "{path}");
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
        assert!(!answer.headers().contains_key("strict-transport-security"), "{path}");
    }
    let live = http().get(format!("{}/live", server.base)).send().await.unwrap();
    assert_eq!(live.status(), StatusCode::UNAUTHORIZED);

    // People get pages, whatever they typed.
    for (path, status) in [
        ("/nowhere", StatusCode::NOT_FOUND),
        ("/rollouts?before=x", StatusCode::BAD_REQUEST),
        ("/do/sign_out", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = admin.open(path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"), "{path}");
        assert!(answer.text().await.unwrap().contains("Back to the start"), "{path}");
    }
    let unknown = admin.submit("nothing", &[]).await;
    assert!(unknown.text().await.unwrap().contains("This form is not on record"));

    // Over HTTPS cookies and browsers insist on it.
    let flags = ["--base-url", "https://console.example.com", "--tenant-domain", "example.com"];
    let secure = Server::with(&folder.path().join("secure"), Db::Sqlite, &flags).await;
    let mut visitor = Browser::new(&secure.base);
    let signed = visitor.sign_in("admin@localhost", secure.password.as_deref().unwrap()).await;
    let cookie = signed.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-tidegate=") && cookie.contains("Secure"), "{cookie}");
    assert!(cookie.contains("Max-Age=604800"), "it lasts seven days: {cookie}");
    assert!(signed.headers().contains_key("strict-transport-security"));
}

#[tokio::test]
async fn nobody_is_sent_elsewhere_after_signing_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data")).await;
    let password = server.password.as_deref().unwrap();
    for (to, expected) in [
        ("/tenants?tier=basic", "/tenants?tier=basic"),
        ("/\t/evil.example", "/"),
        ("//evil.example", "/"),
        ("/\n", "/"),
    ] {
        let mut visitor = Browser::new(&server.base);
        let fields = [("form[email]", "admin@localhost"), ("form[password]", password), ("form[to]", to)];
        let signed = visitor.submit("sign_in", &fields).await;
        assert_eq!(
            (signed.status(), &signed.headers()["location"]),
            (StatusCode::FOUND, &expected.parse().unwrap()),
            "{to:?}"
        );
    }
}

#[tokio::test]
async fn names_lead_to_the_console_or_to_tenants() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--base-url", "http://console.example.com", "--tenant-domain", "example.com"];
    let server = Server::with(&folder.path().join("data"), Db::Sqlite, &flags).await;
    let ask = async |host: &str| {
        let response =
            http().get(format!("{}/sign-in", server.base)).header("host", host).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    for host in ["console.example.com", "Console.Example.com.", "localhost:1", "127.0.0.1"] {
        let (status, text) = ask(host).await;
        assert!(status == StatusCode::OK && text.contains("Sign in"), "{host}: {status}");
    }
    for (host, status) in
        [("acme.example.com", StatusCode::NOT_FOUND), ("evil.example", StatusCode::MISDIRECTED_REQUEST)]
    {
        let (answered, text) = ask(host).await;
        assert!(answered == status && text.contains("Nobody is here"), "{host}: {answered}");
    }
    for path in ["/healthz", "/api/v1/openapi.json"] {
        let request = http().get(format!("{}{path}", server.base)).header("host", "tidegate.internal");
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::OK,
            "programs may know it by another name"
        );
    }
}

#[tokio::test]
async fn floods_are_slowed_down() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--trusted-proxy", "127.0.0.1"];
    let server = Server::with(&folder.path().join("data"), Db::Sqlite, &flags).await;
    let form = "form%5Bemail%5D=nobody%40example.com&form%5Bpassword%5D=x&form%5Bto%5D=";
    let attempt = async |from: String| {
        let request = http().post(format!("{}/do/sign_in", server.base)).header("x-forwarded-for", from);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        request.header("accept", "text/html").send().await.unwrap()
    };
    for n in 0..20 {
        let answer = attempt(format!("2001:db8::{n}")).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{n}");
    }
    let answer = attempt("2001:db8::ffff".to_owned()).await;
    assert_eq!(
        (answer.status(), &answer.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"60".parse().unwrap())
    );
    assert_eq!(attempt("192.0.2.7".to_owned()).await.status(), StatusCode::FOUND, "others go on");

    // An account takes ten wrong passwords, from wherever they come; then not even the right one for a while.
    let mut visitor = Browser::new(&server.base);
    for _ in 0..10 {
        visitor.sign_in("admin@localhost", "wrong").await;
    }
    visitor.sign_in("admin@localhost", server.password.as_deref().unwrap()).await;
    let page = visitor.open("/sign-in").await.text().await.unwrap();
    assert!(page.contains("Too many wrong passwords for this address; wait"), "{page}");
}
