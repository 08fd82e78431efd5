//! The promises in the documentation of `Handler`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use rand::Rng;
use tokio::sync::oneshot;
use vaurien::Mix;
use vaurien::ProxyConfig;
use vaurien::Summary;
use vaurien::call::{Accept, Answer, Call, Verdict};
use vaurien::daemon::Daemon;
use vaurien::error::{Error, Result};
use vaurien::handler::Handler;
use vaurien::protocol::Protocol;
use world::client::Ending;
use world::{Backend, Client, PATIENCE};

/// Runs a proxy to `backend` with `handler` for all calls while `test` runs; returns its summary.
fn through(
    backend: &Backend,
    protocol: Protocol,
    handler: impl Handler,
    test: impl FnOnce(SocketAddr) + Send + 'static,
) -> Summary {
    serve(backend, protocol, Mix::of("own", handler), 42, test)
}

/// The same with a mix and a seed.
fn serve(
    backend: &Backend,
    protocol: Protocol,
    mix: Mix,
    seed: u64,
    test: impl FnOnce(SocketAddr) + Send + 'static,
) -> Summary {
    let config = ProxyConfig::new("127.0.0.1:0", backend.address()).unwrap().protocol(protocol).handler(mix);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let daemon = Daemon::bind(&config, seed).await.unwrap();
        let address = daemon.addresses()[0];
        let test = async move { tokio::task::spawn_blocking(move || test(address)).await.unwrap() };
        daemon.serve(test).await
    })
}

/// Reports each call of its methods, with a number that it drew.
struct Diary(Sender<(String, u64)>);

impl Diary {
    fn new() -> (Self, Receiver<(String, u64)>) {
        let (tell, told) = channel();
        (Self(tell), told)
    }
}

impl Handler for Diary {
    async fn accept(&self, client: &mut Accept<'_>) -> Result<Verdict> {
        self.0.send((format!("accept {}", client.connection()), client.random().next_u64())).unwrap();
        Ok(Verdict::Pass)
    }

    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        self.0.send((format!("before {}", call.number()), call.random().next_u64())).unwrap();
        Ok(Verdict::Pass)
    }

    async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
        self.0.send((format!("after {}", call.number()), call.random().next_u64())).unwrap();
        Ok(Verdict::Pass)
    }
}

#[test]
fn each_method_is_called_once() {
    let (diary, told) = Diary::new();
    let counts = through(&Backend::lines(), Protocol::Redis, diary, |address| {
        Client::connect(address).send("a\r\n").expect("+a\r\n").send("b\r\n").expect("+b\r\n");
    });
    let turns: Vec<String> = told.iter().map(|(turn, _)| turn).collect();
    assert_eq!(turns, ["accept 1", "before 1", "after 1", "before 2", "after 2"]);
    assert_eq!(counts.calls, [("own".to_owned(), 2)]);
}

#[test]
fn draws_differ_within_a_run_and_repeat_with_the_seed() {
    let draws = || {
        let (diary, told) = Diary::new();
        through(&Backend::lines(), Protocol::Redis, diary, |address| {
            Client::connect(address).send("a\r\n").expect("+a\r\n").send("b\r\n").expect("+b\r\n");
        });
        told.iter().map(|(_, drawn)| drawn).collect::<Vec<_>>()
    };
    let first = draws();
    let distinct: std::collections::BTreeSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), 5, "{first:?}");
    assert_eq!(draws(), first);
}

#[test]
fn a_call_without_a_reply_has_no_after() {
    let (diary, told) = Diary::new();
    let backend = Backend::new(|stream| {
        let mut stream = Client::from(stream);
        stream.expect("set a 0 0 1 noreply\r\nx\r\nversion\r\n").send("VERSION 1\r\n").ending();
    });
    through(&backend, Protocol::Memcache, diary, |address| {
        Client::connect(address).send("set a 0 0 1 noreply\r\nx\r\nversion\r\n").expect("VERSION 1\r\n");
    });
    let turns: Vec<String> = told.iter().map(|(turn, _)| turn).collect();
    assert_eq!(turns, ["accept 1", "before 1", "before 2", "after 2"]);
}

struct Answers;

impl Handler for Answers {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        Ok(Verdict::Answer(Answer::new(call.command().to_ascii_uppercase())))
    }
}

#[test]
fn a_call_without_a_reply_is_not_answered() {
    let backend = Backend::new(|stream| assert_eq!(Client::from(stream).ending(), Ending::Closed));
    let counts = through(&backend, Protocol::Memcache, Answers, |address| {
        Client::connect(address).send("set a 0 0 1 noreply\r\nx\r\nversion\r\n").expect("VERSION");
    });
    assert_eq!(counts.calls, [("own".to_owned(), 2)]);
}

struct Greets;

impl Handler for Greets {
    async fn accept(&self, client: &mut Accept<'_>) -> Result<Verdict> {
        assert!(client.client().is_some_and(|address| address.ip().is_loopback()));
        Ok(Verdict::Answer(Answer::new("go away\n")))
    }
}

#[test]
fn an_answer_in_accept_closes_the_connection() {
    let backend = Backend::echo();
    let counts = through(&backend, Protocol::Tcp, Greets, |address| {
        assert_eq!(Client::connect(address).read_to_end(), (b"go away\n".to_vec(), Ending::Closed));
    });
    assert_eq!((backend.connections(), counts.calls), (0, vec![("own".to_owned(), 1)]));
}

/// Fails in the way that the command names.
struct Fails;

impl Handler for Fails {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        match call.command() {
            b"inject" => Ok(Verdict::Inject("x".into())),
            b"fail" => Err(Error::Handler("no idea".into())),
            b"panic" => panic!("requested by the test"),
            _ => Ok(Verdict::Pass),
        }
    }
}

#[test]
fn a_failing_handler_ends_only_its_own_connection() {
    through(&Backend::lines(), Protocol::Redis, Fails, |address| {
        let mut other = Client::connect(address);
        other.send("a\r\n").expect("+a\r\n");
        for how in ["inject\r\n", "fail\r\n"] {
            assert_eq!(Client::connect(address).send(how).ending(), Ending::Reset, "{how}");
        }
        Client::connect(address).send("panic\r\n").ending();
        other.send("b\r\n").expect("+b\r\n");
    });
}

/// Waits without its call, and reports when it begins and when it is dropped.
struct Waits {
    method: &'static str,
    tell: Sender<&'static str>,
}

struct Tell(Sender<&'static str>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.send("dropped").unwrap();
    }
}

impl Waits {
    async fn wait(&self, method: &str) -> Result<Verdict> {
        if method == self.method {
            let _tell = Tell(self.tell.clone());
            self.tell.send("waiting").unwrap();
            pending::<()>().await;
        }
        Ok(Verdict::Pass)
    }
}

impl Handler for Waits {
    async fn before(&self, _: &mut Call<'_>) -> Result<Verdict> {
        self.wait("before").await
    }

    async fn after(&self, _: &mut Call<'_>) -> Result<Verdict> {
        self.wait("after").await
    }
}

#[test]
fn a_wait_without_the_call_delays_the_stop_by_the_grace_period_only() {
    let (end, ended) = channel();
    for method in ["before", "after"] {
        let end = end.clone();
        std::thread::spawn(move || {
            let (tell, told) = channel();
            let counts = through(&Backend::lines(), Protocol::Redis, Waits { method, tell }, move |address| {
                // The client stays connected beyond the end of the proxy.
                std::mem::forget(Client::connect(address).send("a\r\n").stream().try_clone().unwrap());
                assert_eq!(told.recv_timeout(PATIENCE), Ok("waiting"));
                std::mem::forget(told);
            });
            end.send(counts.calls).unwrap();
        });
    }
    for _ in 0..2 {
        assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), [("own".to_owned(), 1)]);
    }
}

#[test]
fn a_handler_in_after_is_dropped_when_its_client_leaves() {
    let (tell, told) = channel();
    through(&Backend::lines(), Protocol::Redis, Waits { method: "after", tell }, move |address| {
        let mut client = Client::connect(address);
        client.send("a\r\n");
        assert_eq!(told.recv_timeout(PATIENCE), Ok("waiting"));
        client.reset();
        assert_eq!(told.recv_timeout(PATIENCE), Ok("dropped"));
    });
}

/// Reports when a reply has begun, and answers in its place when told to.
struct Instead(Sender<()>, Mutex<Option<oneshot::Receiver<()>>>);

impl Handler for Instead {
    async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
        self.0.send(()).unwrap();
        let told = self.1.lock().unwrap().take().unwrap();
        call.wait(told).await?.unwrap();
        Ok(Verdict::Answer(Answer::new("+instead\r\n")))
    }
}

#[test]
fn an_answer_in_after_keeps_its_place_among_the_replies() {
    let ((tell_begun, begun), (tell, told)) = (channel(), oneshot::channel());
    let tell = Mutex::new(Some(tell));
    let backend = Backend::new(move |stream| {
        let mut stream = Client::from(stream);
        stream.read(3);
        stream.send("+a\r\n").read(3);
        tell.lock().unwrap().take().unwrap().send(()).unwrap();
        stream.send("+b\r\n").ending();
    });
    // With this seed the first call is drawn for `own`, the second for `dummy`.
    let mix = Mix::default().with(50.0, "own", Instead(tell_begun, Mutex::new(Some(told)))).unwrap();
    let summary = serve(&backend, Protocol::Redis, mix, 2, move |address| {
        let mut client = Client::connect(address);
        client.send("a\r\n");
        // The second call begins while the handler of the first one waits.
        begun.recv_timeout(PATIENCE).unwrap();
        client.send("b\r\n").expect("+instead\r\n+b\r\n");
    });
    assert_eq!((summary.calls_of("own"), summary.calls_of("dummy"), summary.opaque), (1, 1, 0));
}
