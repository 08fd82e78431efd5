//! Paths, methods, headers, and who may ask.

use serde_json::json;

use super::*;

#[test]
fn the_version_is_one_that_clients_know() {
    let program = start();
    let reply = program.toxiproxy().get("/version");
    assert_eq!((reply.status, reply.body.as_str()), (200, "{\"version\": \"2.12.0\"}\n"));
    assert_eq!(reply.header("content-type"), Some("application/json;charset=utf-8"));
}

#[test]
fn unknown_paths_methods_and_unclean_paths() {
    let program = start();
    let api = program.toxiproxy();
    for path in ["/not_found", "/", "/proxies/", "/proxies/a/", "/proxies/a/toxics/", "/metrics", "/v1/proxies"] {
        let reply = api.get(path);
        assert_eq!((reply.status, reply.body.as_str()), (404, "404 page not found\n"), "{path}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("x-toxiproxy-request-id"), None);
    }
    for (method, path) in [
        ("HEAD", "/proxies"),
        ("HEAD", "/version"),
        ("PUT", "/proxies"),
        ("DELETE", "/proxies"),
        ("PUT", "/proxies/a"),
        ("PATCH", "/proxies/a/toxics"),
        ("PUT", "/proxies/a/toxics/b"),
        ("GET", "/populate"),
        ("GET", "/reset"),
        ("POST", "/version"),
    ] {
        let reply = api.ask(method, path, "", "");
        assert_eq!((reply.status, reply.body.as_str()), (405, ""), "{method} {path}");
        assert_eq!(reply.header("x-toxiproxy-request-id"), None);
    }
    for (path, to) in [("//proxies", "/proxies"), ("/proxies/../version?a=b", "/version?a=b"), ("/a//b/", "/a/b/")] {
        let reply = api.get(path);
        assert_eq!((reply.status, reply.header("location")), (301, Some(to)), "{path}");
    }
}

#[test]
fn each_answer_has_a_number() {
    let program = start();
    let api = program.toxiproxy();
    let ids = ["/proxies", "/proxies/none", "/version"]
        .map(|path| api.get(path).header("x-toxiproxy-request-id").unwrap().to_owned());
    let is_id = |id: &String| id.len() == 20 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v'));
    assert!(ids.iter().all(is_id) && ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
}

#[test]
fn pages_in_browsers_are_refused() {
    let program = start();
    let api = program.toxiproxy();
    let reply = api.ask("GET", "/proxies", "User-Agent: Mozilla/5.0\r\n", "");
    assert_eq!((reply.status, reply.body.as_str()), (403, "User agent not allowed\n"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(reply.header("x-toxiproxy-request-id").is_some());
    assert_eq!(api.ask("GET", "/none", "User-Agent: Mozilla/5.0\r\n", "").status, 404);
    assert_eq!(api.ask("GET", "/proxies", "User-Agent: mozilla/5.0\r\n", "").status, 200);
    for headers in ["Origin: http://evil.example\r\n", "Host: evil.example:8474\r\n", "Sec-Fetch-Site: cross-site\r\n"]
    {
        let reply = api.ask("POST", "/reset", headers, "");
        assert_eq!((reply.status, reply.json()["status"].clone()), (403, json!(403)), "{headers}");
    }
    // Ports may be mapped.
    for host in ["localhost:1", "127.0.0.1", "[::1]:9"] {
        assert_eq!(api.ask("GET", "/proxies", &format!("Host: {host}\r\n"), "").status, 200, "{host}");
    }
}

#[test]
fn beyond_loopback_any_host_is_right() {
    let program = Program::spawn(&mut Program::command("--toxiproxy 0.0.0.0:0"));
    let api = Api(([127, 0, 0, 1], program.toxiproxy().0.port()).into());
    assert_eq!(api.ask("GET", "/proxies", "Host: toxiproxy:8474\r\n", "").status, 200);
    assert_eq!(api.ask("GET", "/proxies", "User-Agent: Mozilla/5.0\r\n", "").status, 403);
}

#[test]
fn both_families_of_loopback_answer() {
    let program = start();
    let port = program.toxiproxy().0.port();
    // Where there is no IPv6, there is nothing to test.
    if std::net::TcpListener::bind("[::1]:0").is_ok() && program.seen().iter().any(|line| line.contains("[::1]")) {
        assert_eq!(Api(([0, 0, 0, 0, 0, 0, 0, 1], port).into()).get("/version").status, 200);
    }
}

#[test]
fn any_type_of_a_body_is_read() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    for (name, headers) in [
        ("form", "Content-Type: application/x-www-form-urlencoded\r\n"),
        ("none", ""),
        ("text", "Content-Type: text/plain\r\n"),
    ] {
        let body = json!({ "name": name, "listen": "localhost:0", "upstream": backend.address().to_string() });
        assert_eq!(api.ask("POST", "/proxies", headers, &body.to_string()).status, 201, "{name}");
    }
    let names: Vec<String> = api.get("/proxies").json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["form", "none", "text"]);
}

#[test]
fn types_of_answers() {
    let program = start();
    let api = program.toxiproxy();
    let list = api.get("/proxies");
    assert_eq!((list.header("content-type"), list.body.as_str()), (Some("application/json"), "{}"));
    let none = api.get("/proxies/none");
    assert_eq!(none.header("content-type"), Some("application/json"));
    assert_eq!(none.body, "{\"error\":\"proxy not found\",\"status\":404}\n");
    assert_eq!(is(&none), error(404, "proxy not found"));
}
