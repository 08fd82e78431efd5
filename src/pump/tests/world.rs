//! One connection over streams in memory: a test is its client and its backend.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::*;
use crate::call::{Answer, Call, Verdict};
use crate::call_log::CallLog;
use crate::error::Result;
use crate::events::Events;
use crate::handler::Handler;
use crate::labels::Labels;
use crate::metrics::counters::Counters;
use crate::net::address::Address;
use crate::net::backend::Backend;
use crate::net::memory_stream::{MemoryStream, pair};
use crate::net::stream::Stream;
use crate::plan::current::CurrentPlan;
use crate::plan::mix::Mix;
use crate::plan::{ConnectionDraws, Plan};
use crate::protocol::{MAX_HEAD, Protocol};
use crate::recorder::Recorder;
use crate::rng::ProxyStreams;
use crate::shutdown::ShutdownTrigger;
use crate::toxic::{ActiveToxics, Toxic};

/// Bytes that a pipe holds.
pub(super) const CAPACITIES: [usize; 4] = [1, 2, 7, 64];

/// Does what the key of a call says.
#[derive(Clone)]
pub(super) struct Obey;

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
            b"abort" => Verdict::Close,
            b"break" => Verdict::Reset,
            _ => Verdict::Pass,
        })
    }
}

/// One connection: a test is its client and its backend.
pub(super) struct World {
    pub(super) client: MemoryStream,
    pub(super) backend: MemoryStream,
    pub(super) proxy: Arc<ProxyContext>,
    pub(super) shutdown: ShutdownTrigger,
    pub(super) pumps: JoinHandle<Outcome>,
}

#[derive(Clone, Copy)]
pub(super) struct Options {
    pub(super) protocol: Protocol,
    pub(super) capacity: usize,
    pub(super) keep_alive: bool,
    pub(super) reuse_socket: bool,
    pub(super) max_head: usize,
    pub(super) shape_buffer: usize,
    /// With `rewrite_host`.
    pub(super) host: Option<&'static str>,
    /// Its number.
    pub(super) connection: u64,
}

impl Options {
    pub(super) fn new(protocol: Protocol, capacity: usize) -> Self {
        let (max_head, shape_buffer) = (MAX_HEAD, 64 * 1024 * 1024);
        let (keep_alive, reuse_socket, host) = (false, false, None);
        Self { protocol, capacity, keep_alive, reuse_socket, max_head, shape_buffer, host, connection: 1 }
    }

    pub(super) fn connect(self, mix: &Mix) -> World {
        self.connect_through(&[], mix)
    }

    /// The same through these toxics.
    pub(super) fn connect_through(self, toxics: &[&str], mix: &Mix) -> World {
        let ((client, near_client), (near_backend, backend)) = (pair(self.capacity), pair(self.capacity));
        let (shutdown, proxy) = proxy(mix);
        set_toxics(&proxy, toxics);
        let pumps = self.pump(&proxy, Stream::from(near_client), Stream::from(near_backend));
        World { client, backend, proxy, shutdown, pumps }
    }

    /// Runs the pumps of a connection.
    pub(super) fn pump(self, proxy: &Arc<ProxyContext>, client: Stream, backend: Stream) -> JoinHandle<Outcome> {
        let Self { protocol, keep_alive, reuse_socket, max_head, shape_buffer, host, connection, .. } = self;
        let shared = proxy.clone();
        tokio::spawn(async move {
            // It is never dialled.
            let address = Address::new("localhost", 9);
            let settings = ConnectionSettings {
                tls: None,
                protocol,
                buffer: None,
                keep_alive,
                reuse_socket,
                head_timeout: Duration::from_secs(5),
                max_head,
                shape_buffer,
                backend: Backend::new(address, None, Duration::ZERO, 1, Duration::ZERO),
                host: host.map(Into::into),
                closes_if_unreachable: false,
            };
            let activity = Activity::new(connection);
            let context = ConnectionContext::new(&shared, &settings, &activity);
            woken(&shared, run(&context, client, backend)).await
        })
    }
}

/// The proxy has these toxics from now on.
pub(super) fn set_toxics(proxy: &ProxyContext, toxics: &[&str]) {
    let toxics: Vec<Toxic> = toxics.iter().flat_map(|toxic| Toxic::parse_all(toxic).unwrap()).collect();
    proxy.toxics.replace(&toxics, |name| proxy.counters.toxic(name));
}

/// What the connections of a proxy share.
pub(super) fn proxy(mix: &Mix) -> (ShutdownTrigger, Arc<ProxyContext>) {
    proxy_with(|| Plan::new(mix, |_| Arc::default()))
}

/// The same with any plan.
pub(super) fn proxy_with(plan: impl Fn() -> Plan) -> (ShutdownTrigger, Arc<ProxyContext>) {
    let (trigger, shutdown) = ShutdownTrigger::new();
    let proxy = Arc::new(ProxyContext {
        name: "default".into(),
        plan: CurrentPlan::new(plan),
        toxics: ActiveToxics::default(),
        listening: ArcSwap::default(),
        counters: Counters::default(),
        events: Events::off(),
        call_log: CallLog::on(),
        recorder: Recorder::new(true),
        labels: Labels::default(),
        streams: ProxyStreams::new(1, "default"),
        shaped: Arc::default(),
        shutdown,
    });
    (trigger, proxy)
}

/// As `connection::lifecycle` does, once the backend is dialled.
pub(super) async fn run(context: &ConnectionContext<'_>, mut client: Stream, mut backend: Stream) -> Outcome {
    let plan = context.proxy.plan.load_full();
    let mut draws = ConnectionDraws::default();
    let first = FirstCall::of(context, &plan, &mut draws);
    let mut framing = if context.settings.copies(&plan) {
        match copy(context, &plan, first.as_ref(), &mut draws, &mut client, &mut backend).await {
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
    pub(super) async fn backend(&self, exchanges: &[(&str, &str)]) {
        for (request, reply) in exchanges {
            read(&self.backend, request).await;
            write(&self.backend, reply).await;
        }
    }

    /// The client sends `requests` in one go and then gets `replies`, while the backend answers.
    pub(super) async fn exchange(&self, requests: &str, exchanges: &[(&str, &str)], replies: &str) {
        tokio::join!(write(&self.client, requests), self.backend(exchanges), read(&self.client, replies),);
    }

    /// The client sends one request, and the backend answers it.
    pub(super) async fn ask(&self, request: &str, reply: &str) {
        let exchange = [(request, reply)];
        tokio::join!(write(&self.client, request), self.backend(&exchange));
    }

    /// Both sides send their last byte.
    pub(super) async fn end(self) -> Outcome {
        self.client.end();
        assert_eq!(rest(&self.backend).await, "");
        self.backend.end();
        assert_eq!(rest(&self.client).await, "");
        self.pumps.await.unwrap()
    }
}

pub(super) async fn write(mut to: &MemoryStream, text: &str) {
    to.write_all(text.as_bytes()).await.unwrap();
}

/// Gets exactly this.
pub(super) async fn read(mut from: &MemoryStream, text: &str) {
    let mut got = vec![0; text.len()];
    // A paused clock runs dry when nothing moves any more.
    let all = timeout(Duration::from_secs(3600), from.read_exact(&mut got)).await;
    all.expect("it is stuck").unwrap();
    assert_eq!(got.escape_ascii().to_string(), text.as_bytes().escape_ascii().to_string());
}

pub(super) async fn rest(mut from: &MemoryStream) -> String {
    let mut rest = String::new();
    from.read_to_string(&mut rest).await.unwrap();
    rest
}

pub(super) fn obey() -> Mix {
    Mix::of("obey", Obey)
}

pub(super) fn get(key: &str) -> String {
    format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len())
}
