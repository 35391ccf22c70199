//! The schemas: what is served is what messages are checked against.

use reqwest::StatusCode;
use serde_json::Value;
use system_tests::{Server, http};

/// A schema as the server gives it, ready to check messages.
pub struct Schema {
    schemas: boon::Schemas,
    index: boon::SchemaIndex,
}

impl Schema {
    pub async fn get(base: &str, name: &str) -> (Self, Value) {
        let response = http().get(format!("{base}/api/v1/schemas/{name}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        assert_eq!(response.headers()["content-type"], "application/schema+json");
        let text: Value = response.json().await.unwrap();
        let mut compiler = boon::Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource(&format!("urn:test:{name}"), text.clone()).unwrap();
        let mut schemas = boon::Schemas::new();
        let index = compiler.compile(&format!("urn:test:{name}"), &mut schemas).unwrap();
        (Self { schemas, index }, text)
    }

    pub fn check(&self, message: &Value) -> Result<(), String> {
        self.schemas.validate(message, self.index).map_err(|error| format!("{error:#}"))
    }
}

#[tokio::test]
async fn every_schema_is_served_and_fits_its_own_examples() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data")).await;
    let list: Value =
        http().get(format!("{}/api/v1/schemas", server.base)).send().await.unwrap().json().await.unwrap();
    let names: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["gate.answer.v1", "gate.opened.v1", "release.register.v1", "task.gate.v1", "tenant.signup.v1"]
    );
    for name in names {
        let (schema, text) = Schema::get(&server.base, name).await;
        assert_eq!(text["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let examples = text["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            schema.check(example).unwrap();
            // Each field that must be there is missed, so that a schema which takes anything does not pass.
            for field in text["required"].as_array().unwrap() {
                let mut less = example.clone();
                less.as_object_mut().unwrap().remove(field.as_str().unwrap());
                assert!(schema.check(&less).is_err(), "{name} without {field}");
            }
        }
    }
    let missing = http().get(format!("{}/api/v1/schemas/x", server.base)).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}
