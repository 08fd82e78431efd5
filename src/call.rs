//! A call in a handler's hands, and what the handler decides.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;
use rand::rngs::ChaCha8Rng;
use tokio::net::TcpStream;

use crate::error::{Error, Result};
use crate::events::{Act, Head, What};
use crate::net::disconnect::left;
use crate::plan::SelectedHandler;
use crate::protocol::Protocol;
use crate::proxy::Proxy;
use crate::rng::Streams;

/// What a handler decides about a call. Where it is an error, the connection is reset.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes on unaltered.
    Pass,
    /// The rest of its message is read and dropped, and this reaches the client in the reply's place, after the replies of
    /// earlier calls. A call that has no reply is not answered.
    Answer(Answer),
    /// The reply goes on with these bytes in its middle. (In the middle of its first 64 KiB, where the protocol does not
    /// tell how long it will be.) Only [`after`](crate::handler::Handler::after) has a reply; elsewhere it is an error.
    Inject(Bytes),
    /// The client's connection ends in order, after the replies of earlier calls: the client reads an end of file.
    Close,
    /// The client's connection is reset, after the replies of earlier calls: the client reads `ECONNRESET`.
    Reset,
}

impl Verdict {
    /// What it does to the call, if that does not pass.
    pub(crate) fn act(&self) -> Option<Act> {
        match self {
            Self::Pass => None,
            Self::Answer(_) => Some(Act::Answer),
            Self::Inject(_) => Some(Act::Inject),
            Self::Close => Some(Act::Close),
            Self::Reset => Some(Act::Reset),
        }
    }
}

/// What reaches the client in place of a reply: bytes as they are. Whether the client understands them is the handler's to
/// know.
#[derive(Debug, Clone)]
pub struct Answer {
    content: Content,
    pub(crate) close: bool,
}

#[derive(Debug, Clone)]
enum Content {
    Bytes(Bytes),
    Random(usize),
}

impl Answer {
    /// These bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Bytes(bytes.into()), close: false }
    }

    /// `len` random bytes from the call's own stream. They are drawn when their turn comes and take no memory until then.
    #[must_use]
    pub fn random(len: usize) -> Self {
        Self { content: Content::Random(len), close: false }
    }

    /// And then the client's connection is closed, in order.
    #[must_use]
    pub fn then_close(self) -> Self {
        Self { close: true, ..self }
    }

    /// The bytes, unless they are yet to be drawn.
    #[cfg(feature = "program")]
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Bytes(bytes) => Some(bytes),
            Content::Random(_) => None,
        }
    }

    /// How many bytes the client gets.
    #[cfg(feature = "program")]
    pub(crate) fn len(&self) -> usize {
        match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::Random(len) => *len,
        }
    }

    /// Bytes of memory that it takes until its turn.
    pub(crate) fn weight(&self) -> usize {
        match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::Random(_) => 0,
        }
    }

    pub(crate) fn into_bytes(self, about: &mut CallState) -> Bytes {
        match self.content {
            Content::Bytes(bytes) => bytes,
            Content::Random(len) => random(about.random(), len),
        }
    }
}

/// `len` bytes drawn from `stream`.
pub(crate) fn random(stream: &mut impl Rng, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    stream.fill_bytes(&mut bytes);
    bytes.into()
}

/// What stays with a call from its request to its reply.
#[derive(Debug)]
pub(crate) struct CallState {
    pub(crate) protocol: Protocol,
    pub(crate) streams: Streams,
    pub(crate) number: u64,
    pub(crate) head: Bytes,
    /// A handler has done something to it, and that was counted.
    pub(crate) is_fault: bool,
    random: Option<Box<ChaCha8Rng>>,
}

impl CallState {
    /// What `accept` draws from, so that the first call's own stream is still untouched in `before`: a number that no call
    /// has.
    pub(crate) const ACCEPT: u64 = u64::MAX;

    /// What is said before the reply has no number.
    pub(crate) const INTERIM: u64 = 0;

    pub(crate) fn new(protocol: Protocol, streams: Streams, number: u64, head: Bytes) -> Self {
        Self { protocol, streams, number, head, is_fault: false, random: None }
    }

    /// A handler does something to it.
    pub(crate) fn fault(&self, handler: &Arc<str>, verdict: Act) -> What {
        What::Fault {
            connection: self.streams.connection(),
            call: self.call(),
            handler: handler.clone(),
            verdict,
            head: Head::of(self.protocol, &self.head),
        }
    }

    /// Which call it is.
    pub(crate) fn call(&self) -> u64 {
        if self.number == Self::ACCEPT { 1 } else { self.number }
    }

    /// Whether it is of a call. An interim response is of none.
    pub(crate) fn is_of_call(&self) -> bool {
        self.number != Self::INTERIM
    }

    fn random(&mut self) -> &mut ChaCha8Rng {
        self.random.get_or_insert_with(|| Box::new(self.streams.call(self.number)))
    }
}

/// The message that a call is at: its request before the backend is called, its reply after.
pub(crate) trait Message: Send {
    fn client(&self) -> &TcpStream;

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
    about: &'a mut CallState,
    message: &'a mut dyn Message,
    /// The handler in whose hands it is.
    drawn: &'a SelectedHandler,
    proxy: &'a Proxy,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        about: &'a mut CallState,
        message: &'a mut dyn Message,
        drawn: &'a SelectedHandler,
        proxy: &'a Proxy,
    ) -> Self {
        Self { about, message, drawn, proxy }
    }

    /// Which call of its connection this is, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.about.number
    }

    /// Which connection of its proxy this is, from 1, in the order in which they were accepted.
    #[must_use]
    pub fn connection(&self) -> u64 {
        self.about.streams.connection()
    }

    /// The client's address; nothing where the client is gone already.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.message.client().peer_addr().ok()
    }

    /// How the proxy finds messages.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.about.protocol
    }

    /// The bytes of the request's head: with `redis` up to the key, with `memcache` the command's line, with `http` up to
    /// the blank line, with `tcp` the beginning of what was read at once. At most 64 KiB.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.about.head
    }

    /// The command; with `http` the method; with `tcp` nothing.
    #[must_use]
    pub fn command(&self) -> &[u8] {
        self.about.protocol.words(&self.about.head).0
    }

    /// The key; with `http` the path; where there is none, nothing.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.about.protocol.words(&self.about.head).1
    }

    /// The call's own random stream: the same for the same seed, proxy, connection and call.
    pub fn random(&mut self) -> &mut impl Rng {
        self.about.random()
    }

    /// Waits for at least `duration`; when the handler is replaced or the daemon stops, no longer.
    ///
    /// # Errors
    ///
    /// [`Error::ClientLeft`].
    pub async fn sleep(&mut self, duration: Duration) -> Result<()> {
        self.proxy.fault(self.drawn, self.about, Act::Sleep);
        let begun = Instant::now();
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            () = left(self.message.client()) => return Err(Error::ClientLeft),
            () = self.drawn.released.stopped() => {}
        }
        self.drawn.counts.delayed(begun.elapsed());
        Ok(())
    }

    /// Waits for something else, such as a word from the test that has started the proxy.
    ///
    /// # Errors
    ///
    /// [`Error::ClientLeft`]; [`Error::Released`] when the handler is replaced or the daemon stops.
    pub async fn wait<T>(&mut self, something: impl Future<Output = T>) -> Result<T> {
        self.proxy.fault(self.drawn, self.about, Act::Wait);
        tokio::select! {
            done = something => Ok(done),
            () = left(self.message.client()) => Err(Error::ClientLeft),
            () = self.drawn.released.stopped() => Err(Error::Released),
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
            () = self.proxy.stop.stopped() => Err(Error::Released),
        }
    }

    /// Reads whatever the client sends and drops it, until the client leaves, the handler is replaced or the daemon stops.
    /// It ends with the error to return.
    pub async fn hold(&mut self) -> Error {
        self.proxy.fault(self.drawn, self.about, Act::Hold);
        let departure = async {
            self.message.swallow().await;
            left(self.message.client()).await;
        };
        tokio::select! {
            () = departure => Error::ClientLeft,
            () = self.drawn.released.stopped() => Error::Released,
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
