use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;
use crate::handler::Handler;
use crate::program::api::openapi::document;

/// Stumbles.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Stumble {
    /// Take every Nth call
    every: u64,
    /// Says so
    words: Option<String>,
}

impl Handler for Stumble {}

#[tokio::test]
async fn every_route_is_described_and_every_reference_leads_somewhere() {
    let world = World::new(&[]).await;
    let answer = world.get("/v1/openapi.json").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            ids.push(operation["operationId"].as_str().unwrap().to_owned());
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
            assert_eq!(operation["security"], json!([]));
        }
    }
    assert_eq!(ids.len(), routes::all().len());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), routes::all().len());
    for reference in answer.text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[test]
fn a_proxys_schema_has_the_files_keys_and_users_own_handlers() {
    let registry = Registry::default().with::<Stumble>("stumble");
    let document = document(&routes::all(), &registry, true);
    let settings = &document["components"]["schemas"]["ProxySettings"];
    assert_eq!((&settings["additionalProperties"], &settings["required"]), (&json!(false), &json!(["backend"])));
    let properties = &settings["properties"];
    assert_eq!(properties["protocol"]["default"], "tcp");
    assert_eq!(properties["pool_size"]["default"], 100);
    assert!(properties["handler"]["pattern"].as_str().unwrap().contains("stumble"));
    let stumble = &properties["handlers"]["properties"]["stumble"]["properties"];
    let description = "Take every Nth call";
    let every =
        json!({ "type": "integer", "format": "uint64", "minimum": 0, "default": 0, "description": description });
    assert_eq!(stumble["every"], every);
    assert_eq!(stumble["words"]["type"], json!(["string", "null"]));
    assert_eq!(stumble["keep_alive"]["type"], "boolean");
    let error = &properties["handlers"]["properties"]["error"]["properties"];
    assert_eq!(error["inject"]["type"], "boolean");
    assert!(properties["handlers"]["properties"]["blackout"]["properties"].as_object().unwrap().is_empty());

    let paths = &document["paths"];
    assert_eq!(paths["/behavior"]["put"]["security"], json!([{ "bearer": [] }]));
    assert!(paths["/behavior"]["put"]["responses"]["401"].is_object());
    assert_eq!(paths["/healthz"]["get"]["security"], json!([]));
}
