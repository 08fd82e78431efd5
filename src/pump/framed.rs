//! Call by call: requests are found, handed to their handlers and answered in order.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::call_frames::CallFrames;
use super::context::ConnectionContext;
use super::drive;
use super::h2::Begin;
use super::half_close::HalfCloses;
use super::head_timer::HeadTimer;
use super::inbound::Inbound;
use super::open_calls::{HandledCall, ReplySource, SharedCalls};
use super::outbound::{Outbound, Stage};
use super::outcome::Outcome;
use super::replies::ReplyPump;
use super::reply_frames::ReplyFrames;
use super::requests::RequestPump;
use super::settings::ConnectionSettings;
use crate::fault::Direction;
use crate::labels::CallLabel;
use crate::net::stream::Stream;
use crate::net::tls::TlsFault;
use crate::plan::facts::Facts;
use crate::plan::{ConnectionDraws, Foreseen, Plan, SelectedHandler};
use crate::protocol::{self, Expect};
use crate::shutdown::Shutdown;

/// A connection's first call, which begins when the client connects.
#[derive(Debug, Clone)]
pub(crate) struct FirstCall {
    pub(crate) handler: Arc<SelectedHandler>,
    /// The handler did not let the client in at once, and so has had the call already.
    pub(crate) taken: Option<Box<TakenCall>>,
    /// Begins when another plan replaces the one that it was drawn from.
    pub(crate) replaced: Shutdown,
}

/// What is known of a call that its handler had before its request was here.
#[derive(Debug, Clone)]
pub(crate) struct TakenCall {
    pub(crate) label: Option<Arc<CallLabel>>,
    /// How the handler makes the TLS handshake go wrong.
    pub(crate) fault: Option<TlsFault>,
}

impl FirstCall {
    /// Of the handler that `plan` has for it.
    pub(crate) fn new(plan: &Plan, handler: &Arc<SelectedHandler>) -> Self {
        Self { handler: handler.clone(), taken: None, replaced: plan.replaced() }
    }

    /// As `plan` has it before anything of the call is here; none if that is not certain yet.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn of(context: &ConnectionContext<'_>, plan: &Plan, draws: &mut ConnectionDraws) -> Option<Self> {
        match plan.foresee(&context.facts(None, 1), draws) {
            Foreseen::Certain(handler) => Some(Self::new(plan, handler)),
            Foreseen::Counts | Foreseen::Head => None,
        }
    }

    /// Whether the call is still the handler's: a client that it has not delayed calls under the plan of the call.
    pub(super) fn holds(&self) -> bool {
        self.taken.is_some() || !self.replaced.has_begun()
    }
}

/// What a connection knows of its client. It outlives the backend's connection.
#[derive(Debug)]
pub(crate) struct Framing {
    requests: Requests,
    /// What was read of the requests and not passed on yet.
    held: BytesMut,
    /// What the backend has said before the client began HTTP/2.
    said: Option<Box<BytesMut>>,
    /// What the bytes to the backend and to the client go through, and those that have not come out yet; none where it begins
    /// anew.
    stages: (Option<Stage>, Option<Stage>),
    /// The head that is held is to be held no longer.
    is_late: bool,
}

/// A client's requests.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) framer: protocol::Requests,
    pub(super) header: ProxyHeader,
    /// Nothing but that header has come: the client may begin HTTP/2.
    pub(super) may_be_http2: bool,
    /// The number of the last call.
    pub(super) number: u64,
    pub(super) draws: ConnectionDraws,
    /// A call that its handler let pass when there was no backend any more.
    pub(super) undelivered: Option<Undelivered>,
    /// The first call, until its request is here.
    pub(super) first: Option<FirstCall>,
    /// The handler of a call whose head is incomplete and was passed on as far as it is here: one that sees no calls.
    pub(super) begun: Option<Arc<SelectedHandler>>,
}

/// Whether the client may still begin with a PROXY protocol header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProxyHeader {
    /// It may.
    Possible,
    /// It did not send the whole of it at once.
    Late,
    /// Whatever follows is a request.
    Over,
}

impl Requests {
    /// Whether the next call's handler is not decided yet.
    pub(super) fn is_drawn_anew(&self) -> bool {
        self.first.is_none() && self.begun.is_none()
    }

    /// The handler of the next call, which is not counted yet; none if that is still open.
    pub(super) fn next_handler<'p>(&'p mut self, plan: &'p Plan, call: &Facts<'_>) -> Option<&'p Arc<SelectedHandler>> {
        if let Some(first) = self.first.as_ref().filter(|first| first.holds()) {
            return Some(&first.handler);
        }
        match plan.foresee(call, &mut self.draws) {
            Foreseen::Certain(handler) => Some(handler),
            Foreseen::Counts | Foreseen::Head => None,
        }
    }
}

/// A call of which no byte has gone to the backend.
#[derive(Debug)]
pub(super) struct Undelivered {
    pub(super) call: Box<HandledCall>,
    pub(super) expect: Expect,
    /// Bytes of its request that are held, and how many are still to come.
    pub(super) due: usize,
    pub(super) left: Option<u64>,
}

impl Framing {
    /// From the first call on.
    pub(crate) fn new(settings: &ConnectionSettings, first: Option<FirstCall>, draws: ConnectionDraws) -> Self {
        let header = ProxyHeader::Possible;
        Self::after((0, header), first, settings, draws, BytesMut::new(), (None, None))
    }

    /// After `number` calls whose bytes were copied, through these stages. `held` is what was read of the next call.
    pub(super) fn after(
        (number, header): (u64, ProxyHeader),
        first: Option<FirstCall>,
        settings: &ConnectionSettings,
        draws: ConnectionDraws,
        held: BytesMut,
        stages: (Option<Stage>, Option<Stage>),
    ) -> Self {
        let framer = settings.protocol.requests_with(settings.max_head);
        let may_be_http2 = settings.protocol.is_http() && number == 0;
        let requests = Requests { framer, header, may_be_http2, number, draws, undelivered: None, first, begun: None };
        Self { requests, held, said: None, stages, is_late: false }
    }

    /// What HTTP/2 begins with, of which nothing was passed on.
    pub(crate) fn into_http2(self) -> Begin {
        let Self { requests: Requests { draws, first, .. }, held, said, .. } = self;
        Begin { draws, first, read: held.freeze(), said: said.map(|said| said.freeze()).unwrap_or_default() }
    }

    /// Whether a call is here that needs a backend.
    pub(crate) fn has_call(&self) -> bool {
        self.requests.undelivered.is_some()
    }

    /// Whether a head is held that is not complete.
    pub(crate) fn holds_head(&self) -> bool {
        !self.held.is_empty()
    }

    /// The head that is held has been for as long as it may be.
    pub(crate) fn give_up_head(&mut self) {
        self.is_late = true;
    }
}

/// Passes calls on until the connection, or the backend's part in it, ends.
pub(crate) async fn framed(
    context: &ConnectionContext<'_>,
    framing: &mut Framing,
    client: &mut Stream,
    backend: &mut Stream,
) -> Outcome {
    let (from_client, to_client) = client.split();
    let (from_backend, to_backend) = backend.split();
    let (half_closes, calls) = (HalfCloses::default(), SharedCalls::default());
    let Framing { requests, held, said, stages, is_late } = framing;
    calls.borrow_mut().set_may_be_http2(requests.may_be_http2);

    let undelivered = requests.undelivered.take();
    let mut timer = HeadTimer::default();
    if std::mem::take(is_late) {
        timer.hold(true, Duration::ZERO);
    }
    let mut frames = CallFrames { context, calls: &calls, requests, look: true, due: 0, left: Some(0), timer };
    if let Some(Undelivered { call, expect, due, left }) = undelivered {
        (frames.due, frames.left) = (due, left);
        calls.borrow_mut().sent(context.settings, &call.state.head, expect);
        if expect != Expect::Nothing {
            calls.borrow_mut().push(expect, ReplySource::Handler(call));
        }
    }
    let stage = stages.0.take().unwrap_or_default();
    let (inbound, outbound) =
        (Inbound::new(context, from_client), Outbound::new(context, Direction::ToBackend, to_backend, stage));
    let mut requests = RequestPump::new(frames, held, &half_closes, inbound, outbound);
    let requests = pin!(requests.run());

    let reply_framer = context.settings.protocol.replies_with(context.settings.max_head);
    let timer = HeadTimer::default();
    let frames = ReplyFrames {
        context,
        calls: &calls,
        framer: reply_framer,
        look: true,
        due: 0,
        left: Some(0),
        timer,
        is_first: true,
    };
    let stage = stages.1.take().unwrap_or_default();
    let (inbound, outbound) =
        (Inbound::new(context, from_backend), Outbound::new(context, Direction::ToClient, to_client, stage));
    let mut reply_pump = ReplyPump::new(frames, &half_closes, inbound, outbound);
    let outcome = {
        let replies = pin!(reply_pump.run());
        drive(requests, replies, context, || !calls.borrow_mut().is_idle(), || calls.borrow_mut().take_look()).await
    };
    // The client may outlive this backend.
    let (stage, unread) = reply_pump.into_parts();
    stages.1 = Some(stage);
    *said = matches!(outcome, Outcome::Http2).then(|| Box::new(unread));
    outcome
}
