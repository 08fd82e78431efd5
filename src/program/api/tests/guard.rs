use super::*;

async fn world(allowed: &[&str], token: Option<&str>) -> World {
    let allowed: Vec<_> = allowed.iter().map(|host| host.parse().unwrap()).collect();
    World::with(&["default"], Access::new("chaos", &allowed, token)).await
}

#[tokio::test]
async fn only_a_host_of_ours_is_answered() {
    let world = world(&["proxy.example", "mapped.example:99", "[2001:db8:0::1]", "10.0.0.1:99"], None).await;
    let ours = "localhost LocalHost:8080 127.0.0.1:8080 [::1]:8080 [::1] chaos:8080 proxy.example \
                localhost:8081 127.0.0.1:32768 chaos:80 proxy.example:1234 mapped.example:99 [2001:db8::1]:8080 [2001:DB8:0:0::1] 10.0.0.1:99";
    let others = "10.0.0.1 [2001:db8::2] 2001:db8::1 mapped.example mapped.example:98 127.0.0.2:8080 \
                 evil.example evil.example:8080 localhost.evil.example localhost@evil.example \
                evil@localhost:8080 localhost: localhost:99999 localhost:8080:8080";
    let others = others.split(' ').chain(["", "a b"]).map(|host| (host, 403));
    for (host, status) in ours.split(' ').map(|host| (host, 200)).chain(others) {
        for path in ["/behavior", "/healthz", "/nowhere"] {
            let request = Request::builder().uri(path).header(header::HOST, host).body(Body::empty()).unwrap();
            let expected = if path == "/nowhere" && status == 200 { 404 } else { status };
            assert_eq!(world.send(request).await.status, expected, "{host} {path}");
        }
    }
    let request = Request::builder().uri("/behavior").header(header::HOST, "evil.example").body(Body::empty()).unwrap();
    let what = "`evil.example` is not a host of this program: use localhost, or allow it with `--http-allow-host`";
    assert_eq!(world.send(request).await.is(), wrong(403, "header", "Host", what));
}

#[tokio::test]
async fn a_host_is_there_once_and_agrees_with_the_request_line() {
    let world = world(&[], None).await;
    let none = Request::builder().uri("/behavior").body(Body::empty()).unwrap();
    assert_eq!(
        world.send(none).await.is(),
        wrong(400, "header", "Host", "the header Host is missing, send `Host: localhost`")
    );
    let twice = request("GET", "/behavior").header(header::HOST, "localhost").body(Body::empty()).unwrap();
    assert_eq!(world.send(twice).await.status, 400);
    let whole = request("GET", "http://localhost:8080/behavior").body(Body::empty()).unwrap();
    assert_eq!(world.send(whole).await.status, 200);
    let other = request("GET", "http://evil.example/behavior").body(Body::empty()).unwrap();
    assert_eq!(world.send(other).await.status, 403);
}

#[tokio::test]
async fn pages_of_other_sites_may_not_ask() {
    let world = world(&["proxy.example"], None).await;
    for (host, origin, status) in [
        ("localhost:8080", "http://localhost:8080", 200),
        ("LOCALHOST:8080", "http://localhost:8080", 200),
        ("proxy.example", "https://proxy.example", 200),
        ("proxy.example", "http://proxy.example:80", 200),
        ("proxy.example", "http://proxy.example:8080", 403),
        ("localhost:8080", "http://localhost:3000", 403),
        ("localhost:8080", "http://127.0.0.1:8080", 403),
        ("localhost:8080", "http://proxy.example", 403),
        ("localhost:8080", "http://evil.example", 403),
        ("localhost:8080", "null", 403),
        ("localhost:8080", "", 403),
        ("localhost:8080", "file://localhost:8080", 403),
    ] {
        let request = Request::builder().uri("/behavior").header(header::HOST, host).header(header::ORIGIN, origin);
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{host} {origin}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let preflight = request("OPTIONS", "/behavior").header(header::ORIGIN, "http://evil.example").body(Body::empty());
    assert_eq!(world.send(preflight.unwrap()).await.status, 403);
}

#[tokio::test]
async fn a_token_is_demanded_of_all_but_the_health_check() {
    let world = world(&[], Some("s3cret")).await;
    for (given, status) in [
        (Some("Bearer s3cret"), 200),
        (Some("bearer s3cret"), 200),
        (Some("Bearer  s3cret"), 200),
        (Some("Bearer s3cre"), 401),
        (Some("Bearer s3cret2"), 401),
        (Some("Bearer S3cret"), 401),
        (Some("Bearer "), 401),
        (Some("Basic s3cret"), 401),
        (Some("s3cret"), 401),
        (None, 401),
    ] {
        let mut request = request("GET", "/v1/proxies");
        if let Some(given) = given {
            request = request.header(header::AUTHORIZATION, given);
        }
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{given:?}");
        assert_eq!(answer.header("www-authenticate"), (status == 401).then_some("Bearer"));
    }
    let missing = "the token is missing, send `Authorization: Bearer TOKEN` with that of `--http-token`";
    assert_eq!(world.get("/behavior").await.is(), wrong(401, "header", "Authorization", missing));
    assert_eq!(world.get("/nowhere").await.status, 401);
    assert_eq!(world.call("OPTIONS", "/behavior", "").await.status, 401);
    assert_eq!(world.get("/healthz").await.is(), (200, json!({ "status": "ok" })));
    assert_eq!(world.get("/").await.status, 200);
    assert_eq!(world.get("//").await.status, 401);
}

#[tokio::test]
async fn what_decides_is_there_once() {
    let world = world(&[], Some("s3cret")).await;
    for (name, value) in
        [("Host", "localhost"), ("Origin", "http://localhost:8080"), ("Authorization", "Bearer s3cret")]
    {
        let request = request("GET", "/behavior").header(header::AUTHORIZATION, "Bearer s3cret");
        let request = if name == "Origin" { request.header(name, value) } else { request };
        let answer = world.send(request.header(name, value).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.is(), wrong(400, "header", name, "the header is repeated, send it once"));
    }
}
