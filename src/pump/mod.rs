//! How bytes get from one side to the other: as they come, or call by call.

mod copy;
mod ends;
mod exchange;
mod framed;
mod lane;
mod replies;
mod requests;
mod to_backend;
mod to_client;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

pub(crate) use copy::{Copied, copy};
pub(crate) use framed::{First, Framing, framed};

use tracing::debug;

use crate::connections::{Live, State};
use crate::error::Error;
use crate::journal::What;
use crate::metrics::Histogram;
use crate::protocol::Protocol;
use crate::proxy::Proxy;
use crate::recording::Track;
use crate::route::Route;
use crate::seed::Streams;
use crate::stop::Stop;

/// Reads of one direction before the other gets its turn.
const READS_A_TURN: usize = 8;

/// When the daemon stops, a connection that waits for no reply and has moved no byte for this long is done.
const QUIET: Duration = Duration::from_millis(100);

/// The same where replies have no end that could be known: a pause may well be within one.
const LONG_QUIET: Duration = Duration::from_secs(1);

/// How long passing on takes is measured for so many reads of a connection at first, and then for one in so many.
const MEASURED_FIRST: u64 = 8;
const MEASURED: u64 = 16;

/// How a connection's traffic ends.
#[derive(Debug)]
pub(crate) enum End {
    /// Both sides have sent their last byte, and it was passed on.
    Done,
    /// A handler closes the client's connection in order.
    Close,
    /// A handler resets the client's connection.
    Reset,
    /// The client left while a handler had a call of it in hand.
    ClientLeft,
    /// The client reset its connection, or writing to it failed.
    ClientReset(io::Error),
    /// The backend reset its connection, or writing to it failed.
    BackendReset(io::Error),
    /// The backend cannot be reached.
    Unreachable(io::Error),
    /// The backend closed between two calls, and the client stays.
    BackendLeft,
    /// The client left between two calls, and the backend can serve another.
    Spare,
    /// The daemon stops, and nothing was under way.
    Stopped,
    /// The daemon stops, and what a handler had swallowed is lost.
    LetGo,
    /// The daemon stops, and what was under way did not finish in time. For neither side this is an orderly end.
    CutOff,
    /// A handler failed.
    Failed(Error),
}

impl From<ends::Broken> for End {
    /// Of replies: the backend is read, the client written to.
    fn from(broken: ends::Broken) -> Self {
        match broken {
            ends::Broken::From(error) => Self::BackendReset(error),
            ends::Broken::To(error) => Self::ClientReset(error),
        }
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::ClientLeft => Self::ClientLeft,
            Error::LetGo => Self::LetGo,
            Error::Client(error) => Self::ClientReset(error),
            Error::Backend(error) => Self::BackendReset(error),
            Error::Handler(_) | Error::NoReplyYet => Self::Failed(error),
        }
    }
}

/// One connection, as its two pumps share it.
#[derive(Debug)]
pub(crate) struct Link<'a> {
    pub(crate) proxy: &'a Proxy,
    pub(crate) route: &'a Route,
    pub(crate) live: &'a Live,
    pub(crate) streams: Streams,
    /// Directions whose bytes the other side does not take for now.
    blocked: AtomicU8,
    opaque: AtomicBool,
}

impl<'a> Link<'a> {
    pub(crate) fn new(proxy: &'a Proxy, route: &'a Route, live: &'a Live) -> Self {
        let streams = Streams::new(proxy.shared.seed, &proxy.name, live.number);
        Self { proxy, route, live, streams, blocked: AtomicU8::new(0), opaque: AtomicBool::new(false) }
    }

    /// Where its calls are told of, if they are recorded.
    pub(crate) fn track(&self) -> Option<Track<'_>> {
        self.proxy.shared.recording.track(&self.proxy.name, self.live.number)
    }

    /// Messages can no longer be told apart: counted once, and said why.
    fn turns_opaque(&self, why: &str) {
        if !self.opaque.swap(true, Ordering::Relaxed) {
            self.live.is(State::Opaque);
            self.proxy.counts.opaque.add(1);
            self.proxy.tell(|| What::Opaque { connection: self.live.number, why: why.into() });
            debug!(connection = self.live.number, why, "opaque from here on");
        }
    }

    /// Bytes of one direction are not taken, for as long as the answer lives.
    fn block(&self) -> Blocked<'_> {
        self.blocked.fetch_add(1, Ordering::Relaxed);
        Blocked(&self.blocked)
    }

    /// Whether bytes that were read still have to be taken.
    fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed) > 0
    }

    fn client_spoke(&self, bytes: usize) {
        self.live.to_backend.add(bytes);
    }

    fn backend_spoke(&self, bytes: usize) {
        self.live.to_client.add(bytes);
    }

    /// Measures what passing on a read takes until the answer is dropped, for some of the reads: two looks at the clock
    /// for each would show.
    fn passing(&self) -> Option<Passing<'_>> {
        let Live { to_backend, to_client, .. } = self.live;
        let reads = to_backend.reads.get().wrapping_add(to_client.reads.get());
        let is_measured = reads < MEASURED_FIRST || reads.is_multiple_of(MEASURED);
        is_measured.then(|| Passing { times: &self.proxy.counts.pass, begun: Instant::now() })
    }

    /// Bytes read from either side.
    fn moved(&self) -> u64 {
        self.live.to_backend.bytes.get().wrapping_add(self.live.to_client.bytes.get())
    }

    /// Resolves when the daemon stops and nothing is under way any more: it is not `busy`, and has moved no byte for a
    /// while. After the grace period it resolves in any case.
    async fn stopped(&self, busy: impl Fn() -> bool) -> End {
        self.proxy.stop.stopped().await;
        Box::pin(self.wind_down(busy)).await
    }

    async fn wind_down(&self, busy: impl Fn() -> bool) -> End {
        let done = async {
            loop {
                let before = self.moved();
                let framed = self.route.protocol != Protocol::Tcp && !self.opaque.load(Ordering::Relaxed);
                tokio::time::sleep(if framed { QUIET } else { LONG_QUIET }).await;
                if before == self.moved() && !self.is_blocked() && !busy() {
                    return;
                }
            }
        };
        tokio::select! {
            () = done => End::Stopped,
            () = self.proxy.stop.grace_is_over() => End::CutOff,
        }
    }
}

impl Drop for Link<'_> {
    /// However the connection ends: a handler may panic.
    fn drop(&mut self) {
        if let Some(track) = self.track() {
            track.end();
        }
    }
}

/// A read is passed on.
struct Passing<'a> {
    times: &'a Histogram,
    begun: Instant,
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.times.add(self.begun.elapsed());
    }
}

/// A direction whose bytes are not taken.
struct Blocked<'a>(&'a AtomicU8);

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs both directions of a connection in one task until one of them says how it ends. `again` says whether the requests
/// have queued something that the replies have to look at.
fn drive(
    mut requests: Pin<&mut impl Future<Output = End>>,
    mut replies: Pin<&mut impl Future<Output = End>>,
    mut stopped: Pin<&mut impl Future<Output = End>>,
    stop: &Stop,
    again: impl Fn() -> bool,
) -> impl Future<Output = End> {
    let mut listening = false;
    poll_fn(move |cx| {
        loop {
            // Replies first: that the backend has closed is to be known before another call goes to it.
            if let Poll::Ready(end) = replies.as_mut().poll(cx) {
                return Poll::Ready(end);
            }
            if let Poll::Ready(end) = requests.as_mut().poll(cx) {
                return Poll::Ready(end);
            }
            if again() {
                continue;
            }
            // Once it has been told whom to wake, it need not be asked again until the word is there.
            if std::mem::replace(&mut listening, true) && !stop.is_given() {
                return Poll::Pending;
            }
            return stopped.as_mut().poll(cx);
        }
    })
}
