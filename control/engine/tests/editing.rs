//! What people edit and search in the console, on both databases.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, on_both, person};
use domain::access::Role;
use drivers::scripted::Fate;
use service::{BulkChange, BulkVerb, ParameterRow, TenantEdit, TierEdit};
use store::{ActivityFilter, TenantFilter, TenantOrder};

on_both!(
    tenants_are_listed_in_every_order_page_by_page,
    a_tier_edit_says_what_it_changes_and_overwrites_nobody,
    tenants_are_edited_and_changed_in_bulk,
    the_record_is_searched_by_names,
    each_method_needs_its_permission,
);

async fn fleet(app: &TestApp) -> Vec<domain::TenantId> {
    let mut ids = vec![];
    for (slug, tier) in [("delta", "basic"), ("alpha", "premium"), ("charlie", "basic"), ("bravo", "premium")]
    {
        let id = app.tenant(slug, tier).await;
        app.active(id).await;
        ids.push(id);
    }
    ids
}

async fn tenants_are_listed_in_every_order_page_by_page(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let ids = fleet(&app).await;
    let form = TenantEdit {
        name: "zulu, once alpha".into(),
        email: "a@example.com".into(),
        tags: "pilot".into(),
        ..TenantEdit::default()
    };
    app.service.edit_tenant(&app.admin, ids[1], &form).await.unwrap();
    let pages = |filter: TenantFilter| {
        let app = &app;
        async move {
            let (mut found, mut after) = (vec![], None);
            loop {
                let filter = TenantFilter { after, limit: 2, ..filter.clone() };
                let (rows, total) = app.service.tenants(&app.admin, &filter).await.unwrap();
                found.extend(rows.iter().map(|r| r.tenant.slug.to_string()));
                after = rows.last().map(|r| r.cursor.clone());
                if found.len() as i64 >= total {
                    return found;
                }
                assert!(!rows.is_empty(), "a page is missing");
            }
        }
    };
    let by = |order| TenantFilter { order, ..TenantFilter::default() };
    assert_eq!(pages(by(TenantOrder::Name)).await, ["bravo", "charlie", "delta", "alpha"]);
    assert_eq!(pages(by(TenantOrder::Tier)).await, ["charlie", "delta", "bravo", "alpha"]);
    assert_eq!(pages(by(TenantOrder::Version)).await, ["bravo", "charlie", "delta", "alpha"]);
    let newest = TenantFilter { newest: true, ..TenantFilter::default() };
    assert_eq!(pages(newest).await, ["bravo", "charlie", "alpha", "delta"]);
    let some = TenantFilter {
        tier: Some("premium".into()),
        version: Some("1.0.0".into()),
        tag: Some("pilot".into()),
        search: Some("ZULU".into()),
        ..TenantFilter::default()
    };
    assert_eq!(pages(some).await, ["alpha"]);
    assert_eq!(app.service.tenant_tags(&app.admin).await.unwrap().len(), 1);
}

async fn a_tier_edit_says_what_it_changes_and_overwrites_nobody(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    let key = "premium".parse().unwrap();
    let (tier, _) = app.store.tier_by_key(&key).await.unwrap().unwrap();
    let mut edit = TierEdit::of(&tier);
    let same = app.service.preview_tier(&app.admin, tier.id, edit.clone()).await.unwrap();
    assert!(same.changes.is_empty());
    edit.rows.iter_mut().find(|r| r.name == "workers").unwrap().value = "5".into();
    edit.rows.retain(|r| r.name != "export");
    let row = ParameterRow {
        name: "depth".into(),
        kind: "integer".into(),
        max: "9".into(),
        value: "3".into(),
        ..ParameterRow::default()
    };
    edit.rows.push(row);
    let found = app.service.preview_tier(&app.admin, tier.id, edit.clone()).await.unwrap();
    let what: Vec<_> =
        found.changes.iter().map(|d| (d.what.as_str(), d.was.as_str(), d.is.as_str())).collect();
    assert_eq!(what, [("workers", "8", "5"), ("depth", "", "3"), ("export", "on", "")]);
    assert!(
        found.sentence.starts_with("Changes 2 stacks in 1 wave of “At once”, 2 tenants"),
        "{}",
        found.sentence
    );
    assert_eq!(
        app.service.save_tier_edit(&app.admin, Some(tier.id), edit.clone()).await.unwrap().revision,
        2
    );
    let stale = app.service.save_tier_edit(&app.admin, Some(tier.id), edit.clone()).await.unwrap_err();
    assert_eq!(stale.code(), "stale");
    edit.seen = "2".into();
    edit.form.model = "pool".into();
    edit.rows[0].value = "lots".into();
    let refused = app.service.save_tier_edit(&app.admin, Some(tier.id), edit).await.unwrap_err();
    let service::Error::Invalid(invalid) = refused else { panic!("{refused}") };
    let fields: Vec<_> = invalid.problems.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["rows[0].value", "model"]);
}

async fn tenants_are_edited_and_changed_in_bulk(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let ids = fleet(&app).await;
    let mut form =
        TenantEdit { name: "Alpha".into(), email: "a@example.com".into(), ..TenantEdit::default() };
    form.overrides.insert("workers".into(), "3".into());
    assert!(app.service.edit_tenant(&app.admin, ids[1], &form).await.unwrap(), "its own stack differs now");
    let behind = app.store.behind(9).await.unwrap();
    assert_eq!(behind.len(), 1, "it is on the catch-up list, and nobody else is (law 1)");
    let repair = app.service.converge(&app.admin, behind[0].stack).await.unwrap();
    app.until(repair, "succeeded").await;
    assert!(app.store.behind(9).await.unwrap().is_empty());
    form.overrides.insert("workers".into(), "300".into());
    assert_eq!(app.service.edit_tenant(&app.admin, ids[1], &form).await.unwrap_err().status(), 422);
    let change = |verb, comment: &str, tags: &str| BulkChange {
        verb,
        tenants: ids.clone(),
        comment: comment.into(),
        tags: tags.into(),
    };
    let without = app.service.change_many(&app.admin, &change(BulkVerb::Suspend, "", "")).await;
    assert_eq!(without.unwrap_err().status(), 422, "a reason is asked for");
    assert_eq!(app.service.change_many(&app.admin, &change(BulkVerb::Suspend, "rest", "")).await.unwrap(), 4);
    let again = app.service.preview_bulk(&app.admin, BulkVerb::Suspend, &ids, None).await.unwrap();
    assert_eq!((again.changed.len(), again.left.len()), (0, 4));
    assert_eq!(app.service.change_many(&app.admin, &change(BulkVerb::Reactivate, "", "")).await.unwrap(), 4);
    assert_eq!(app.service.change_many(&app.admin, &change(BulkVerb::Tag, "", "eu, late")).await.unwrap(), 4);
    assert_eq!(app.service.change_many(&app.admin, &change(BulkVerb::Tag, "", "eu")).await.unwrap(), 0);
    assert_eq!(app.service.change_many(&app.admin, &change(BulkVerb::Untag, "", "eu")).await.unwrap(), 4);
    let tags = app.store.tenant(ids[0]).await.unwrap().unwrap().tags;
    assert_eq!(tags.iter().map(|t| t.as_str()).collect::<Vec<_>>(), ["late"]);
}

async fn the_record_is_searched_by_names(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let olga = person(7, "olga@example.com", Role::Operator);
    let ids = fleet(&app).await;
    app.service.suspend_with_reason(&olga, ids[0], "rest").await.unwrap();
    let found = |text: &str| {
        let filter = ActivityFilter { search: Some(text.into()), limit: 50, ..ActivityFilter::default() };
        let app = &app;
        async move { app.service.activity(&app.admin, &filter).await.unwrap().len() }
    };
    assert_eq!(found("OLGA@").await, 1);
    assert_eq!(found("releases\",\"").await, 0, "not the words for what somebody may do");
    assert_eq!(found("strategies").await, 0);
}

async fn each_method_needs_its_permission(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let ids = fleet(&app).await;
    let (tier, _) = app.store.tiers().await.unwrap().remove(0);
    for role in [Role::Viewer, Role::Approver] {
        let who = person(8, "vic@example.com", role);
        assert!(app.service.preview_tier(&who, tier.id, TierEdit::of(&tier)).await.is_ok());
        let refused = [
            app.service.save_tier_edit(&who, Some(tier.id), TierEdit::of(&tier)).await.err(),
            app.service.edit_tenant(&who, ids[0], &TenantEdit::default()).await.err(),
            app.service.suspend_with_reason(&who, ids[0], "no").await.err(),
            app.service.preview_bulk(&who, BulkVerb::Tag, &ids, None).await.err(),
        ];
        for error in refused {
            assert_eq!(error.unwrap().status(), 403);
        }
    }
}
