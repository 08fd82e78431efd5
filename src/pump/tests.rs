//! The pumps over streams in memory, whose pipes are so small that every read and every write is partial.

mod budget; // what others get of the time
mod heads; // incomplete ones, and the PROXY protocol's
mod pairing; // where it ends, and what comes late
mod quiet; // calls whose reply may be missing
mod reply_faults; // replies that are cut, slow or corrupt
mod shaped; // directions with faults
mod spare; // backends for the next client
mod stage_speed; // what the write stage costs
mod undecided; // bytes of which a reply decides whether they are requests

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::call::{Answer, Call, Verdict};
use crate::call_log::CallLog;
use crate::error::Result;
use crate::events::Events;
use crate::handler::{Handler, Hang};
use crate::metrics::counters::Counters;
use crate::net::address::Address;
use crate::net::backend::Backend;
use crate::net::memory_stream::{MemoryStream, pair};
use crate::net::stream::{ReadHalf, Stream, WriteHalf};
use crate::plan::Plan;
use crate::plan::current::CurrentPlan;
use crate::plan::mix::Mix;
use crate::protocol::{MAX_HEAD, Protocol};
use crate::rng::ProxyStreams;
use crate::shutdown::ShutdownTrigger;

/// Bytes that a pipe holds.
const CAPACITIES: [usize; 4] = [1, 2, 7, 64];

/// Does what the key of a call says.
#[derive(Clone)]
struct Obey;

impl Handler for Obey {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        match call.key() {
            b"sleep" => call.sleep(Duration::from_secs(3)).await?,
            b"answer" => return Ok(Verdict::Answer(Answer::new("+ours\r\n"))),
            b"close" => return Ok(Verdict::Close),
            b"reset" => return Ok(Verdict::Reset),
            b"hold" => return Err(call.hold().await),
            _ => {}
        }
        Ok(Verdict::Pass)
    }

    async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
        Ok(match call.key() {
            b"replace" => Verdict::Answer(Answer::new("+ours\r\n")),
            b"inject" => Verdict::Inject("!".into()),
            _ => Verdict::Pass,
        })
    }
}

/// One connection: a test is its client and its backend.
struct World {
    client: MemoryStream,
    backend: MemoryStream,
    proxy: Arc<ProxyContext>,
    shutdown: ShutdownTrigger,
    pumps: JoinHandle<Outcome>,
}

#[derive(Clone, Copy)]
struct Options {
    protocol: Protocol,
    capacity: usize,
    keep_alive: bool,
    reuse_socket: bool,
    max_head: usize,
    shape_buffer: usize,
}

impl Options {
    fn new(protocol: Protocol, capacity: usize) -> Self {
        let (max_head, shape_buffer) = (MAX_HEAD, 64 * 1024 * 1024);
        Self { protocol, capacity, keep_alive: false, reuse_socket: false, max_head, shape_buffer }
    }

    fn connect(self, mix: &Mix) -> World {
        self.connect_through(Faults::default(), mix)
    }

    fn connect_through(self, faults: Faults, mix: &Mix) -> World {
        let ((client, near_client), (near_backend, backend)) = (pair(self.capacity), pair(self.capacity));
        let (shutdown, proxy) = proxy(mix);
        let pumps = self.pump(faults, &proxy, Stream::Memory(near_client), Stream::Memory(near_backend));
        World { client, backend, proxy, shutdown, pumps }
    }

    /// Runs the pumps of a connection.
    fn pump(self, faults: Faults, proxy: &Arc<ProxyContext>, client: Stream, backend: Stream) -> JoinHandle<Outcome> {
        let Self { protocol, keep_alive, reuse_socket, max_head, shape_buffer, .. } = self;
        let shared = proxy.clone();
        tokio::spawn(async move {
            // It is never dialled.
            let address = Address::new("localhost", 9);
            let settings = ConnectionSettings {
                protocol,
                buffer: None,
                keep_alive,
                reuse_socket,
                head_timeout: Duration::from_secs(5),
                max_head,
                faults,
                shape_buffer,
                backend: Backend::new(address, Duration::ZERO, 1, Duration::ZERO),
            };
            let activity = Activity::new(1);
            let context = ConnectionContext::new(&shared, &settings, &activity);
            woken(&shared, run(&context, client, backend)).await
        })
    }
}

/// What the connections of a proxy share.
fn proxy(mix: &Mix) -> (ShutdownTrigger, Arc<ProxyContext>) {
    let (trigger, shutdown) = ShutdownTrigger::new();
    let proxy = Arc::new(ProxyContext {
        name: "default".into(),
        plan: CurrentPlan::new(|| Plan::new(mix, |_| Arc::default())),
        listening: ArcSwap::default(),
        counters: Counters::default(),
        events: Events::off(),
        call_log: CallLog::on(),
        streams: ProxyStreams::new(1, "default"),
        shaped: Arc::default(),
        shutdown,
    });
    (trigger, proxy)
}

/// As `connection::lifecycle` does, once the backend is dialled.
async fn run(context: &ConnectionContext<'_>, mut client: Stream, mut backend: Stream) -> Outcome {
    let plan = context.proxy.plan.load_full();
    let mut draws = None;
    let first = FirstCall { handler: plan.draw(context.streams(), &mut draws, 1).clone(), is_counted: false };
    let mut framing = if context.settings.copies(&plan) {
        match copy(context, &plan, &first, &mut draws, &mut client, &mut backend).await {
            Copied::Ended(outcome) => return outcome,
            Copied::Replanned(framing) => framing,
        }
    } else {
        Box::new(Framing::new(context.settings, first, draws))
    };
    framed(context, &mut framing, &mut client, &mut backend).await
}

impl World {
    /// The backend gets each request and answers it, one after the other.
    async fn backend(&self, exchanges: &[(&str, &str)]) {
        for (request, reply) in exchanges {
            read(&self.backend, request).await;
            write(&self.backend, reply).await;
        }
    }

    /// The client sends `requests` in one go and then gets `replies`, while the backend answers.
    async fn exchange(&self, requests: &str, exchanges: &[(&str, &str)], replies: &str) {
        tokio::join!(write(&self.client, requests), self.backend(exchanges), read(&self.client, replies),);
    }

    /// The client sends one request, and the backend answers it.
    async fn ask(&self, request: &str, reply: &str) {
        let exchange = [(request, reply)];
        tokio::join!(write(&self.client, request), self.backend(&exchange));
    }

    /// Both sides send their last byte.
    async fn end(self) -> Outcome {
        self.client.end();
        assert_eq!(rest(&self.backend).await, "");
        self.backend.end();
        assert_eq!(rest(&self.client).await, "");
        self.pumps.await.unwrap()
    }
}

async fn write(to: &MemoryStream, text: &str) {
    (&WriteHalf::Memory(to)).write_all(text.as_bytes()).await.unwrap();
}

/// Gets exactly this.
async fn read(from: &MemoryStream, text: &str) {
    let mut got = vec![0; text.len()];
    // A paused clock runs dry when nothing moves any more.
    let all = timeout(Duration::from_secs(3600), ReadHalf::Memory(from).read_exact(&mut got)).await;
    all.expect("it is stuck").unwrap();
    assert_eq!(got.escape_ascii().to_string(), text.as_bytes().escape_ascii().to_string());
}

async fn rest(from: &MemoryStream) -> String {
    let mut rest = String::new();
    ReadHalf::Memory(from).read_to_string(&mut rest).await.unwrap();
    rest
}

fn obey() -> Mix {
    Mix::of("obey", Obey)
}

fn get(key: &str) -> String {
    format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len())
}

#[tokio::test]
async fn bytes_pass_unaltered_in_every_protocol() {
    let get = get("a");
    let cases: [(Protocol, &str, &str); 4] = [
        (Protocol::Tcp, "anything\0\r\n", "at all"),
        (Protocol::Redis, &get, "$3\r\nabc\r\n"),
        (Protocol::Memcache, "get a\r\n", "VALUE a 0 3\r\nabc\r\nEND\r\n"),
        (
            Protocol::Http,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
    ];
    for (protocol, request, reply) in cases {
        for capacity in CAPACITIES {
            for mix in [Mix::default(), obey()] {
                let world = Options::new(protocol, capacity).connect(&mix);
                for _ in 0..3 {
                    world.exchange(request, &[(request, reply)], reply).await;
                }
                assert!(matches!(world.end().await, Outcome::Done), "{protocol} {mix} {capacity}");
            }
        }
    }
}

#[tokio::test]
async fn answers_keep_their_places_in_a_pipeline() {
    let [a, answer, replace, inject, b] = ["a", "answer", "replace", "inject", "b"].map(get);
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Redis, capacity).connect(&obey());
        let pipeline = [&*a, &answer, &replace, &answer, &inject, &b].concat();
        let backend = [(&*a, "+a\r\n"), (&*replace, "$4\r\ngone\r\n"), (&*inject, "+hello\r\n"), (&*b, "+b\r\n")];
        world.exchange(&pipeline, &backend, "+a\r\n+ours\r\n+ours\r\n+ours\r\n+hel!lo\r\n+b\r\n").await;
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test]
async fn a_half_closed_client_gets_its_replies() {
    for mix in [Mix::default(), obey()] {
        for capacity in CAPACITIES {
            let world = Options::new(Protocol::Redis, capacity).connect(&mix);
            let get = get("a");
            tokio::join!(
                async {
                    write(&world.client, &get).await;
                    world.client.end();
                },
                async {
                    read(&world.backend, &get).await;
                    assert_eq!(rest(&world.backend).await, "", "the backend reads the end of file");
                    write(&world.backend, "$4\r\nlate\r\n").await;
                    world.backend.end();
                },
                async { assert_eq!(rest(&world.client).await, "$4\r\nlate\r\n") },
            );
            assert!(matches!(world.pumps.await.unwrap(), Outcome::Done));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_close_within_a_request_that_is_answered_does_not_lose_earlier_replies() {
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Redis, capacity).connect(&obey());
        let a = get("a");
        let cut_off = "*3\r\n$3\r\nSET\r\n$6\r\nanswer\r\n$5\r\nab";
        tokio::join!(
            async {
                write(&world.client, &[&*a, cut_off].concat()).await;
                world.client.end();
            },
            async {
                read(&world.backend, &a).await;
                // The proxy has read the end of file by then.
                tokio::time::timeout(Duration::from_millis(50), rest(&world.backend)).await.unwrap_err();
                write(&world.backend, "+a\r\n").await;
            },
            async { assert_eq!(rest(&world.client).await, "+a\r\n") },
        );
        drop(world.client);
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Close));
    }
}

#[tokio::test]
async fn a_reset_ends_the_connection_from_either_side() {
    for protocol in Protocol::ALL {
        let world = Options::new(protocol, 1).connect(&Mix::default());
        world.client.reset();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::ClientReset(_)), "{protocol}");
        let world = Options::new(protocol, 1).connect(&Mix::default());
        world.backend.reset();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::BackendReset(_)), "{protocol}");
    }
}

#[tokio::test]
async fn a_closing_handler_waits_for_the_replies_before_its_call() {
    for (key, close) in [("close", true), ("reset", false)] {
        for capacity in CAPACITIES {
            let world = Options::new(Protocol::Redis, capacity).connect(&obey());
            let a = get("a");
            world.exchange(&[&*a, &get(key)].concat(), &[(&a, "+a\r\n")], "+a\r\n").await;
            let outcome = world.pumps.await.unwrap();
            assert!(matches!(outcome, Outcome::Close if close) || matches!(outcome, Outcome::Reset if !close));
            assert_eq!(rest(&world.backend).await, "", "the backend never hears of the call");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_call_delays_the_calls_behind_it_and_no_other() {
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Redis, capacity).connect(&obey());
        let [a, sleep, b] = ["a", "sleep", "b"].map(get);
        let begun = tokio::time::Instant::now();
        let client = async {
            read(&world.client, "+a\r\n").await;
            assert_eq!(begun.elapsed(), Duration::ZERO);
            read(&world.client, "+s\r\n+b\r\n").await;
            assert_eq!(begun.elapsed().as_secs(), 3);
        };
        let pipeline = [&*a, &sleep, &b].concat();
        let exchanges = [(&*a, "+a\r\n"), (&*sleep, "+s\r\n"), (&*b, "+b\r\n")];
        tokio::join!(write(&world.client, &pipeline), world.backend(&exchanges), client);
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_what_is_done_to_it() {
    for mix in [Mix::of("hang", Hang {}), obey()] {
        let world = Options::new(Protocol::Redis, 7).connect(&mix);
        let hold = get("hold");
        write(&world.client, &hold).await;
        drop(world.client);
        assert!(matches!(world.pumps.await.unwrap(), Outcome::ClientLeft));
    }
}

#[tokio::test]
async fn an_opaque_connection_passes_bytes_and_faults_stop() {
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Redis, capacity).connect(&obey());
        let (a, answer) = (get("a"), get("answer"));
        world.exchange(&a, &[(&a, "nonsense\r\n")], "nonsense\r\n").await;
        world.exchange(&answer, &[(&answer, "+theirs\r\n")], "+theirs\r\n").await;
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test]
async fn a_new_plan_turns_copying_into_framing_between_two_calls() {
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Tcp, capacity).connect(&Mix::default());
        world.exchange("one", &[("one", "1")], "1").await;
        let ours = Mix::of("ours", OurAnswer);
        world.proxy.plan.replace(|| Plan::new(&ours, |_| Arc::default()));
        world.exchange("t", &[], "ours").await;
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

/// Answers everything.
struct OurAnswer;

impl Handler for OurAnswer {
    async fn before(&self, _: &mut Call<'_>) -> Result<Verdict> {
        Ok(Verdict::Answer(Answer::new("ours")))
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_client_outlives_its_backend() {
    let options = Options { keep_alive: true, ..Options::new(Protocol::Redis, 7) };
    let world = options.connect(&obey());
    let a = get("a");
    world.exchange(&a, &[(&a, "+a\r\n")], "+a\r\n").await;
    world.backend.end();
    assert!(matches!(world.pumps.await.unwrap(), Outcome::BackendLeft));
    // Also where it leaves while a handler holds a request: the request is still to be delivered.
    let world = options.connect(&obey());
    write(&world.client, &get("sleep")).await;
    world.backend.end();
    assert!(matches!(world.pumps.await.unwrap(), Outcome::BackendLeft));
}

#[tokio::test]
async fn a_backend_is_spare_when_its_client_leaves_between_calls() {
    let options = Options { reuse_socket: true, ..Options::new(Protocol::Redis, 7) };
    let world = options.connect(&Mix::default());
    let a = get("a");
    world.exchange(&a, &[(&a, "+a\r\n")], "+a\r\n").await;
    drop(world.client);
    assert!(matches!(world.pumps.await.unwrap(), Outcome::Spare));
    let world = options.connect(&Mix::default());
    tokio::join!(write(&world.client, &a), read(&world.backend, &a));
    drop(world.client);
    assert_eq!(rest(&world.backend).await, "", "the backend hears that the client is done");
    world.backend.end();
    assert!(matches!(world.pumps.await.unwrap(), Outcome::Done), "the reply that is owed is for nobody else");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_calls_finish_within_the_grace_period() {
    for protocol in Protocol::ALL {
        let world = Options::new(protocol, 7).connect(&Mix::default());
        tokio::task::yield_now().await;
        world.shutdown.begin();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Stopped), "{protocol}: nothing is under way");
    }
    let world = Options::new(Protocol::Redis, 7).connect(&Mix::default());
    let a = get("a");
    tokio::join!(write(&world.client, &a), read(&world.backend, &a));
    let begun = tokio::time::Instant::now();
    world.shutdown.begin();
    assert!(matches!(world.pumps.await.unwrap(), Outcome::CutOff), "a reply is owed");
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_an_opaque_connection_once_it_is_quiet() {
    for nonsense in ["nonsense\r\n", "+a\r\nnonsense\r\n"] {
        let world = Options::new(Protocol::Redis, 7).connect(&Mix::default());
        let a = get("a");
        world.exchange(&a, &[(&a, nonsense)], nonsense).await;
        let begun = tokio::time::Instant::now();
        world.shutdown.begin();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Stopped), "{nonsense:?}");
        assert_eq!(begun.elapsed().as_secs(), 1, "a pause of that length is the end, as with tcp");
    }
}

/// A request and its reply, each cut within its head.
const CUT: [(Protocol, [&str; 2], [&str; 2]); 5] = [
    (Protocol::Redis, ["*2\r\n$3\r\nGE", "T\r\n$1\r\na\r\n"], ["$", "1\r\nx\r\n"]),
    (Protocol::Redis, ["GET", " a\r\n"], ["*2\r\n+a\r\n:1", "2\r\n"]),
    (Protocol::Memcache, ["get a", " b\r\n"], ["VALUE a", " 0 1\r\nx\r\nEND\r\n"]),
    (Protocol::Memcache, ["bog", "us\r\n"], ["ERR", "OR\r\n"]),
    (Protocol::Http, ["GET / HTTP/1.1\r\nHo", "st: a\r\n\r\n"], ["HTTP/1.1 20", "0 OK\r\nContent-Length: 0\r\n\r\n"]),
];

#[tokio::test(start_paused = true)]
async fn what_is_no_memcache_passes_at_once() {
    for capacity in CAPACITIES {
        for bytes in ["\x16\x03\x01\0\x05hello", "^", "\x08"] {
            let all = async {
                let world = Options::new(Protocol::Memcache, capacity).connect(&obey());
                tokio::join!(write(&world.client, bytes), read(&world.backend, bytes));
                assert!(matches!(world.end().await, Outcome::Done));
                let world = Options::new(Protocol::Memcache, capacity).connect(&obey());
                world.exchange("get a\r\n", &[("get a\r\n", bytes)], bytes).await;
                assert!(matches!(world.end().await, Outcome::Done));
            };
            // The clock runs dry when nothing moves any more.
            tokio::time::timeout(Duration::from_secs(3600), all).await.expect("it is stuck");
        }
    }
}

/// A call of a pipeline: what the client sends, what the backend gets and answers, and what the client gets.
type Exchange = (String, Option<String>, String);

fn exchange() -> impl Strategy<Value = Exchange> {
    let reply =
        prop_oneof!["[a-z]{0,9}".prop_map(|text| format!("+{text}\r\n")), "[a-z]{0,99}".prop_map(|text| bulk(&text))];
    let key = prop_oneof![Just("answer"), Just("replace"), Just("a"), Just("sleep")];
    (key, reply).prop_map(|(key, reply)| match key {
        "answer" => (get(key), None, "+ours\r\n".to_owned()),
        "replace" => (get(key), Some(reply), "+ours\r\n".to_owned()),
        _ => (get(key), Some(reply.clone()), reply),
    })
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

proptest! {
    /// Whatever the pipeline and however it is cut, each reply is in its place, and nothing is lost or stuck.
    #[test]
    fn any_pipeline_is_answered_in_order(calls in prop::collection::vec(exchange(), 1..20), capacity in 1_usize..40) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = Options::new(Protocol::Redis, capacity).connect(&obey());
            let requests: String = calls.iter().map(|(request, ..)| &**request).collect();
            let replies: String = calls.iter().map(|(.., reply)| &**reply).collect();
            let backend: Vec<_> =
                calls.iter().filter_map(|(request, reply, _)| Some((&**request, reply.as_deref()?))).collect();
            let all = async {
                world.exchange(&requests, &backend, &replies).await;
                assert!(matches!(world.end().await, Outcome::Done));
            };
            // The clock runs dry when nothing moves any more.
            tokio::time::timeout(Duration::from_secs(3600), all).await.expect("it is stuck");
        });
    }
}
