//! The accept loop of a worker: each client gets a task of its own.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::yield_now;
use tracing::{info, warn};

use crate::connection::serve;
use crate::connection::table::ConnectionHandle;
use crate::net::bound::Listener;
use crate::net::connection_limit::Permit;
use crate::net::socket::Socket;
use crate::proxy::Proxy;

/// The pause after a failed accept, such as one without a free descriptor.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A client that was accepted.
struct Accepted {
    client: Socket,
    /// None on a Unix socket.
    address: Option<SocketAddr>,
    number: u64,
    /// The place of the worker that serves it.
    worker: usize,
}

/// The clients of a proxy that cannot be accepted, for all workers.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// How many there are; locked while it is logged that there are some, or none.
    clients: Mutex<usize>,
    /// It was logged that there are some.
    logged: AtomicBool,
}

/// A client that waits.
struct Waits<'a>(&'a Waiting);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        *self.0.clients() -= 1;
    }
}

impl Waiting {
    fn clients(&self) -> MutexGuard<'_, usize> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was logged that clients wait, and no worker has one.
    fn is_over(&self) -> bool {
        self.logged.load(Ordering::Relaxed) && *self.clients() == 0
    }

    /// No client is left to be accepted.
    fn log_end(&self) {
        let clients = self.clients();
        if *clients == 0 && self.logged.swap(false, Ordering::Relaxed) {
            info!("accepting again: no client waits");
        }
    }
}

/// A connection, until this is dropped.
struct Open {
    proxy: Arc<Proxy>,
    handle: Arc<ConnectionHandle>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.proxy.connections.leave(&self.handle);
    }
}

impl Proxy {
    /// Accepts clients until the proxy stops, on the worker in this `place`. It waits for nothing but a free descriptor.
    pub(super) async fn accept(self: Arc<Self>, listener: Listener, place: usize) {
        tokio::select! {
            () = self.clone().accept_all(&listener, place) => {}
            () = self.context.shutdown.begun() => {}
        }
    }

    async fn accept_all(self: Arc<Self>, listener: &Listener, place: usize) {
        let limit = &self.shared.connection_limit;
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = poll_fn(|cx| self.poll_accept(cx, listener, place)) => accepted,
                () = std::future::ready(()), if self.waiting.is_over() => {
                    self.waiting.log_end();
                    continue;
                }
            };
            let accepted = match accepted {
                Ok(accepted) => accepted,
                Err(error) if client_has_left(&error) => continue,
                // Another worker accepts one, which takes less time than waiting for it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    yield_now().await;
                    continue;
                }
                Err(error) => {
                    let _waits = self.client_waits(error);
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
            };
            let permit = if let Some(permit) = limit.take() {
                permit
            } else {
                let connections = limit.connections();
                let _waits =
                    self.client_waits(format_args!("all descriptors are in use, by {connections} connections"));
                limit.wait().await
            };
            self.clone().spawn(accepted, permit);
        }
    }

    /// Accepts and numbers a client in one step, so that clients are numbered in the order in which they connected.
    fn poll_accept(&self, cx: &mut Context<'_>, listener: &Listener, place: usize) -> Poll<io::Result<Accepted>> {
        let worker = self.shared.workers.for_connection(place);
        // The runtime of the worker learns of the client's socket.
        let _within = (worker != place).then(|| self.shared.workers.all()[worker].runtime.enter());
        let mut last = match self.accepted.try_lock() {
            Ok(last) => last,
            Err(TryLockError::Poisoned(last)) => last.into_inner(),
            Err(TryLockError::WouldBlock) => return Poll::Ready(Err(io::ErrorKind::WouldBlock.into())),
        };
        let (client, address) = ready!(listener.poll_accept(cx))?;
        *last += 1;
        Poll::Ready(Ok(Accepted { client, address, number: *last, worker }))
    }

    fn spawn(self: Arc<Self>, accepted: Accepted, permit: Permit) {
        // The task holds what it captures until its end, so each byte counts for every connection.
        let Accepted { client, address, number, worker } = accepted;
        let shared = self.shared.clone();
        let open = Open { proxy: self, handle: Arc::new(ConnectionHandle::new(number, address, worker)) };
        shared.workers.all()[worker].serve(async move {
            let Open { proxy, handle } = &open;
            proxy.connections.enter(handle).await;
            if !proxy.is_open() {
                // It was disabled since the client was accepted.
                handle.cut(false);
            }
            let settings = proxy.settings();
            let mut client = settings.client(client);
            serve(&mut client, handle, &proxy.context, &settings).await;
            drop((client, permit));
        });
    }

    /// Counts a client that has to wait, and logs the first of them with the reason. It waits until the answer is dropped.
    fn client_waits(&self, why: impl fmt::Display) -> Waits<'_> {
        self.context.counters.refused.add(1);
        let mut clients = self.waiting.clients();
        *clients += 1;
        if !self.waiting.logged.swap(true, Ordering::Relaxed) {
            warn!("cannot accept clients, retrying until it works: {why}");
        }
        Waits(&self.waiting)
    }
}

/// Whether accepting failed because the client had left by then.
fn client_has_left(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
