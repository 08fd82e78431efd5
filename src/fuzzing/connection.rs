//! One connection through the pumps, over streams in memory and under a clock that never waits.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::scenario::{Ending, PROXY, Pace};
use crate::call_log::CallLog;
use crate::events::Events;
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
use crate::pump::{
    Activity, ConnectionContext, ConnectionSettings, Copied, FirstCall, Framing, Outcome, ProxyContext, copy, framed,
    woken,
};
use crate::recorder::Recorder;
use crate::rng::ProxyStreams;
use crate::shutdown::ShutdownTrigger;
use crate::toxic::ActiveToxics;

/// A client that has got nothing for this long gets nothing more. All pauses of a scenario together are shorter.
pub(super) const SILENCE: Duration = Duration::from_secs(1_000_000);

/// A proxy without a listener, whose connections are streams in memory.
pub(crate) fn proxy(seed: u64, mix: &Mix) -> (Arc<ProxyContext>, ShutdownTrigger) {
    let (trigger, shutdown) = ShutdownTrigger::new();
    let counters = Counters::default();
    let proxy = ProxyContext {
        name: PROXY.into(),
        plan: CurrentPlan::new(|| Plan::new(mix, |name| counters.of(None, name))),
        toxics: ActiveToxics::default(),
        counters,
        events: Events::off(),
        call_log: CallLog::on(),
        recorder: Recorder::new(true),
        labels: Labels::default(),
        streams: ProxyStreams::new(seed, PROXY),
        shaped: Arc::default(),
        listening: ArcSwap::default(),
        shutdown,
    };
    (Arc::new(proxy), trigger)
}

/// As the options of these names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) protocol: Protocol,
    pub(crate) buffer: Option<usize>,
    pub(crate) head_timeout: Duration,
}

/// Runs the pumps of a connection until it ends.
pub(crate) fn pumps(
    proxy: Arc<ProxyContext>,
    options: Options,
    client: MemoryStream,
    backend: MemoryStream,
) -> JoinHandle<Outcome> {
    tokio::spawn(async move {
        let Options { protocol, buffer, head_timeout } = options;
        // It is never dialled.
        let address = Backend::new(Address::new("localhost", 9), None, Duration::ZERO, 1, Duration::ZERO);
        let settings = ConnectionSettings {
            tls: None,
            protocol,
            buffer,
            keep_alive: false,
            reuse_socket: false,
            head_timeout,
            max_head: MAX_HEAD,
            shape_buffer: 64 * 1024 * 1024,
            backend: address,
            host: None,
            closes_if_unreachable: false,
        };
        let activity = Activity::new(1);
        let context = ConnectionContext::new(&proxy, &settings, &activity);
        let (mut client, mut backend) = (Stream::from(client), Stream::from(backend));
        let outcome = woken(&proxy, run(&context, &mut client, &mut backend)).await;
        if matches!(outcome, Outcome::Reset | Outcome::BackendReset(_)) {
            // A reset overtakes what the client has not read yet.
            sleep(SILENCE / 2).await;
            client.reset_on_drop();
        }
        outcome
    })
}

/// As `connection::lifecycle` does, once the backend is dialled.
async fn run(context: &ConnectionContext<'_>, client: &mut Stream, backend: &mut Stream) -> Outcome {
    let plan = context.proxy.plan.load_full();
    let mut draws = ConnectionDraws::default();
    let first = FirstCall::of(context, &plan, &mut draws);
    let mut framing = if context.settings.copies(&plan) {
        match copy(context, &plan, first.as_ref(), &mut draws, client, backend).await {
            Copied::Ended(outcome) => return outcome,
            Copied::Replanned(framing) => framing,
        }
    } else {
        Box::new(Framing::new(context.settings, first, draws))
    };
    framed(context, &mut framing, client, backend).await
}

/// How the client learns of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// An end of file.
    Closed,
    Reset,
    /// Nothing came any more: the connection stays open.
    Silence,
    /// The client has left before.
    Left,
}

/// What each side does.
#[derive(Debug)]
pub(crate) struct Talk {
    /// What the client sends: each piece once it has got so many bytes.
    pub(crate) requests: Vec<(usize, Vec<u8>)>,
    /// What the backend sends: each piece once it has got so many bytes.
    pub(crate) replies: Vec<(usize, Vec<u8>)>,
    /// How many bytes the client gets, if all goes well.
    pub(crate) expected: usize,
    pub(crate) ending: Ending,
    /// What the backend takes for a no-op of the proxy's own.
    pub(crate) no_op: Option<NoOp>,
}

/// A no-op that the proxy sends where a request may begin and the client has sent another one.
#[derive(Debug)]
pub(crate) struct NoOp {
    pub(crate) request: Vec<u8>,
    pub(crate) reply: Vec<u8>,
    /// What the backend gets beside it.
    pub(crate) others: Vec<u8>,
    /// Where one of those may begin.
    pub(crate) places: Vec<usize>,
}

impl NoOp {
    /// Moves `pending` to `received`, but for no-ops: the places of those.
    fn take_out(&self, pending: &mut Vec<u8>, received: &mut Vec<u8>) -> Vec<usize> {
        let mut found = Vec::new();
        while !pending.is_empty() {
            let at = received.len();
            let next = self.places.partition_point(|place| *place <= at);
            let begins = next > 0 && self.places[next - 1] == at && !self.others[at..].starts_with(&self.request);
            if begins && pending.starts_with(&self.request) {
                pending.drain(..self.request.len());
                found.push(at);
                continue;
            }
            if begins && self.request.starts_with(pending) {
                break;
            }
            let len = self.places.get(next).map_or(pending.len(), |place| pending.len().min(place - at));
            received.extend(pending.drain(..len));
        }
        found
    }
}

/// What the two sides saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) by_backend: Vec<u8>,
    pub(crate) by_client: Vec<u8>,
    pub(crate) end: End,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    pub(crate) proxy: Arc<ProxyContext>,
}

/// Runs a connection on a runtime of its own.
///
/// # Panics
///
/// Something is stuck.
pub(crate) fn talk(
    talk: &Talk,
    options: Options,
    capacities: [usize; 2],
    writes: &[Pace; 2],
    reads: &[Pace; 2],
    (seed, mix): (u64, &Mix),
) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let begun = Instant::now();
        let ((client, near_client), (near_backend, backend)) = (pair(capacities[0]), pair(capacities[1]));
        let (proxy, _shutdown) = proxy(seed, mix);
        let pumps = pumps(proxy.clone(), options, near_client, near_backend);
        let sides = async {
            tokio::join!(
                async {
                    let received = be_client(client, talk, &writes[0], &reads[0]).await;
                    (received, begun.elapsed())
                },
                be_backend(backend, talk, &writes[1], &reads[1]),
                pumps,
            )
        };
        // The clock runs dry when nothing moves any more.
        let (((by_client, end), took), by_backend, outcome) =
            timeout(SILENCE * 4, sides).await.expect("the connection outlives its client and is stuck");
        let outcome = outcome.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        Seen { by_backend, by_client, end, outcome, took, proxy }
    })
}

/// What a side has got.
#[derive(Default)]
struct Got {
    bytes: usize,
    /// No more will come.
    is_over: bool,
    /// Where the proxy's no-ops were.
    no_ops: Vec<usize>,
}

async fn be_client(stream: MemoryStream, talk: &Talk, writes: &Pace, reads: &Pace) -> (Vec<u8>, End) {
    let (got, mut progress) = watch::channel(Got::default());
    let limit = match talk.ending {
        Ending::ClientEnds(limit) => limit,
        _ => usize::MAX,
    };
    let sending = async {
        send(&stream, &talk.requests, None, limit, writes, &mut progress).await;
        match talk.ending {
            Ending::ClientEnds(_) => stream.end(),
            Ending::ClientIsDone if wait(&mut progress, talk.expected).await => stream.end(),
            _ => {}
        }
        std::future::pending::<()>().await;
    };
    let most = match talk.ending {
        Ending::ClientLeaves(after) => after,
        _ => usize::MAX,
    };
    tokio::select! {
        seen = receive(&stream, reads, None, most, &got) => seen,
        () = sending => unreachable!("it waits for ever"),
    }
}

async fn be_backend(stream: MemoryStream, talk: &Talk, writes: &Pace, reads: &Pace) -> Vec<u8> {
    let (got, mut progress) = watch::channel(Got::default());
    let limit = match talk.ending {
        Ending::BackendEnds(limit) | Ending::BackendResets(limit) => limit,
        _ => usize::MAX,
    };
    let sending = async {
        send(&stream, &talk.replies, talk.no_op.as_ref(), limit, writes, &mut progress).await;
        match talk.ending {
            Ending::BackendEnds(_) => stream.end(),
            Ending::BackendResets(_) => stream.reset(),
            _ => {
                wait(&mut progress, usize::MAX).await;
                stream.end();
            }
        }
    };
    let (received, ()) = tokio::join!(receive(&stream, reads, talk.no_op.as_ref(), usize::MAX, &got), sending);
    received.0
}

/// Waits until a side has got `bytes`; false if it gets no more.
async fn wait(progress: &mut watch::Receiver<Got>, bytes: usize) -> bool {
    progress.wait_for(|got| got.bytes >= bytes || got.is_over).await.is_ok_and(|got| got.bytes >= bytes)
}

/// Sends at most `limit` bytes of `pieces`, and the replies to no-ops between them.
async fn send(
    mut to: &MemoryStream,
    pieces: &[(usize, Vec<u8>)],
    no_op: Option<&NoOp>,
    mut limit: usize,
    pace: &Pace,
    progress: &mut watch::Receiver<Got>,
) {
    let mut pace = pace.steps();
    let mut pieces = pieces.iter().peekable();
    let mut answered = 0;
    while limit > 0 {
        // What waits for nothing more is sent together.
        let mut due = Vec::new();
        let is_over = {
            let got = progress.borrow_and_update();
            while due.len() < limit {
                let after = pieces.peek().map_or(usize::MAX, |(after, _)| *after);
                let no_op_at = got.no_ops.get(answered).copied().unwrap_or(usize::MAX);
                if let Some(no_op) = no_op
                    && no_op_at < after
                {
                    answered += 1;
                    due.extend_from_slice(&no_op.reply);
                    limit = limit.saturating_add(no_op.reply.len());
                } else if got.bytes >= after
                    && let Some((_, piece)) = pieces.next()
                {
                    due.extend_from_slice(piece);
                } else {
                    break;
                }
            }
            got.is_over
        };
        let mut rest = &due[..due.len().min(limit)];
        limit -= rest.len();
        if rest.is_empty() && (is_over || no_op.is_none() && pieces.peek().is_none()) {
            return;
        }
        if due.is_empty() && progress.changed().await.is_err() {
            return;
        }
        while !rest.is_empty() {
            let (len, pause) = pace.next().unwrap();
            let (now, later) = rest.split_at(len.min(rest.len()));
            if to.write_all(now).await.is_err() {
                return;
            }
            rest = later;
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
    }
}

/// Receives until the end, or until `most` bytes are here.
async fn receive(
    mut from: &MemoryStream,
    pace: &Pace,
    no_op: Option<&NoOp>,
    most: usize,
    got: &watch::Sender<Got>,
) -> (Vec<u8>, End) {
    let (mut received, mut pending) = (Vec::new(), Vec::new());
    let mut pace = pace.steps();
    let end = loop {
        if received.len() >= most {
            break End::Left;
        }
        let (len, pause) = pace.next().unwrap();
        let mut bytes = vec![0; len.min(8192)];
        match timeout(SILENCE, from.read(&mut bytes)).await {
            Err(_) => break End::Silence,
            Ok(Ok(0)) => break End::Closed,
            Ok(Err(_)) => break End::Reset,
            Ok(Ok(len)) => pending.extend_from_slice(&bytes[..len]),
        }
        let no_ops = no_op.map(|no_op| no_op.take_out(&mut pending, &mut received));
        if no_ops.is_none() {
            received.append(&mut pending);
        }
        got.send_modify(|got| {
            got.bytes = received.len();
            got.no_ops.extend(no_ops.unwrap_or_default());
        });
        if !pause.is_zero() {
            sleep(pause).await;
        }
    };
    // What may be the beginning of a no-op is dropped, unless another request begins like it.
    if no_op.is_some_and(|no_op| !pending.is_empty() && no_op.others[received.len()..].starts_with(&pending)) {
        received.append(&mut pending);
    }
    got.send_modify(|got| (got.bytes, got.is_over) = (received.len(), true));
    (received, end)
}
