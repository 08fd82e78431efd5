//! The clients.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::message::Talk;
use crate::tally::Tally;
use crate::tls::Tls;

/// The behaviour of the clients.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// `at_once` clients, each with a share of the connections, send a pipeline of calls on one connection after the
    /// other.
    Calls { connections: usize, at_once: usize, pipeline: u64 },
    /// `at_once` clients connect, make one call and close, repeatedly.
    Connect { at_once: usize },
    /// Calls on each connection are due at fixed times.
    Paced { connections: usize, every: Duration },
    /// Each connection is one of HTTP/2, with so many streams at once.
    Streams { connections: usize, at_once: usize },
}

impl Load {
    /// One call at a time on each connection.
    pub(crate) fn calls(connections: usize) -> Self {
        Self::pipelines(connections, 1)
    }

    pub(crate) fn pipelines(connections: usize, pipeline: u64) -> Self {
        Self::Calls { connections, at_once: connections, pipeline }
    }

    pub(crate) fn idle(connections: usize) -> Self {
        Self::Calls { connections, at_once: 0, pipeline: 1 }
    }

    /// The number of connections from the beginning.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Calls { connections, .. } | Self::Paced { connections, .. } => connections,
            // Their clients open them.
            Self::Connect { .. } | Self::Streams { .. } => 0,
        }
    }
}

/// A client's connection.
pub(crate) type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// What clients connect to.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Target {
    async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            Some(tls) => Ok(Either::Right(Box::new(tls.connect(stream).await?))),
            None => Ok(Either::Left(stream)),
        }
    }
}

/// How long connections may take to reach the backend.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many connections are opened at once. More would overflow the listener's queue.
const ON_THE_WAY: usize = 256;

/// Opens this many connections, and waits until each has reached the backend.
pub(crate) async fn open(target: &Target, count: usize, tally: &Tally) -> io::Result<Vec<Connection>> {
    let before = tally.accepted();
    let mut opened = Vec::with_capacity(count);
    let all = async {
        while opened.len() < count {
            opened.push(target.connect().await?);
            arrival(tally, (before + opened.len()).saturating_sub(ON_THE_WAY)).await;
        }
        arrival(tally, before + count).await;
        io::Result::Ok(())
    };
    let Ok(done) = timeout(PATIENCE, all).await else {
        let arrived = tally.accepted() - before;
        return Err(io::Error::other(format!("only {arrived} of {count} connections got to the backend")));
    };
    done.map(|()| opened)
}

/// Waits until this many connections have reached the backend.
async fn arrival(tally: &Tally, count: usize) {
    while tally.accepted() < count {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Makes calls on these connections in turn.
pub(crate) async fn call(
    mut connections: Vec<Connection>,
    pipeline: u64,
    talk: Arc<Talk>,
    tally: Arc<Tally>,
) -> io::Result<Infallible> {
    let mut buffer = talk.reply.buffer(pipeline);
    loop {
        for connection in &mut connections {
            exchange(connection, pipeline, &mut buffer, &talk, &tally).await?;
        }
    }
}

/// Connects, makes a call, closes; repeatedly.
pub(crate) async fn connect_and_call(target: Target, talk: Arc<Talk>, tally: Arc<Tally>) -> io::Result<Infallible> {
    let mut buffer = talk.reply.buffer(1);
    loop {
        let mut connection = target.connect().await?;
        exchange(&mut connection, 1, &mut buffer, &talk, &tally).await?;
        if let Either::Right(tls) = &mut connection {
            // TLS says when it ends.
            tls.shutdown().await?;
        }
    }
}

/// Sends this many calls in one pipeline and reads their replies.
pub(crate) async fn exchange(
    connection: &mut Connection,
    calls: u64,
    buffer: &mut [u8],
    talk: &Talk,
    tally: &Tally,
) -> io::Result<()> {
    let begun = Instant::now();
    talk.request.send(connection, calls).await?;
    let mut left = talk.reply.len() * calls;
    while left > 0 {
        let len = connection.read(buffer).await?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        tally.arrived(len);
        left = left.checked_sub(len as u64).ok_or_else(|| io::Error::other("more came than was asked for"))?;
    }
    tally.answered(calls, begun.elapsed());
    Ok(())
}
