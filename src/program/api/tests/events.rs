use super::*;
use crate::events::{EVENTS, EventKind, SharedTexts};

/// Two events have been recorded.
async fn world() -> World {
    let world = World::new(&[]).await;
    record(&world, "a");
    record(&world, "b");
    world
}

fn record(world: &World, proxy: &str) {
    world.proxies.events().emit(
        &proxy.into(),
        || None,
        || EventKind::Plan {
            handler: "dummy".to_owned(),
            rules: SharedTexts::default(),
            toxics: SharedTexts::default(),
            enabled: true,
        },
    );
}

/// The stream without the times.
fn timeless(text: &str) -> String {
    let mut events = text.split("\"time\":\"");
    let first = events.next().unwrap().to_owned();
    events.fold(first, |text, more| text + more.split_once("\",").unwrap().1)
}

#[tokio::test]
async fn those_that_are_there_are_sent_with_their_numbers() {
    let world = world().await;
    let all = world.get("/v1/events?follow=false").await;
    assert_eq!((all.status.as_u16(), all.header("content-type")), (200, Some("text/event-stream")));
    let [first, second] = [(1, "a"), (2, "b")].map(|(id, proxy)| {
        let rest = r#""handler":"dummy","enabled":true"#;
        format!("id: {id}\nevent: plan\ndata: {{\"id\":{id},\"event\":\"plan\",\"proxy\":\"{proxy}\",{rest}}}\n\n")
    });
    assert_eq!(timeless(&all.text), format!("{first}{second}"));
    assert_eq!(timeless(&world.get("/v1/events?since=1&follow=false").await.text), second);
    assert_eq!(world.get("/v1/events?since=2&follow=false").await.text, "");
    let again =
        request("GET", "/v1/events?since=0&follow=false").header("Last-Event-ID", "1").body(Body::empty()).unwrap();
    assert_eq!(timeless(&world.send(again).await.text), second);
}

#[tokio::test]
async fn a_gap_is_an_event() {
    let world = world().await;
    (0..EVENTS + 5).for_each(|_| record(&world, "a"));
    let text = world.get("/v1/events?since=2&follow=false").await.text;
    assert!(text.starts_with("event: lost\ndata: {\"count\":5}\n\nid: 8\n"), "{}", &text[..200]);
}

#[tokio::test(start_paused = true)]
async fn events_come_as_they_happen_and_a_quiet_stream_is_alive() {
    let world = world().await;
    let mut body = world.begin(request("GET", "/v1/events").body(Body::empty()).unwrap()).await.into_body();
    let mut next = async || {
        let frame = body.frame().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    };
    // No earlier events.
    assert_eq!(next().await, ":\n\n");
    record(&world, "a");
    assert!(next().await.starts_with("id: 3\nevent: plan\n"));
    assert_eq!(next().await, ":\n\n");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused() {
    let world = world().await;
    for (query, name, description) in [
        ("since=x", "since", "`x` is not an event's number"),
        ("since=-1", "since", "`-1` is not an event's number"),
        ("since=18446744073709551616", "since", "`18446744073709551616` is not an event's number"),
        ("follow=1", "follow", "`1` is not true or false"),
        ("from=1", "from", "unknown parameter `from` (known: since, follow)"),
        ("since=1&since=2", "since", "`since` is given twice, give it once"),
    ] {
        let answer = world.get(&format!("/v1/events?{query}")).await;
        assert_eq!(answer.is(), wrong(400, "query", name, description));
    }
    let request = request("GET", "/v1/events").header("Last-Event-ID", "x").body(Body::empty()).unwrap();
    let what = "not an event's number: send the last `id:` that was read";
    assert_eq!(world.send(request).await.is(), wrong(400, "header", "Last-Event-ID", what));
}

#[tokio::test]
async fn readers_leave_room_for_others() {
    let world = world().await;
    let open = || world.begin(request("GET", "/v1/events").body(Body::empty()).unwrap());
    let mut streams = Vec::new();
    for _ in 0..super::super::READERS {
        streams.push(open().await);
    }
    let what = "too many connections read events, close one";
    assert_eq!(world.get("/v1/events").await.is(), wrong(503, "", "", what));
    streams.pop();
    assert_eq!(open().await.status(), 200);
}
