//! Rules and errors of gRPC over HTTP/2: by service and method, as trailers alone.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use super::peer::{Backend, Client, Reply, echo, request};
use super::world::Program;

/// A call of gRPC with one message.
async fn call(client: &Client, path: &str) -> Reply {
    client.ask(request(Method::POST, path), Bytes::from_static(b"\0\0\0\0\x01x"), None).await.unwrap()
}

#[tokio::test]
async fn calls_fail_by_their_service_and_method_and_others_of_the_connection_pass() {
    let backend = Backend::new(echo);
    let mut command = Program::command("--proxy 127.0.0.1:0 --protocol grpc --http --http-port 0");
    command.args(["--backend", &backend.address()]);
    for rule in [
        "service=shop.v1.Pay* method=Charge|Refund name=pay => error(grpc=RESOURCE_EXHAUSTED, message=\"50 % in Zürich\")",
        "method=Get* => error(headers=\"grpc-retry-pushback-ms: 20\")",
        "/shop.v1.Log/Write => reset(code=REFUSED_STREAM)",
    ] {
        command.args(["--rule", rule]);
    }
    let vaurien = Program::spawn(&mut command);
    let client = Client::connect(vaurien.address()).await;
    for (path, status, message) in [
        ("/shop.v1.Payments/Charge", "8", "50 %25 in Z%C3%BCrich"),
        ("/shop.v1.Pay/Refund", "8", "50 %25 in Z%C3%BCrich"),
        ("/other.Orders/GetAll", "14", "injected by vaurien"),
    ] {
        let reply = call(&client, path).await;
        let head = [reply.header("content-type"), reply.header("grpc-status"), reply.header("grpc-message")];
        assert_eq!(head, [Some("application/grpc"), Some(status), Some(message)], "{path}");
        assert_eq!((reply.status, reply.body.len(), reply.trailers), (200, 0, None), "{path}");
        assert_eq!(reply.headers.get("grpc-retry-pushback-ms").is_some(), status == "14", "{path}");
    }
    for path in ["/shop.v1.Payments/charge", "/shop.Payments/Charge", "/other.Orders/Forget", "/GetAll"] {
        assert_eq!(call(&client, path).await.body.len(), 6, "{path}");
    }
    let reset = client.ask(request(Method::POST, "/shop.v1.Log/Write"), Bytes::from_static(b"x"), None).await;
    assert_eq!(reset.unwrap_err().reason(), Some(h2::Reason::REFUSED_STREAM));
    assert_eq!((call(&client, "/shop.v1.Log/Read").await.body.len(), backend.connections()), (6, 1));

    let events = vaurien.api().events();
    let refund = events.iter().filter(|event| event["rule"] == "pay").nth(1).unwrap();
    assert_eq!(refund["head"], json!({ "method": "POST", "path": "/shop.v1.Pay/Refund" }));
    let shapes = vaurien.api().get("/v1/proxies/default/calls").json()["calls"].clone();
    let rules: Vec<_> = shapes.as_array().unwrap().iter().map(|shape| shape["rule"].as_str().unwrap()).collect();
    assert!(rules.contains(&"/shop.v1.Log/Write => error(grpc=UNAVAILABLE)"), "{rules:?}");
}
