//! A stream within TLS: the reading and the writing half share one session.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::task::{Context, Poll, Waker, ready};

use atomic_refcell::{AtomicRefCell, AtomicRefMut};
use rustls::Connection;
use rustls::server::Accepted;
use tokio::io::ReadBuf;

use super::super::socket::Socket;
use super::super::stream::End;

/// The most that is read of a socket at once, in bytes.
const MAX_READ: usize = 256 * 1024;

/// The most that is encrypted and not yet given to the socket, in bytes.
const MAX_HELD: usize = 128 * 1024;

/// How often a socket is read in one go without any data. A peer that sends only what belongs to TLS lets others have their turn.
const EMPTY_READS: usize = 16;

thread_local! {
    /// What was read of a socket, until its session has taken it.
    static RECEIVED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A socket and its TLS session.
#[derive(Debug)]
pub(crate) struct TlsStream {
    socket: Socket,
    state: AtomicRefCell<State>,
}

/// How far a session is.
pub(super) enum State {
    /// Nothing was read of the client.
    Silent,
    /// A client waits for an answer.
    Asks(Box<Accepted>),
    /// A client is refused, and is told this when the stream ends: whoever counts refusals has counted it by then.
    Refused(Vec<u8>),
    Open(Box<Session>),
}

#[derive(Debug)]
pub(super) struct Session {
    tls: Connection,
    /// Read of the socket, but not yet taken: what came before it has to be read first.
    left: Vec<u8>,
    /// The peer's last byte was read, and no `close_notify` before it.
    truncated: bool,
    /// How the stream ends when it is dropped.
    end: End,
}

impl TlsStream {
    pub(super) fn new(socket: Socket, state: State) -> Self {
        Self { socket, state: AtomicRefCell::new(state) }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The state before.
    pub(super) fn set_state(&self, state: State) -> State {
        mem::replace(&mut *self.state.borrow_mut(), state)
    }

    /// The session, once it is open.
    fn session(&self) -> io::Result<AtomicRefMut<'_, Session>> {
        AtomicRefMut::filter_map(self.state.borrow_mut(), |state| match state {
            State::Open(session) => Some(&mut **session),
            State::Silent | State::Asks(_) | State::Refused(_) => None,
        })
        .ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// The protocol that both sides agreed on (ALPN, RFC 7301).
    pub(crate) fn alpn(&self) -> Option<Vec<u8>> {
        self.session().ok()?.tls.alpn_protocol().map(<[u8]>::to_vec)
    }

    /// Ready when both sides have keys, and the peer was sent all that it needs for them.
    pub(super) fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let session = &mut *self.session()?;
        while session.tls.is_handshaking() {
            // Both sides may have more to say than the other has taken.
            let _ = session.poll_send(cx, &self.socket)?;
            if ready!(session.poll_receive(cx, &self.socket, MAX_READ))? == 0 {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
        match (session.poll_send(cx, &self.socket), &session.tls) {
            // Tickets can wait.
            (Poll::Pending, Connection::Server(_)) => Poll::Ready(Ok(())),
            (sent, _) => sent,
        }
    }

    /// How the peer has ended the stream, once an end of file was read.
    pub(crate) fn how_ended(&self) -> End {
        let truncated = self.session().is_ok_and(|session| session.truncated);
        if truncated { End::Truncated } else { End::Orderly }
    }

    pub(crate) fn holds(&self) -> bool {
        self.session().is_ok_and(|session| session.tls.wants_write())
    }

    /// Whether the peer has neither sent any data nor closed. What belongs to TLS alone, such as a ticket, does not count.
    pub(crate) fn is_silent(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_has_more(&mut cx).is_pending()
    }

    /// Ready when there is data to read, or, with false, at the end of the stream.
    pub(crate) fn poll_has_more(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let session = &mut *self.session()?;
        let _ = session.poll_send(cx, &self.socket)?;
        for _ in 0..EMPTY_READS {
            match session.tls.reader().into_first_chunk() {
                Ok(chunk) => return Poll::Ready(Ok(!chunk.is_empty())),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Poll::Ready(Ok(false)),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                Err(_) => {}
            }
            ready!(session.poll_receive(cx, &self.socket, MAX_READ))?;
        }
        again(cx)
    }

    /// Without a session, the bytes as they are.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Ok(mut session) = self.session() else { return self.socket.poll_read(cx, buffer) };
        let session = &mut *session;
        // What a read has made the session say.
        let _ = session.poll_send(cx, &self.socket)?;
        let before = buffer.filled().len();
        for _ in 0..EMPTY_READS {
            if session.read(buffer)? {
                return Poll::Ready(Ok(()));
            }
            ready!(session.poll_receive_into(cx, &self.socket, buffer))?;
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
        again(cx)
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let session = &mut *self.session()?;
        ready!(session.poll_send(cx, &self.socket))?;
        let taken = session.tls.writer().write(bytes)?;
        // What the socket does not take now is held: see `poll_flush`.
        let _ = session.poll_send(cx, &self.socket)?;
        Poll::Ready(Ok(taken))
    }

    /// The same for pieces that follow each other.
    pub(crate) fn poll_write_vectored(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let session = &mut *self.session()?;
        ready!(session.poll_send(cx, &self.socket))?;
        let taken = session.tls.writer().write_vectored(pieces)?;
        let _ = session.poll_send(cx, &self.socket)?;
        Poll::Ready(Ok(taken))
    }

    /// Ready when the socket has taken all that was written.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session()?.poll_send(cx, &self.socket)
    }

    pub(crate) fn ends_when_dropped(&self, how: End) {
        if let Ok(mut session) = self.session() {
            session.end = how;
        }
    }

    /// Ready when the peer has been told that nothing more comes.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>, how: End) -> Poll<io::Result<()>> {
        if let Ok(mut session) = self.session() {
            session.end = End::Truncated;
            if how == End::Orderly {
                // Once, however often it is asked to.
                session.tls.send_close_notify();
            }
            ready!(session.poll_send(cx, &self.socket))?;
        }
        if let State::Refused(told) = &mut *self.state.borrow_mut() {
            while !told.is_empty() {
                let taken = ready!(self.socket.poll_write(cx, told))?;
                told.drain(..taken);
            }
        }
        Poll::Ready(self.socket.end())
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        if let State::Open(session) = self.state.get_mut()
            && session.end == End::Orderly
            && !session.tls.is_handshaking()
        {
            session.tls.send_close_notify();
            // A peer that takes no more does not learn it.
            let _ = session.poll_send(&mut Context::from_waker(Waker::noop()), &self.socket);
        }
    }
}

impl Session {
    pub(super) fn new(tls: impl Into<Connection>) -> Self {
        let mut tls = tls.into();
        tls.set_buffer_limit(Some(MAX_HELD));
        Self { tls, left: Vec::new(), truncated: false, end: End::Orderly }
    }

    /// Gives the socket all that is encrypted.
    fn poll_send(&mut self, cx: &mut Context<'_>, socket: &Socket) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut SocketWriter { cx, socket }) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what is decrypted already: whether there was any, or the stream has ended.
    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        match self.tls.reader().read(buffer.initialize_unfilled()) {
            Ok(len) => buffer.advance(len),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.truncated = true,
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Reads of the socket once, at most as much as the buffer has space for, and fills it with what that decrypts to.
    fn poll_receive_into(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let space = buffer.remaining().max(super::MAX_RECORD);
        self.poll_receive_with(cx, socket, space, |session| session.read(buffer).map(drop)).map_ok(drop)
    }

    /// Reads of the socket once: how many bytes there were, 0 at its end.
    fn poll_receive(&mut self, cx: &mut Context<'_>, socket: &Socket, most: usize) -> Poll<io::Result<usize>> {
        self.poll_receive_with(cx, socket, most, |_| Ok(()))
    }

    fn poll_receive_with(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket,
        most: usize,
        mut read: impl FnMut(&mut Self) -> io::Result<()>,
    ) -> Poll<io::Result<usize>> {
        if !self.left.is_empty() {
            let left = mem::take(&mut self.left);
            return Poll::Ready(self.take(&left, &mut read).map(|()| left.len()));
        }
        RECEIVED.with_borrow_mut(|received| {
            if received.is_empty() {
                *received = vec![0; MAX_READ];
            }
            let mut buffer = ReadBuf::new(&mut received[..most.min(MAX_READ)]);
            ready!(socket.poll_read(cx, &mut buffer))?;
            let taken = self.take(buffer.filled(), &mut read);
            // An alert that tells the peer why.
            if taken.is_err() {
                let _ = self.poll_send(cx, socket);
            }
            Poll::Ready(taken.map(|()| buffer.filled().len()))
        })
    }

    /// Takes what was read of the socket; nothing is its end. `read` is called for what it decrypts to; what does not fit is left.
    fn take(&mut self, mut received: &[u8], read: &mut impl FnMut(&mut Self) -> io::Result<()>) -> io::Result<()> {
        loop {
            self.tls.read_tls(&mut received)?;
            let state = self.tls.process_new_packets().map_err(super::io_error)?;
            if state.plaintext_bytes_to_read() > 0 {
                read(self)?;
            }
            if received.is_empty() || state.peer_has_closed() {
                return Ok(());
            }
            if !self.tls.wants_read() && !self.tls.is_handshaking() {
                self.left.extend_from_slice(received);
                return Ok(());
            }
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "Silent",
            Self::Asks(_) => "Asks",
            Self::Refused(_) => "Refused",
            Self::Open(_) => "Open",
        })
    }
}

/// Where a session writes to.
struct SocketWriter<'a, 'cx> {
    cx: &'a mut Context<'cx>,
    socket: &'a Socket,
}

impl Write for SocketWriter<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_would_block(self.socket.poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(self.socket.poll_write_vectored(self.cx, pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has the task polled again, after others.
fn again<T>(cx: &Context<'_>) -> Poll<T> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

fn or_would_block(done: Poll<io::Result<usize>>) -> io::Result<usize> {
    match done {
        Poll::Ready(done) => done,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}
