//! Access: hosts, origins, the token.

use serde_json::json;

use super::world::{Api, Backend, Program};
use super::{is, start, wrong};

#[test]
fn a_foreign_host_or_origin_is_refused() {
    let program = start(&Backend::lines(), "--http-allow-host chaos.example");
    let (api, port) = (program.api(), program.api().0.port());
    let hosts = [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
    for host in
        hosts.iter().map(String::as_str).chain(["localhost", "localhost:1", "chaos.example", "chaos.example:99"])
    {
        assert_eq!(api.ask("GET", "/behavior", &format!("Host: {host}\r\n"), "").status, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.2", "[::2]", ""] {
        let what =
            format!("`{host}` is not a host of this program: use localhost, or allow it with `--http-allow-host`");
        let reply = api.ask("GET", "/behavior", &format!("Host: {host}\r\n"), "");
        assert_eq!(is(&reply), wrong(403, "header", "Host", &what));
        assert_eq!(api.ask("GET", "/healthz", &format!("Host: {host}\r\n"), "").status, 403);
    }
    for (origin, status) in [(format!("http://{}", api.0), 200), ("http://evil.example".to_owned(), 403)] {
        let reply = api.ask("GET", "/behavior", &format!("Origin: {origin}\r\n"), "");
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (status, None));
    }
    let reply = api.ask("PUT", "/behavior", "Origin: null\r\n", r#"{"name": "hang"}"#);
    let what = "`null` is another site: only pages of this host may send requests";
    assert_eq!(is(&reply), wrong(403, "header", "Origin", what));
    assert_eq!(is(&api.get("/behavior")), (200, json!({ "behavior": "dummy" })));
}

#[test]
fn pages_of_other_sites_are_refused_as_browsers_name_them() {
    let program = start(&Backend::lines(), "");
    let ask =
        |method, body, site: &str| program.api().ask(method, "/behavior", &format!("Sec-Fetch-Site: {site}\r\n"), body);
    for site in ["none", "same-origin"] {
        assert_eq!(is(&ask("GET", "", site)), (200, json!({ "behavior": "dummy" })), "{site}");
    }
    for site in ["cross-site", "same-site", "", "else"] {
        for (method, body) in [("GET", ""), ("PUT", r#"{"name": "hang"}"#)] {
            let what = format!("`{site}` is another site: only pages of this host may send requests");
            assert_eq!(is(&ask(method, body, site)), wrong(403, "header", "Sec-Fetch-Site", &what));
        }
    }
    assert_eq!(is(&program.api().get("/behavior")), (200, json!({ "behavior": "dummy" })));
}

/// Requests without a token, with a wrong one and with the right one.
fn demands_a_token(api: Api) {
    let ask = |headers: &str| api.ask("GET", "/behavior", headers, "");
    let rest = "send `Authorization: Bearer TOKEN` with that of `--http-token`";
    let refused = |what: &str| wrong(401, "header", "Authorization", &format!("{what}, {rest}"));
    assert_eq!(is(&ask("")), refused("the token is missing"));
    assert_eq!(is(&ask("Authorization: Bearer s3cre\r\n")), refused("the token is wrong"));
    assert_eq!(ask("Authorization: Basic s3cret\r\n").header("www-authenticate"), Some("Bearer"));
    assert_eq!(api.get("/nowhere").status, 401);
    assert_eq!(is(&ask("Authorization: Bearer s3cret\r\n")), (200, json!({ "behavior": "dummy" })));
    assert_eq!(is(&api.get("/healthz")), (200, json!({ "status": "ok" })));
}

#[test]
fn a_token_is_demanded_from_wherever_it_comes() {
    let backend = Backend::lines();
    demands_a_token(start(&backend, "--http-token s3cret").api());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "s3cret\n").unwrap();
    demands_a_token(start(&backend, &format!("--http-token-file {}", file.display())).api());
    let arguments = "--proxy 127.0.0.1:0 --backend localhost:1 --http --http-port 0 --http-host 127.0.0.1";
    demands_a_token(Program::spawn(Program::command(arguments).env("VAURIEN_HTTP_TOKEN", "s3cret")).api());
}

#[test]
fn what_does_nothing_is_one_warning_at_start() {
    let program = Program::start(&Backend::lines(), "--http-port 0");
    let lines = program.stop().lines;
    let warnings: Vec<_> = lines.iter().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{lines:#?}");
    assert!(warnings[0].ends_with("`--http-port` has no effect without `--http`"), "{}", warnings[0]);
}

#[test]
fn being_open_to_others_without_a_token_is_one_warning() {
    let backend = Backend::lines();
    for (token, warnings) in [("", 1), ("--http-token s3cret", 0)] {
        let program = Program::start(&backend, &format!("--http --http-port 0 --http-host 0.0.0.0 {token}"));
        let what = "can change the proxies: require a token, `--http-token-file FILE`";
        assert_eq!(program.seen().iter().filter(|line| line.contains(what)).count(), warnings, "{:?}", program.seen());
        assert!(program.stop().lines.iter().filter(|line| line.contains("WARN")).count() == warnings);
    }
}
