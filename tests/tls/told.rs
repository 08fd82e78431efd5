//! Clients with which there is no TLS, which nobody intended, are told wherever counts are.

use std::fs;

use serde_json::{Value, json};
use vaurien::daemon::Daemon;
use vaurien::protocol::Protocol;
use vaurien::{Authority, ClientTls, ProxyConfig};

use super::pki::TlsClient;
use super::world::client::Ending;
use super::world::{Client, eventually};
use super::{Backend, Program};

const PLAIN: &str = "the client sent HTTP without TLS";

/// Sends HTTP to a proxy that expects TLS: it is told so, in order.
fn send_http(mut client: Client) {
    let (answer, ending) = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").read_to_end();
    assert!(answer.starts_with(b"HTTP/1.1 400 ") && ending == Ending::Closed, "{}", answer.escape_ascii());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_daemon_counts_them_with_their_reasons() {
    let backend = Backend::lines();
    let mut config = ProxyConfig::new("127.0.0.1:0", backend.address()).unwrap().protocol(Protocol::Http);
    config.tls = Some(ClientTls::with_authority(Authority::generate()));
    let daemon = Daemon::bind(&config, 1).await.unwrap();
    let address = daemon.addresses()[0];
    let clients = move || {
        // A health check is no client.
        Client::connect(address).reset();
        Client::connect(address).half_close().ending();
        send_http(Client::connect(address));
        send_http(Client::connect(address));
        Client::connect(address).send("HELLO\r\n").read_to_end();
        assert!(TlsClient::suspicious(address).handshake().is_err());
    };
    let summary = daemon.serve(async { tokio::task::spawn_blocking(clients).await.unwrap() }).await;
    assert_eq!((summary.connections, summary.handshake_failures, summary.backend_failures), (6, 4, 0));
    let untrusted = "the client does not go on: it does not trust the authority of the certificate (alert unknown_ca)";
    let reasons = [(PLAIN, 2), (untrusted, 1), ("the client sent something else than TLS", 1)];
    assert_eq!(summary.handshake_reasons, reasons.map(|(why, count)| (why.to_owned(), count)));
    let lines = summary.lines();
    let [.., figures, told] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(figures.ends_with(", 0 opaque, 0 dial failures, 4 handshake failures"), "{figures}");
    assert!(
        told.starts_with("4 handshake failures: 2 times the client sent HTTP without TLS; once the client does"),
        "{told}"
    );
    assert_eq!(backend.connections(), 0);
}

#[test]
fn events_api_metrics_and_reports_tell_them() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let options = format!(
        "--protocol http --http --http-port 0 --tls auto --tls-dir {} --report {}",
        folder.path().display(),
        report.display()
    );
    let vaurien = Program::start(&Backend::lines(), &options);
    let api = vaurien.api();
    let seen = || {
        let status = api.proxy("default")["status"].take();
        (status["handshake_failures"].clone(), status["handshake_reasons"].clone())
    };
    assert_eq!(seen(), (json!(0), json!([])));
    let sample = |count| format!("vaurien_handshake_failures_total{{proxy=\"default\"}} {count}\n");
    assert!(api.get("/metrics").body.contains(&sample(0)));

    send_http(vaurien.connect());
    send_http(vaurien.connect());
    let reasons = json!([{ "why": PLAIN, "connections": 2 }]);
    eventually("both are counted", || seen() == (json!(2), reasons.clone()));
    assert!(api.get("/metrics").body.contains(&sample(2)));
    let mut events = api.events();
    for event in &mut events {
        event.as_object_mut().unwrap().remove("time");
    }
    let event = |number| json!({ "id": number, "event": "handshake_failure", "proxy": "default", "connection": number, "why": PLAIN });
    assert_eq!(events, [event(1), event(2)]);

    let counts = vaurien.stop();
    assert_eq!((counts.of("dial failures"), counts.of("handshake failures")), (0, 2));
    assert!(counts.lines.contains(&format!("2 handshake failures: {PLAIN}")), "{:#?}", counts.lines);
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let proxy = &report["runs"][0]["proxies"][0];
    assert_eq!((&proxy["handshake_failures"], &proxy["handshake_reasons"]), (&json!(2), &reasons));
}

#[test]
fn a_fault_that_was_asked_for_is_none_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let options = "--protocol http --http --http-port 0 --handler tls(fault=old_version) --tls auto --tls-dir";
    let vaurien = Program::start(&Backend::lines(), &format!("{options} {}", folder.path().display()));
    assert!(TlsClient::connect(vaurien.address()).handshake().is_err());
    let faults = || vaurien.api().events().into_iter().map(|event| event["verdict"].clone()).collect::<Vec<_>>();
    eventually("it is told", || faults() == [json!("handshake")]);
    assert_eq!(vaurien.api().proxy("default")["status"]["handshake_failures"], 0);
    vaurien.stop();
}
