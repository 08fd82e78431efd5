//! Call by call: requests are found, handed to their handlers and answered in order.

use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;

use super::call_frames::CallFrames;
use super::context::ConnectionContext;
use super::drive;
use super::half::Half;
use super::half_close::HalfCloses;
use super::head_timer::HeadTimer;
use super::open_calls::{HandledCall, OpenCalls, ReplySource, lock};
use super::outcome::Outcome;
use super::replies::ReplyPump;
use super::reply_frames::ReplyFrames;
use super::requests::RequestPump;
use super::settings::ConnectionSettings;
use crate::net::buffer::Outgoing;
use crate::net::stream::Stream;
use crate::plan::SelectedHandler;
use crate::protocol::{self, Expect};
use crate::rng::Draws;

/// A connection's first call, which begins when the client connects.
#[derive(Debug, Clone)]
pub(crate) struct FirstCall {
    pub(crate) handler: Arc<SelectedHandler>,
    /// The handler did not let the client in at once, and so has had the call already.
    pub(crate) is_counted: bool,
}

impl FirstCall {
    /// Whether the call is still the handler's: a client that it has not delayed calls under the plan of the call.
    pub(super) fn holds(&self) -> bool {
        self.is_counted || !self.handler.released.has_begun()
    }
}

/// What a connection knows of its client. It outlives the backend's connection.
#[derive(Debug)]
pub(crate) struct Framing {
    requests: Requests,
    /// What was read of the requests and not passed on yet.
    held: BytesMut,
    /// What the backend said before, and the client has not taken yet.
    unsent: Outgoing,
}

/// A client's requests.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) framer: protocol::Requests,
    /// Nothing has been read yet: the client may begin with a PROXY protocol header.
    pub(super) at_start: bool,
    /// The number of the last call.
    pub(super) number: u64,
    pub(super) draws: Option<Draws>,
    /// A call that its handler let pass when there was no backend any more.
    pub(super) undelivered: Option<Undelivered>,
    /// The first call, until its request is here.
    pub(super) first: Option<FirstCall>,
    /// The handler of a call whose head is incomplete and was passed on as far as it is here: one that sees no calls.
    pub(super) begun: Option<Arc<SelectedHandler>>,
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
    pub(crate) fn new(settings: &ConnectionSettings, first: FirstCall, draws: Option<Draws>) -> Self {
        Self::after(0, Some(first), settings, draws, BytesMut::new(), Outgoing::default())
    }

    /// After `number` calls whose bytes were copied. `held` is what was read of the next call, and `unsent` is still to reach
    /// the client.
    pub(super) fn after(
        number: u64,
        first: Option<FirstCall>,
        settings: &ConnectionSettings,
        draws: Option<Draws>,
        held: BytesMut,
        unsent: Outgoing,
    ) -> Self {
        let at_start = number == 0;
        let framer = settings.protocol.requests_with(settings.max_head);
        let requests = Requests { framer, at_start, number, draws, undelivered: None, first, begun: None };
        Self { requests, held, unsent }
    }

    /// Whether a call is here that needs a backend.
    pub(crate) fn has_call(&self) -> bool {
        self.requests.undelivered.is_some()
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
    let (half_closes, calls) = (HalfCloses::default(), Mutex::new(OpenCalls::default()));
    let Framing { requests, held, unsent } = framing;

    let undelivered = requests.undelivered.take();
    let timer = HeadTimer::default();
    let mut frames = CallFrames { context, calls: &calls, requests, look: true, due: 0, left: Some(0), timer };
    if let Some(Undelivered { call, expect, due, left }) = undelivered {
        (frames.due, frames.left) = (due, left);
        lock(&calls).sent(context.settings, &call.state.head, expect);
        if expect != Expect::Nothing {
            lock(&calls).push(expect, ReplySource::Handler(call));
        }
    }
    let half = Half::new(context, from_client, to_backend);
    let mut requests = RequestPump::new(frames, held, &half_closes, half);
    let requests = pin!(requests.run());

    let reply_framer = context.settings.protocol.replies_with(context.settings.max_head);
    let timer = HeadTimer::default();
    let frames = ReplyFrames { context, calls: &calls, framer: reply_framer, look: true, due: 0, left: Some(0), timer };
    let mut half = Half::new(context, from_backend, to_client);
    half.outbound.resume(std::mem::take(unsent));
    let mut replies = ReplyPump::new(frames, &half_closes, half);
    let replies = pin!(replies.run());

    let stopped = pin!(context.stopped(|| !lock(&calls).is_idle()));
    drive(requests, replies, stopped, context, || lock(&calls).take_look()).await
}
