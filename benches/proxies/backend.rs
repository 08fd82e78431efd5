//! The backend: counts complete requests by their bytes, and answers each read with one write.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use socket2::{Domain, Socket, Type};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::oneshot;

use crate::message::Talk;
use crate::tally::Tally;

/// How many connections may wait to be accepted. With fewer, the system drops some where many arrive at once.
const BACKLOG: i32 = 4096;

/// How many requests one read may return: for small ones about as many bytes as Redis reads.
const AT_ONCE: u64 = 512;

/// A backend in a thread of its own, which ends when this is dropped.
pub(crate) struct Backend {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Backend {
    pub(crate) fn start(talk: &Arc<Talk>, tally: &Arc<Tally>) -> io::Result<Self> {
        let listener = listen()?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let (talk, tally) = (talk.clone(), tally.clone());
        let serve = move || {
            runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                tokio::select! {
                    served = serve(listener, talk, tally) => served,
                    _ = stopped => Ok(()),
                }
            })
        };
        Ok(Self { address, stop: Some(stop), thread: Some(thread::spawn(serve)) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("proxies: the backend could not go on: {error}");
        }
    }
}

/// Listens on a free port.
pub(crate) fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

async fn serve(listener: TcpListener, talk: Arc<Talk>, tally: Arc<Tally>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        tally.accept();
        tokio::spawn(answer(client, talk.clone(), tally.clone()));
    }
}

/// Answers requests until the client leaves.
async fn answer(mut client: TcpStream, talk: Arc<Talk>, tally: Arc<Tally>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut buffer = talk.request.buffer(AT_ONCE);
    let mut pending = 0;
    loop {
        let len = client.read(&mut buffer).await?;
        if len == 0 {
            return Ok(());
        }
        tally.arrived(len);
        pending += len as u64;
        let whole = pending / talk.request.len();
        pending %= talk.request.len();
        talk.reply.send(&mut client, whole).await?;
    }
}
