//! A call in a handler's hands, and what the handler decides.

mod answer; // what the client gets in place of a reply
mod fault; // the one place where faults are recorded
mod state; // an open call
mod verdict; // what a handler decides

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use rand::Rng;

use crate::error::{Error, Result};
use crate::events::Action;
use crate::net::stream::Peer;
use crate::protocol::Protocol;
use crate::timer;

pub use crate::fault::End;
pub use answer::Answer;
pub(crate) use answer::{Written, random};
pub(crate) use fault::CallContext;
pub(crate) use state::CallState;
pub use verdict::Verdict;

/// The message that a handler has in hand: in `before` the request, in `after` the reply.
pub(crate) trait Message: Send {
    /// The client's address; none if the client has left, and on a Unix socket.
    fn address(&self) -> Option<SocketAddr>;

    /// What shows that the client has left, or with HTTP/2 has reset the stream.
    fn leaves(&self) -> Leaves<'_>;

    /// Reads the rest of the message and drops it.
    fn drain(&mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>>;

    /// Reads and drops whatever comes from the client until it has sent its last byte.
    fn swallow(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// What shows that a client has left.
pub(crate) enum Leaves<'m> {
    Connection(Peer<'m>),
    Stream(Pin<Box<dyn Future<Output = ()> + Send + 'm>>),
}

impl Leaves<'_> {
    async fn left(self) {
        match self {
            Self::Connection(peer) => peer.left().await,
            Self::Stream(reset) => reset.await,
        }
    }
}

/// One request and the reply that belongs to it.
///
/// A handler waits through its call: [`sleep`](Self::sleep), [`wait`](Self::wait), [`drain`](Self::drain),
/// [`hold`](Self::hold). All of them end when the client leaves and when the daemon stops, and all but
/// [`drain`](Self::drain) when the handler is replaced.
pub struct Call<'a> {
    state: &'a mut CallState,
    message: &'a mut dyn Message,
    context: CallContext<'a>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(state: &'a mut CallState, message: &'a mut dyn Message, context: CallContext<'a>) -> Self {
        Self { state, message, context }
    }

    /// The handler in this place of a sequence has it now.
    pub(crate) fn enter(&mut self, step: usize) {
        self.state.enter(step);
    }

    /// The number of this call on its connection, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.state.number
    }

    /// The number of this connection on its proxy, from 1, in the order in which clients were accepted.
    #[must_use]
    pub fn connection(&self) -> u64 {
        self.state.streams.connection()
    }

    /// The client's address; `None` if the client has left, and on a Unix socket.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.message.address()
    }

    /// The protocol of the proxy.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.state.protocol
    }

    /// The head of the request, at most 64 KiB, with `http` at most `max_head`: with `redis` up to the key, with `memcache` the command line, with `http` up to
    /// the blank line (HTTP/2 in the form of HTTP/1.1), with `tcp` the beginning of the first read.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.state.head
    }

    /// The command, with `http` the method; empty with `tcp`.
    #[must_use]
    pub fn command(&self) -> &[u8] {
        self.state.protocol.words(&self.state.head).0
    }

    /// The key, with `http` the path; empty if there is none.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.state.protocol.words(&self.state.head).1
    }

    /// Whether the protocol has a reply to this call that says that there is nothing: [`Answer::miss`]. A command within a
    /// transaction of `redis` has none, nor has `tcp`.
    #[must_use]
    pub fn can_miss(&self) -> bool {
        let CallState { protocol, head, mode, .. } = &*self.state;
        protocol.is_http() || protocol.miss(head, *mode).is_some()
    }

    /// Whether a node of a cluster can be chosen by the call's key.
    pub(crate) fn has_key(&self) -> bool {
        self.state.protocol.has_key(&self.state.head)
    }

    /// The random stream of this call: the same for the same seed, proxy, connection and call.
    pub fn random(&mut self) -> &mut impl Rng {
        self.state.random()
    }

    /// Waits for at least `duration`. Ends early, without an error, when the handler is replaced or the daemon stops.
    ///
    /// # Errors
    ///
    /// [`Error::ClientLeft`].
    pub async fn sleep(&mut self, duration: Duration) -> Result<()> {
        self.context.fault(self.state, Action::Sleep);
        let begun = Instant::now();
        tokio::select! {
            () = timer::sleep(duration) => {}
            () = self.message.leaves().left() => return Err(Error::ClientLeft),
            () = self.context.released.begun() => {}
        }
        self.context.delayed(begun.elapsed());
        Ok(())
    }

    /// Waits for another future, such as a signal from the test that embeds the proxy.
    ///
    /// # Errors
    ///
    /// [`Error::ClientLeft`]; [`Error::Released`] when the handler is replaced or the daemon stops.
    pub async fn wait<T>(&mut self, something: impl Future<Output = T>) -> Result<T> {
        self.context.fault(self.state, Action::Wait);
        tokio::select! {
            done = something => Ok(done),
            () = self.message.leaves().left() => Err(Error::ClientLeft),
            () = self.context.released.begun() => Err(Error::Released),
        }
    }

    /// Reads and drops the rest of the message: of the request in `before`, of the reply in `after`. With `http` a client that
    /// sent `Expect: 100-continue` gets the interim response. With `tcp`, whose messages have no end, drops what has come.
    ///
    /// After it return [`Verdict::Answer`], [`Verdict::Close`] or [`Verdict::Reset`].
    ///
    /// # Errors
    ///
    /// [`Error::ClientLeft`]; [`Error::Released`] when the daemon stops.
    pub async fn drain(&mut self) -> Result<()> {
        tokio::select! {
            done = self.message.drain() => done,
            () = self.context.shutdown.begun() => Err(Error::Released),
        }
    }

    /// Reads and drops what the client sends, until the client leaves, the handler is replaced or the daemon stops. Returns
    /// the error that the handler has to return.
    pub async fn hold(&mut self) -> Error {
        self.context.fault(self.state, Action::Hold);
        let left = async {
            self.message.swallow().await;
            // Boxed, as a connection that hangs mostly waits for the other.
            Box::pin(self.message.leaves().left()).await;
        };
        tokio::select! {
            () = left => Error::ClientLeft,
            () = self.context.released.begun() => Error::Released,
        }
    }
}

/// A client that was just accepted: its first call begins, and nothing has been read.
pub struct Accept<'a>(pub(crate) Call<'a>);

impl Accept<'_> {
    /// The number of this connection on its proxy, from 1, in the order in which clients were accepted.
    #[must_use]
    pub fn connection(&self) -> u64 {
        self.0.connection()
    }

    /// The client's address; `None` if the client has left, and on a Unix socket.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.0.client()
    }

    /// The random stream of this turn: the same for the same seed, proxy and connection, and independent of the first call's
    /// stream.
    pub fn random(&mut self) -> &mut impl Rng {
        self.0.random()
    }

    /// [`Call::sleep`], before the backend is dialled.
    ///
    /// # Errors
    ///
    /// [`Error::ClientLeft`].
    pub async fn sleep(&mut self, duration: Duration) -> Result<()> {
        self.0.sleep(duration).await
    }

    /// [`Call::wait`], before the backend is dialled.
    ///
    /// # Errors
    ///
    /// [`Error::ClientLeft`]; [`Error::Released`] when the handler is replaced or the daemon stops.
    pub async fn wait<T>(&mut self, something: impl Future<Output = T>) -> Result<T> {
        self.0.wait(something).await
    }

    /// [`Call::hold`], before the backend is dialled.
    pub async fn hold(&mut self) -> Error {
        self.0.hold().await
    }
}
