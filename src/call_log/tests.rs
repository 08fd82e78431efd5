//! What is kept of calls that pass through real sockets.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::call::{Answer, Call, Verdict};
use crate::daemon::{Control, Daemon};
use crate::duration::Seconds;
use crate::error::Result;
use crate::events::Events;
use crate::handler;
use crate::handler::Handler;
use crate::metrics::summary::Summary;
use crate::net::connection_limit::ConnectionLimit;
use crate::plan::mix::Mix;
use crate::protocol::Protocol;
use crate::proxy::config::ProxyConfig;
use crate::proxy::shared::Shared;

/// Does what a call's key says.
struct Obey;

impl Handler for Obey {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        match call.key() {
            b"sleep" => call.sleep(Duration::from_millis(1)).await?,
            b"answer" => return Ok(Verdict::Answer(Answer::new("+ours\r\n"))),
            b"reset" => return Ok(Verdict::Reset),
            b"panic" => panic!("it was asked to"),
            _ => {}
        }
        Ok(Verdict::Pass)
    }

    async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
        Ok(if call.key() == b"replace" { Verdict::Answer(Answer::new("+ours\r\n")) } else { Verdict::Pass })
    }
}

/// One client of a proxy, and the backend that it calls: a test is both.
struct World {
    log: CallLog,
    client: TcpStream,
    listener: TcpListener,
    backend: Option<TcpStream>,
    proxy: Control,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Summary>,
}

impl World {
    async fn new(protocol: Protocol, mix: Mix) -> Self {
        Self::with(CallLog::on(), protocol, mix).await
    }

    async fn with(log: CallLog, protocol: Protocol, mix: Mix) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend: SocketAddr = listener.local_addr().unwrap();
        let config = ProxyConfig::new("127.0.0.1:0", backend).unwrap().protocol(protocol).handler(mix);
        let shared = Shared::new(1, ConnectionLimit::left(0), Events::off(), log.clone());
        let daemon = Daemon::start([&config], shared).await.unwrap();
        let client = TcpStream::connect(daemon.addresses()[0]).await.unwrap();
        let proxy = daemon.proxy("default").unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(daemon.serve(async { stopped.await.unwrap() }));
        Self { log, client, listener, backend: None, proxy, stop, serving }
    }

    async fn send(&mut self, request: &str) {
        self.client.write_all(request.as_bytes()).await.unwrap();
    }

    /// The backend hears this.
    async fn heard(&mut self, request: &str) {
        if self.backend.is_none() {
            self.backend = Some(self.listener.accept().await.unwrap().0);
        }
        let mut heard = vec![0; request.len()];
        self.backend.as_mut().unwrap().read_exact(&mut heard).await.unwrap();
        assert_eq!(heard.escape_ascii().to_string(), request.as_bytes().escape_ascii().to_string());
    }

    async fn ask(&mut self, request: &str) {
        self.send(request).await;
        self.heard(request).await;
    }

    /// The client gets this.
    async fn got(&mut self, reply: &str) {
        let mut got = vec![0; reply.len()];
        self.client.read_exact(&mut got).await.unwrap();
        assert_eq!(got.escape_ascii().to_string(), reply.as_bytes().escape_ascii().to_string());
    }

    async fn say(&mut self, reply: &str) {
        self.backend.as_mut().unwrap().write_all(reply.as_bytes()).await.unwrap();
    }

    async fn reply(&mut self, reply: &str) {
        self.say(reply).await;
        self.got(reply).await;
    }

    /// All until the client's connection ends.
    async fn rest(&mut self) -> usize {
        self.client.read_to_end(&mut Vec::new()).await.unwrap()
    }

    /// What was kept when both peers had left, a line each.
    async fn lines(self) -> Vec<String> {
        lines(&self.recorded().await)
    }

    async fn recorded(self) -> Recorded {
        let Self { log, client, backend, stop, serving, .. } = self;
        drop((client, backend));
        stop.send(()).unwrap();
        serving.await.unwrap();
        let begun = log.0.as_ref().map_or_else(Instant::now, |shared| shared.begun);
        let recorded = log.take_since(begun);
        assert!(log.take_since(Instant::now()).calls.is_empty(), "they are taken once");
        recorded
    }
}

fn lines(recorded: &Recorded) -> Vec<String> {
    let line = |call: &RecordedCall| {
        assert!(call.begun <= call.ended, "{call:?}");
        assert_eq!((&*call.proxy, call.connection), ("default", 1));
        let RecordedCall { call: number, handler, .. } = call;
        let fault = call.fault.map(|action| format!(" {action:?}")).unwrap_or_default();
        let end = if call.is_done { "done" } else { "cut" };
        let head = call.head.as_ref().map(|head| format!(" {}", serde_json::to_string(head).unwrap()));
        format!("{number} {handler}{fault} {end}{}", head.unwrap_or_default())
    };
    assert!(recorded.calls.is_sorted_by_key(|call| call.begun));
    recorded.calls.iter().map(line).collect()
}

fn dummy() -> Mix {
    Mix::default()
}

fn get(key: &str) -> String {
    format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len())
}

/// The line of a `get` of redis.
fn line(begin: &str, key: &str) -> String {
    format!("{begin} {{\"command\":\"GET\",\"key\":\"{key}\"}}")
}

#[tokio::test]
async fn redis_calls_last_until_their_replies() {
    let mut world = World::new(Protocol::Redis, dummy()).await;
    world.ask(&[get("a"), get("b"), get("c")].concat()).await;
    world.reply("$1\r\na\r\n+b\r\n$1\r\n").await;
    let expected = [line("1 dummy done", "a"), line("2 dummy done", "b"), line("3 dummy cut", "c")];
    assert_eq!(world.lines().await, expected);
}

#[tokio::test]
async fn no_reply_ends_memcache_calls_that_have_none() {
    let mut world = World::new(Protocol::Memcache, dummy()).await;
    world.ask("set a 0 0 5 noreply\r\nhel").await;
    world.ask("lo\r\nmg b v q\r\nmn\r\nget c\r\n").await;
    world.reply("MN\r\n").await;
    let keyed =
        |begin: &str, command: &str, key: &str| format!("{begin} {{\"command\":\"{command}\",\"key\":\"{key}\"}}");
    let expected = [
        keyed("1 dummy cut", "set", "a"),
        keyed("2 dummy cut", "mg", "b"),
        "3 dummy done {\"command\":\"mn\"}".to_owned(),
        keyed("4 dummy cut", "get", "c"),
    ];
    assert_eq!(world.lines().await, expected);
}

#[tokio::test]
async fn a_call_whose_request_is_not_here_yet_is_not_done() {
    let mut world = World::new(Protocol::Memcache, Mix::of("obey", Obey)).await;
    world.ask("set a 0 0 5 noreply\r\nhel").await;
    assert_eq!(world.lines().await, ["1 obey cut {\"command\":\"set\",\"key\":\"a\"}"]);
}

#[tokio::test]
async fn no_reply_ends_a_handled_call_that_has_none() {
    let mut world = World::new(Protocol::Memcache, Mix::of("obey", Obey)).await;
    world.ask("set sleep 0 0 5 noreply\r\nhel").await;
    world.ask("lo\r\n").await;
    world.send("set answer 0 0 2 noreply\r\nno\r\n").await;
    world.ask("get b\r\n").await;
    world.reply("END\r\n").await;
    let expected = [
        "1 obey Sleep cut {\"command\":\"set\",\"key\":\"sleep\"}",
        "2 obey Answer cut {\"command\":\"set\",\"key\":\"answer\"}",
        "3 obey done {\"command\":\"get\",\"key\":\"b\"}",
    ];
    assert_eq!(world.lines().await, expected);
}

#[tokio::test]
async fn http_calls_last_until_their_final_response() {
    let mut world = World::new(Protocol::Http, dummy()).await;
    world.ask("GET /a?b HTTP/1.1\r\nHost: c\r\n\r\n").await;
    world.reply("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    world.ask("GET /cut HTTP/1.1\r\nHost: c\r\n\r\n").await;
    world.reply("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").await;
    let line = |begin: &str, path: &str| format!("{begin} {{\"method\":\"GET\",\"path\":\"{path}\"}}");
    assert_eq!(world.lines().await, [line("1 dummy done", "/a"), line("2 dummy cut", "/cut")]);
}

#[tokio::test]
async fn an_http_response_may_last_until_the_connection_ends() {
    let mut world = World::new(Protocol::Http, dummy()).await;
    world.ask("GET / HTTP/1.0\r\n\r\n").await;
    world.reply("HTTP/1.0 200 OK\r\n\r\nhello").await;
    world.backend = None;
    assert_eq!(world.rest().await, 0);
    assert_eq!(world.lines().await, ["1 dummy done {\"method\":\"GET\",\"path\":\"/\"}"]);
}

#[tokio::test]
async fn what_is_said_for_a_call_before_its_answer_does_not_end_it() {
    let mut world = World::new(Protocol::Http, Mix::of("error", handler::Error::new(false, 0))).await;
    world.send("PUT / HTTP/1.1\r\nHost: c\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    world.got("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(world.lines().await, ["1 error Answer cut {\"method\":\"PUT\",\"path\":\"/\"}"]);
}

#[tokio::test]
async fn tcp_calls_are_turns() {
    let mut world = World::new(Protocol::Tcp, dummy()).await;
    world.ask("a").await;
    world.ask("b").await;
    world.reply("c").await;
    world.reply("d").await;
    world.ask("e").await;
    world.reply("f").await;
    world.ask("g").await;
    assert_eq!(world.lines().await, ["1 dummy done", "2 dummy done", "3 dummy cut"]);
}

#[tokio::test]
async fn a_late_call_takes_longer() {
    for before in [true, false] {
        let sleep = Seconds::from_millis(30);
        let mut world =
            World::new(Protocol::Redis, Mix::of("delay", handler::Delay { sleep: sleep.into(), before })).await;
        world.ask(&get("a")).await;
        world.reply("+b\r\n").await;
        let recorded = world.recorded().await;
        let call = &recorded.calls[0];
        assert!(call.took().is_some_and(|took| took >= sleep.duration()), "{recorded:?}");
        assert_eq!((call.fault, &*call.handler), (Some(Action::Sleep), "delay"));
    }
}

#[tokio::test]
async fn an_answer_of_our_own_ends_a_call_in_its_place() {
    let mut world = World::new(Protocol::Redis, Mix::of("obey", Obey)).await;
    world.send(&[get("a"), get("answer"), get("replace")].concat()).await;
    world.heard(&[get("a"), get("replace")].concat()).await;
    world.say("+a\r\n+gone\r\n").await;
    world.got("+a\r\n+ours\r\n+ours\r\n").await;
    let expected =
        [line("1 obey done", "a"), line("2 obey Answer done", "answer"), line("3 obey Answer done", "replace")];
    assert_eq!(world.lines().await, expected);
}

#[tokio::test]
async fn an_answer_waits_for_the_reply_before_it() {
    let mut world = World::new(Protocol::Redis, Mix::of("obey", Obey)).await;
    world.send(&[get("a"), get("answer"), get("b")].concat()).await;
    world.heard(&[get("a"), get("b")].concat()).await;
    assert_eq!(
        world.lines().await,
        [line("1 obey cut", "a"), line("2 obey Answer cut", "answer"), line("3 obey cut", "b")]
    );
}

#[tokio::test]
async fn an_injected_reply_is_a_reply() {
    let mut world = World::new(Protocol::Redis, Mix::of("error", handler::Error::new(true, 0))).await;
    world.ask(&get("a")).await;
    world.say("+hello\r\n").await;
    world.client.read_exact(&mut [0; 108]).await.unwrap();
    assert_eq!(world.lines().await, [line("1 error Inject done", "a")]);
}

#[tokio::test]
async fn a_call_that_is_closed_or_reset_is_not_done() {
    let mut world = World::new(Protocol::Redis, Mix::of("blackout", handler::Blackout {})).await;
    assert_eq!(world.rest().await, 0);
    assert_eq!(world.lines().await, ["1 blackout Close cut"]);

    let mut world = World::new(Protocol::Redis, Mix::of("obey", Obey)).await;
    world.send(&[get("a"), get("reset")].concat()).await;
    world.heard(&get("a")).await;
    world.reply("+a\r\n").await;
    assert!(world.client.read(&mut [0]).await.is_err());
    assert_eq!(world.lines().await, [line("1 obey done", "a"), line("2 obey Reset cut", "reset")]);
}

#[tokio::test]
async fn a_hanging_call_lasts_until_its_connection_ends() {
    let world = World::new(Protocol::Redis, Mix::of("hang", handler::Hang::default())).await;
    while world.proxy.summary().faults_of("hang") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.lines().await, ["1 hang Hold cut"]);
}

#[tokio::test]
async fn a_connection_that_turns_opaque_ends_its_calls() {
    let mut world = World::new(Protocol::Redis, dummy()).await;
    world.ask(&[get("a"), get("b")].concat()).await;
    world.reply("+a\r\nnonsense\r\n").await;
    world.ask(&get("c")).await;
    world.reply("+c\r\n").await;
    assert_eq!(world.lines().await, [line("1 dummy done", "a"), line("2 dummy cut", "b")]);
}

#[tokio::test]
async fn a_panic_ends_calls_too() {
    let mut world = World::new(Protocol::Redis, Mix::of("obey", Obey)).await;
    world.send(&get("panic")).await;
    let _ = world.client.read(&mut [0]).await;
    assert_eq!(world.lines().await, [line("1 obey cut", "panic")]);
}

#[tokio::test]
async fn only_the_first_calls_are_kept() {
    let mut world = World::with(CallLog::with_at_most(2), Protocol::Redis, dummy()).await;
    world.ask(&get("a").repeat(5)).await;
    world.reply(&"+a\r\n".repeat(5)).await;
    let recorded = world.recorded().await;
    assert_eq!((recorded.calls.len(), recorded.left_out), (2, 3));
    assert!(recorded.calls.iter().all(|call| call.is_done));
}

#[tokio::test]
async fn off_it_keeps_nothing() {
    for protocol in Protocol::ALL {
        let mut world = World::with(CallLog::off(), protocol, dummy()).await;
        world.ask("GET / HTTP/1.1\r\n\r\n").await;
        assert!(world.log.connection(&"default".into(), 1, protocol).is_none());
        assert_eq!(world.lines().await, [""; 0]);
    }
}
