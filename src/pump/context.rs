//! What the pumps know of their proxy and their connection.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tracing::{debug, info, warn};

use super::activity::{Activity, State};
use super::outcome::Outcome;
use super::settings::ConnectionSettings;
use crate::call::CallContext;
use crate::call_log::{CallEnd, CallLog, ConnectionLog};
use crate::events::{EventKind, Events};
use crate::labels::{CallLabel, Labels};
use crate::metrics::counters::Counters;
use crate::metrics::histogram::Histogram;
use crate::net::bound::BoundAddress;
use crate::plan::SelectedHandler;
use crate::plan::current::CurrentPlan;
use crate::plan::facts::Facts;
use crate::protocol::detour::Backend;
use crate::protocol::{Expect, Protocol};
use crate::recorder::{Clock, ConnectionRecorder, Place, Recorder};
use crate::rng::{ProxyStreams, Streams};
use crate::shutdown::Shutdown;
use crate::toxic::{self, ActiveToxic, ActiveToxics};

/// When the daemon stops, a connection that waits for no reply and has moved no byte for this long is done.
const QUIET: Duration = Duration::from_millis(100);

/// The same where the end of a reply cannot be known: a pause may well be within one.
const LONG_QUIET: Duration = Duration::from_secs(1);

/// Passing on is measured for this many reads of a connection at first, and then for one in [`MEASURED`].
const MEASURED_FIRST: u64 = 8;
const MEASURED: u64 = 16;

/// What the connections of one proxy share.
#[derive(Debug)]
pub(crate) struct ProxyContext {
    pub(crate) name: Arc<str>,
    /// The plan of the calls that begin now.
    pub(crate) plan: CurrentPlan,
    /// What happens to the bytes of its connections.
    pub(crate) toxics: ActiveToxics,
    /// Where it listens; nowhere while it is disabled.
    pub(crate) listening: ArcSwap<Vec<BoundAddress>>,
    pub(crate) counters: Counters,
    pub(crate) events: Events,
    pub(crate) call_log: CallLog,
    pub(crate) recorder: Recorder,
    pub(crate) labels: Labels,
    pub(crate) streams: ProxyStreams,
    /// How many bytes directions with faults hold, over all proxies.
    pub(crate) shaped: Arc<AtomicUsize>,
    pub(crate) shutdown: Shutdown,
}

impl ProxyContext {
    /// Tells readers of events what the proxy did.
    pub(crate) fn emit(&self, kind: impl FnOnce() -> EventKind) {
        self.events.emit(&self.name, || self.labels.now(), kind);
    }
}

/// What the two pumps of one connection share.
#[derive(Debug)]
pub(crate) struct ConnectionContext<'a> {
    pub(crate) proxy: &'a ProxyContext,
    pub(crate) settings: &'a ConnectionSettings,
    pub(crate) activity: &'a Activity,
    /// The client's IP address, if it has one.
    client: Option<IpAddr>,
    /// Where its calls are kept, if they are.
    log: Option<Box<ConnectionLog>>,
    /// Where they are counted by their shape, if they are.
    recorder: Option<Box<ConnectionRecorder<'a>>>,
    /// How often bytes wait: for the other side of a direction, or for their time.
    blocked: AtomicU8,
    opaque: AtomicBool,
}

impl<'a> ConnectionContext<'a> {
    pub(crate) fn new(proxy: &'a ProxyContext, settings: &'a ConnectionSettings, activity: &'a Activity) -> Self {
        let log = proxy.call_log.connection(&proxy.name, activity.number, settings.protocol);
        let recorder = proxy.recorder.connection(settings.protocol);
        let (blocked, opaque) = (AtomicU8::new(0), AtomicBool::new(false));
        Self { proxy, settings, activity, client: None, log, recorder, blocked, opaque }
    }

    /// The same for a client with this IP address, if it has one.
    pub(crate) fn of(self, client: Option<IpAddr>) -> Self {
        Self { client: client.map(|client| client.to_canonical()), ..self }
    }

    pub(crate) fn streams(&self) -> Streams {
        self.proxy.streams.connection(self.activity.number)
    }

    /// What is known of call number `call`, whose `head` is here or not.
    pub(crate) fn facts<'h>(&self, head: Option<&'h [u8]>, call: u64) -> Facts<'h> {
        Facts::new(self.settings.protocol, head, self.client, self.streams(), call)
    }

    /// The label of a call that begins now.
    #[inline]
    pub(crate) fn label(&self) -> Option<Arc<CallLabel>> {
        self.proxy.labels.now()
    }

    /// What a call needs while `handler` has it in hand.
    pub(crate) fn call<'c>(&'c self, handler: &'c SelectedHandler) -> CallContext<'c> {
        CallContext {
            handler: &handler.name,
            rule: handler.rule.as_ref(),
            label: &handler.label,
            steps: handler.handler.names(),
            counters: &handler.counters,
            released: &handler.released,
            shutdown: &self.proxy.shutdown,
            proxy: &self.proxy.name,
            events: &self.proxy.events,
            log: self.log.as_deref(),
        }
    }

    /// A toxic has done something to the connection for the first time.
    pub(super) fn toxic_acts(&self, active: &ActiveToxic) {
        active.counters.acted(self.label().as_deref());
        let toxic = &active.toxic;
        let connection = self.activity.number;
        self.proxy.emit(|| EventKind::Toxic {
            connection,
            toxic: toxic.name().into(),
            kind: toxic.kind.name(),
            stream: toxic::stream(toxic.direction),
        });
        debug!(connection, toxic = toxic.name(), "acts");
    }

    /// Whether nobody is told of single calls, none leaves anything behind on the backend's connection, and all pass as they are.
    pub(super) fn is_unwatched(&self) -> bool {
        let Self { settings, log, .. } = self;
        log.is_none() && !settings.reuse_socket && settings.host.is_none() && !tracing::enabled!(tracing::Level::TRACE)
    }

    /// A call begins.
    #[inline]
    pub(crate) fn call_begins(
        &self,
        call: &Facts<'_>,
        handler: &SelectedHandler,
        label: Option<&Arc<CallLabel>>,
        expect: Expect,
    ) {
        self.activity.calls.set(call.call);
        if let Some(log) = &self.log {
            log.begins(call.call, &handler.label, label, call.head.unwrap_or_default(), expect);
        }
        // Without its head it is told again.
        if let (Some(recorder), Some(_)) = (&self.recorder, call.head) {
            recorder.begins(call.call, call.words(), expect);
        }
    }

    /// Where calls are counted by their shape, if they are.
    #[inline]
    pub(super) fn recorder(&self) -> Option<&ConnectionRecorder<'a>> {
        self.recorder.as_deref()
    }

    /// The oldest open call ends: every end of a call comes by here.
    #[inline]
    pub(crate) fn call_ended(&self, how: CallEnd) {
        if let Some(log) = &self.log {
            log.ended(how);
        }
        if let Some(recorder) = &self.recorder {
            recorder.ended(how == CallEnd::Replied);
        }
    }

    /// A call begins on a stream of its own, which ends in no order with others: where its shape is counted.
    pub(super) fn stream_begins(
        &self,
        call: &Facts<'_>,
        handler: &SelectedHandler,
        label: Option<&Arc<CallLabel>>,
    ) -> Option<Place> {
        self.activity.calls.set(call.call);
        if let Some(log) = &self.log {
            log.begins(call.call, &handler.label, label, call.head.unwrap_or_default(), Expect::Reply);
        }
        self.recorder.as_ref()?.begins_alone(call.words())
    }

    /// The last byte of a stream's request was passed on.
    pub(super) fn stream_passed_on(&self, call: u64) {
        if let Some(log) = &self.log {
            log.passed_on_of(call);
        }
    }

    /// The backend took so long for a call of this shape.
    pub(super) fn stream_took(&self, place: Place, time: Duration) {
        if let Some(recorder) = &self.recorder {
            recorder.took(place, time);
        }
    }

    /// The call of a stream has ended.
    pub(super) fn stream_ended(&self, call: u64, how: CallEnd) {
        if let Some(log) = &self.log {
            log.ended_of(call, how);
        }
    }

    /// The last byte of the latest request was passed on, or dropped.
    #[inline]
    pub(super) fn request_passed(&self, clock: &mut Clock) {
        if let Some(log) = &self.log {
            log.passed_on();
        }
        if let Some(recorder) = &self.recorder {
            recorder.passed_on(clock);
        }
    }

    /// `len` bytes of the backend were read.
    #[inline]
    pub(super) fn replies_read(&self, len: usize) {
        self.activity.to_client.add(len);
        if let Some(recorder) = &self.recorder {
            recorder.read();
        }
    }

    /// The backend sent bytes that belong to no message.
    pub(super) fn between_replies(&self) {
        if let Some(log) = &self.log {
            log.more();
        }
    }

    /// Replies can no longer be told apart; a handler may still hold a request.
    pub(crate) fn replies_end(&self, holds_request: bool) {
        if let Some(log) = &self.log {
            log.replies_end(holds_request);
        }
        if let Some(recorder) = &self.recorder {
            recorder.replies_end();
        }
    }

    /// Messages can no longer be told apart: counted once, with the reason.
    pub(super) fn turns_opaque(&self, why: &str) {
        if !self.opaque.swap(true, Ordering::Relaxed) {
            let connection = self.activity.number;
            self.activity.set_state(State::Opaque);
            self.proxy.counters.opaque.add(1);
            self.proxy.emit(|| EventKind::Opaque { connection, why: why.into() });
            if self.proxy.counters.opaque_reasons.add(why) {
                let proxy = &*self.proxy.name;
                info!(proxy, connection, "opaque from here on, handlers no longer act: {why}");
            } else {
                debug!(connection, why, "opaque from here on");
            }
        }
    }

    /// The backend cannot be reached: counted, and told.
    pub(crate) fn unreachable(&self, why: io::Error) -> Outcome {
        let connection = self.activity.number;
        self.proxy.counters.backend_failures.add(1);
        self.proxy.counters.backend_reasons.add(&why.to_string());
        self.proxy.emit(|| EventKind::DialFailure { connection, error: why.to_string() });
        Outcome::Unreachable(why)
    }

    /// There is no TLS with the client, which was not intended: counted, with the reason.
    pub(crate) fn handshake_failed(&self, why: &io::Error) {
        let (proxy, connection, why) = (&*self.proxy.name, self.activity.number, why.to_string());
        self.proxy.counters.handshake_failures.add(1);
        self.proxy.emit(|| EventKind::HandshakeFailure { connection, why: why.as_str().into() });
        if self.proxy.counters.handshake_reasons.add(&why) {
            warn!(proxy, connection, "no TLS with a client: {why}");
        } else {
            debug!(connection, "no TLS with a client: {why}");
        }
    }

    /// Tells that a reply sends the client past the proxy, if it does.
    #[cold]
    pub(super) fn look_for_detour(&self, reply: &[u8]) {
        let backend = self.settings.backend.address().tcp().map(|at| Backend { host: &at.host, port: at.port });
        if self.may_tell_detours()
            && let Some(how) = self.settings.protocol.detour(reply, backend)
        {
            self.detours(&how);
        }
    }

    /// A reply sends the client past the proxy, as `how` says: told once a proxy.
    pub(super) fn detours(&self, how: &str) {
        if !self.proxy.counters.has_detours.swap(true, Ordering::Relaxed) {
            let (proxy, connection) = (&*self.proxy.name, self.activity.number);
            warn!(
                connection,
                "{proxy}: the backend sends clients past this proxy ({how}): their calls there meet no fault"
            );
        }
    }

    /// Whether that was not told yet.
    pub(super) fn may_tell_detours(&self) -> bool {
        !self.proxy.counters.has_detours.load(Ordering::Relaxed)
    }

    /// The other side of one direction takes no bytes until the guard is dropped.
    pub(super) fn block(&self) -> Blocked<'_> {
        self.blocked.fetch_add(1, Ordering::Relaxed);
        Blocked(&self.blocked)
    }

    /// Bytes of one direction begin to wait for their time, or wait no more.
    pub(super) fn waits(&self, begin: bool) {
        if begin {
            self.blocked.fetch_add(1, Ordering::Relaxed)
        } else {
            self.blocked.fetch_sub(1, Ordering::Relaxed)
        };
    }

    /// Whether bytes that were read still have to be taken.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed) > 0
    }

    /// Measures what passing on a read takes until the guard is dropped, for some of the reads: reading the clock twice for
    /// each would show.
    pub(super) fn measure(&self) -> Option<Measured<'_>> {
        let Activity { to_backend, to_client, .. } = self.activity;
        let reads = to_backend.reads.get().wrapping_add(to_client.reads.get());
        let is_measured = reads < MEASURED_FIRST || reads.is_multiple_of(MEASURED);
        is_measured.then(|| Measured { times: &self.proxy.counters.pass, begun: Instant::now() })
    }

    /// Bytes read from either side.
    fn moved(&self) -> u64 {
        self.activity.to_backend.bytes.get().wrapping_add(self.activity.to_client.bytes.get())
    }

    /// Resolves when the daemon has stopped, and what clients had sent until then was read.
    pub(crate) async fn stopped_quietly(&self) {
        self.proxy.shutdown.begun().await;
        tokio::time::sleep(QUIET).await;
    }

    /// The daemon stops. Resolves when nothing is under way: the connection is not `busy`, and has moved no byte for a while.
    /// After the grace period it resolves in any case.
    pub(super) async fn wind_down(&self, busy: impl Fn() -> bool) -> Outcome {
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
            () = done => Outcome::Stopped,
            () = self.proxy.shutdown.grace_over() => Outcome::CutOff,
        }
    }
}

/// A read that is being passed on.
pub(super) struct Measured<'a> {
    times: &'a Histogram,
    begun: Instant,
}

impl Drop for Measured<'_> {
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
