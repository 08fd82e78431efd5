//! One connection, as its two pumps share it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tracing::debug;

use super::End;
use super::settings::ConnectionSettings;
use crate::call_log::Track;
use crate::connection::table::{ConnectionHandle, State};
use crate::events::EventKind;
use crate::metrics::histogram::Histogram;
use crate::protocol::Protocol;
use crate::proxy::Proxy;
use crate::rng::Streams;

/// When the daemon stops, a connection that waits for no reply and has moved no byte for this long is done.
const QUIET: Duration = Duration::from_millis(100);

/// The same where replies have no end that could be known: a pause may well be within one.
const LONG_QUIET: Duration = Duration::from_secs(1);

/// How long passing on takes is measured for so many reads of a connection at first, and then for one in so many.
const MEASURED_FIRST: u64 = 8;
const MEASURED: u64 = 16;

/// One connection, as its two pumps share it.
#[derive(Debug)]
pub(crate) struct ConnectionContext<'a> {
    pub(crate) proxy: &'a Proxy,
    pub(crate) settings: &'a ConnectionSettings,
    pub(crate) live: &'a ConnectionHandle,
    pub(crate) streams: Streams,
    /// Directions whose bytes the other side does not take for now.
    blocked: AtomicU8,
    opaque: AtomicBool,
}

impl<'a> ConnectionContext<'a> {
    pub(crate) fn new(proxy: &'a Proxy, settings: &'a ConnectionSettings, live: &'a ConnectionHandle) -> Self {
        let streams = Streams::new(proxy.shared.seed, &proxy.name, live.number);
        Self { proxy, settings, live, streams, blocked: AtomicU8::new(0), opaque: AtomicBool::new(false) }
    }

    /// Where its calls are told of, if they are recorded.
    pub(crate) fn track(&self) -> Option<Track<'_>> {
        self.proxy.shared.call_log.track(&self.proxy.name, self.live.number)
    }

    /// Messages can no longer be told apart: counted once, and said why.
    pub(super) fn turns_opaque(&self, why: &str) {
        if !self.opaque.swap(true, Ordering::Relaxed) {
            self.live.is(State::Opaque);
            self.proxy.counters.opaque.add(1);
            self.proxy.emit(|| EventKind::Opaque { connection: self.live.number, why: why.into() });
            debug!(connection = self.live.number, why, "opaque from here on");
        }
    }

    /// Bytes of one direction are not taken, for as long as the answer lives.
    pub(super) fn block(&self) -> Blocked<'_> {
        self.blocked.fetch_add(1, Ordering::Relaxed);
        Blocked(&self.blocked)
    }

    /// Whether bytes that were read still have to be taken.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed) > 0
    }

    pub(super) fn client_spoke(&self, bytes: usize) {
        self.live.to_backend.add(bytes);
    }

    pub(super) fn backend_spoke(&self, bytes: usize) {
        self.live.to_client.add(bytes);
    }

    /// Measures what passing on a read takes until the answer is dropped, for some of the reads: two looks at the clock
    /// for each would show.
    pub(super) fn passing(&self) -> Option<Passing<'_>> {
        let ConnectionHandle { to_backend, to_client, .. } = self.live;
        let reads = to_backend.reads.get().wrapping_add(to_client.reads.get());
        let is_measured = reads < MEASURED_FIRST || reads.is_multiple_of(MEASURED);
        is_measured.then(|| Passing { times: &self.proxy.counters.pass, begun: Instant::now() })
    }

    /// Bytes read from either side.
    fn moved(&self) -> u64 {
        self.live.to_backend.bytes.get().wrapping_add(self.live.to_client.bytes.get())
    }

    /// Resolves when the daemon stops and nothing is under way any more: it is not `busy`, and has moved no byte for a
    /// while. After the grace period it resolves in any case.
    pub(super) async fn stopped(&self, busy: impl Fn() -> bool) -> End {
        self.proxy.stop.stopped().await;
        Box::pin(self.wind_down(busy)).await
    }

    async fn wind_down(&self, busy: impl Fn() -> bool) -> End {
        let done = async {
            loop {
                let before = self.moved();
                let framed = self.settings.protocol != Protocol::Tcp && !self.opaque.load(Ordering::Relaxed);
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

impl Drop for ConnectionContext<'_> {
    /// However the connection ends: a handler may panic.
    fn drop(&mut self) {
        if let Some(track) = self.track() {
            track.end();
        }
    }
}

/// A read is passed on.
pub(super) struct Passing<'a> {
    times: &'a Histogram,
    begun: Instant,
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.times.add(self.begun.elapsed());
    }
}

/// A direction whose bytes are not taken.
pub(super) struct Blocked<'a>(&'a AtomicU8);

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
