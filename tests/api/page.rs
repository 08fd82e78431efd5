//! `GET /`: the live page.

use super::start;
use super::world::Backend;

#[test]
fn it_is_one_document_that_only_its_own_script_runs_in() {
    let program = start(&Backend::lines(), "");
    let reply = program.api().get("/");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = reply.header("content-security-policy").unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    for part in ["connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    let nonce = policy.split_once("script-src 'nonce-").unwrap().1.split_once('\'').unwrap().0;
    assert!(nonce.len() == 32 && policy.contains(&format!("style-src 'nonce-{nonce}'")), "{policy}");
    let page = &reply.body;
    assert!(page.starts_with("<!DOCTYPE html>\n") && page.ends_with("</html>\n"));
    assert_eq!(page.matches(&format!(" nonce=\"{nonce}\"")).count(), 2);
    assert_eq!((page.matches("<script").count(), page.matches("<style").count()), (1, 1));
    assert!(!page.contains(" src=") && !page.contains("http-equiv"), "it loads nothing");
    // Whoever has seen one page cannot write a script for the next.
    let next = program.api().get("/");
    assert!(!next.header("content-security-policy").unwrap().contains(nonce));
    assert_eq!(next.header("cache-control"), Some("no-store"));
    assert_eq!(next.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn it_needs_no_token_and_nothing_else_does_without_one() {
    let program = start(&Backend::lines(), "--http-token s3cret");
    let reply = program.api().get("/");
    assert_eq!(reply.status, 200);
    assert!(!reply.body.contains("s3cret"));
    for path in ["//", "/index.html", "/.", "/?", "/v1/proxies", "/v1/events"] {
        let status = program.api().get(path).status;
        // A query is none of the path.
        assert_eq!(status, if path == "/?" { 200 } else { 401 }, "{path}");
    }
}

#[test]
fn it_is_read_and_never_written() {
    let program = start(&Backend::lines(), "");
    let ask = |method: &str| program.api().ask(method, "/", "", "");
    let head = ask("HEAD");
    assert_eq!((head.status, &*head.body), (200, ""));
    assert!(head.header("content-security-policy").is_some());
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let reply = ask(method);
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET,HEAD")), "{method}");
        assert!(reply.body.contains("use GET, HEAD"), "{}", reply.body);
    }
    let framed = program.api().ask("GET", "/", "Sec-Fetch-Site: cross-site\r\n", "");
    assert_eq!(framed.status, 403);
    assert_eq!(program.api().get("/page").status, 404);
}
