//! A call in a handler's hands, and what the handler decides.

mod state;
mod verdict;

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use rand::Rng;

use crate::error::{Error, Result};
use crate::events::Action;
use crate::net::stream::Peer;
use crate::protocol::Protocol;

pub(crate) use state::{CallContext, CallState};
pub(crate) use verdict::random;
pub use verdict::{Answer, Verdict};

/// The message that a call is at: its request before the backend is called, its reply after.
pub(crate) trait Message: Send {
    fn client(&self) -> Peer<'_>;

    /// Reads the rest of the message and drops it.
    fn drain(&mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>>;

    /// Reads and drops whatever comes from the client until it has sent its last byte.
    fn swallow(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// One request and the reply that belongs to it.
///
/// Whatever a handler waits for, it waits for through its call: [`sleep`](Self::sleep), [`wait`](Self::wait),
/// [`drain`](Self::drain), [`hold`](Self::hold). These end when the client leaves, when the handler is replaced (but for
/// [`drain`](Self::drain)), and when the daemon stops.
pub struct Call<'a> {
    state: &'a mut CallState,
    message: &'a mut dyn Message,
    context: CallContext<'a>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(state: &'a mut CallState, message: &'a mut dyn Message, context: CallContext<'a>) -> Self {
        Self { state, message, context }
    }

    /// Which call of its connection this is, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.state.number
    }

    /// Which connection of its proxy this is, from 1, in the order in which they were accepted.
    #[must_use]
    pub fn connection(&self) -> u64 {
        self.state.streams.connection()
    }

    /// The client's address; nothing where the client is gone already.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.message.client().address()
    }

    /// How the proxy finds messages.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.state.protocol
    }

    /// The bytes of the request's head: with `redis` up to the key, with `memcache` the command's line, with `http` up to
    /// the blank line, with `tcp` the beginning of what was read at once. At most 64 KiB.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.state.head
    }

    /// The command; with `http` the method; with `tcp` nothing.
    #[must_use]
    pub fn command(&self) -> &[u8] {
        self.state.protocol.words(&self.state.head).0
    }

    /// The key; with `http` the path; where there is none, nothing.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.state.protocol.words(&self.state.head).1
    }

    /// The call's own random stream: the same for the same seed, proxy, connection and call.
    pub fn random(&mut self) -> &mut impl Rng {
        self.state.random()
    }

    /// Waits for at least `duration`; when the handler is replaced or the daemon stops, no longer.
    ///
    /// # Errors
    ///
    /// [`Error::ClientLeft`].
    pub async fn sleep(&mut self, duration: Duration) -> Result<()> {
        self.context.fault(self.state, Action::Sleep);
        let begun = Instant::now();
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            () = self.message.client().left() => return Err(Error::ClientLeft),
            () = self.context.released.begun() => {}
        }
        self.context.delayed(begun.elapsed());
        Ok(())
    }

    /// Waits for something else, such as a word from the test that has started the proxy.
    ///
    /// # Errors
    ///
    /// [`Error::ClientLeft`]; [`Error::Released`] when the handler is replaced or the daemon stops.
    pub async fn wait<T>(&mut self, something: impl Future<Output = T>) -> Result<T> {
        self.context.fault(self.state, Action::Wait);
        tokio::select! {
            done = something => Ok(done),
            () = self.message.client().left() => Err(Error::ClientLeft),
            () = self.context.released.begun() => Err(Error::Released),
        }
    }

    /// Reads the rest of the message and drops it: of the request in `before`, of the reply in `after`. With `http` a
    /// client that expects it is told to continue. With `tcp`, where a message has no end, what is there by now.
    ///
    /// After it only [`Verdict::Answer`], [`Verdict::Close`] and [`Verdict::Reset`] make sense.
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

    /// Reads whatever the client sends and drops it, until the client leaves, the handler is replaced or the daemon stops.
    /// It ends with the error to return.
    pub async fn hold(&mut self) -> Error {
        self.context.fault(self.state, Action::Hold);
        let departure = async {
            self.message.swallow().await;
            self.message.client().left().await;
        };
        tokio::select! {
            () = departure => Error::ClientLeft,
            () = self.context.released.begun() => Error::Released,
        }
    }
}

/// A client that has connected and of which nothing has been read: the beginning of a connection's first call.
pub struct Accept<'a>(pub(crate) Call<'a>);

impl Accept<'_> {
    /// Which connection of its proxy this is, from 1, in the order in which they were accepted.
    #[must_use]
    pub fn connection(&self) -> u64 {
        self.0.connection()
    }

    /// The client's address; nothing where the client is gone already.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.0.client()
    }

    /// A random stream for this turn: the same for the same seed, proxy and connection. What it draws, the first call's
    /// own stream does not draw again.
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
