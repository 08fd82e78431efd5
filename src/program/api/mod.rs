//! The HTTP API: what proxies do, seen and changed while they run.
//!
//! A request passes the [`guard`] and comes to one of the [`routes`], from which [`openapi`] writes what can be asked and
//! answered. The old contract is in [`behavior`], the full one in [`v1`]; every error has the shape of [`answer`]. The API
//! runs on a thread of its own, so that it answers however busy the proxies are.

mod answer;
mod behavior;
mod events;
mod guard;
mod openapi;
mod read;
mod routes;
mod schemas;
#[cfg(test)]
mod tests;
mod v1;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::serve::Listener;
use futures_util::future::join_all;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tracing::{debug, warn};

use crate::handler::Registry;
use crate::net::address::Address;
use crate::net::listener::{listen, resolve};
use crate::program::config::{Http, Token};
use crate::proxy::set::ProxySet;
use guard::{Access, Local};

/// Connections at once; more wait until one of them ends.
const CONNECTIONS: usize = 256;

/// Connections at once that read events: they do not end, and must leave room for others.
const READERS: usize = 32;

/// A head of a request that has not ended within so many bytes is refused. What brings its end may go beyond, up to twice as
/// much.
const HEAD: usize = 64 * 1024;

/// How long a request's head may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take nothing of what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// What all this takes of the descriptors that a process may have: connections, and a few listeners.
pub(crate) const DESCRIPTORS: usize = CONNECTIONS + 8;

/// What is being answered when the program stops has this long.
const GRACE: Duration = Duration::from_secs(1);

/// What every request is answered from.
struct Api {
    proxies: Arc<ProxySet>,
    registry: Registry,
    access: Access,
    readers: Arc<Semaphore>,
    /// What can be asked and answered.
    document: Bytes,
}

impl Api {
    fn new(proxies: Arc<ProxySet>, registry: Registry, access: Access) -> Arc<Self> {
        let document = openapi::document(&routes::all(), &registry, access.needs_token());
        let document = Bytes::from(format!("{document:#}\n"));
        Arc::new(Self { proxies, registry, access, readers: Arc::new(Semaphore::new(READERS)), document })
    }
}

/// The API, while it answers.
#[derive(Debug)]
pub(crate) struct Running {
    addresses: Vec<SocketAddr>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Lets it finish what it is answering.
    pub(crate) fn stop(self) {
        drop(self.stop);
        // A thread that failed has said why.
        let _ = self.thread.join();
    }
}

/// Listens, and answers on a thread of its own.
///
/// # Errors
///
/// It cannot listen where it should.
pub(crate) async fn start(http: &Http, proxies: Arc<ProxySet>, registry: Registry) -> anyhow::Result<Running> {
    let at = Address::new(&http.host, http.port);
    let cannot_listen = || format!("cannot listen on {at} for the HTTP API");
    let addresses = resolve(&at).await.with_context(cannot_listen)?;
    let access = Access::new(&http.host, &http.allow_hosts, http.token.as_ref().map(Token::secret));
    let (stop, stopped) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let stopped = async {
        let _ = stopped.await;
    };
    let run = move || {
        // The runtime ends where it began: it could not end within another.
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error))),
        };
        runtime.block_on(async {
            match listen(&addresses) {
                Ok(listeners) => {
                    let _ = tell.send(listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>());
                    serve(listeners, Api::new(proxies, registry, access), CONNECTIONS, stopped).await;
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
        // A change that resolves a name cannot be broken off, and is not waited for.
        runtime.shutdown_background();
    };
    let thread = thread::Builder::new().name("http-api".to_owned()).spawn(run).with_context(cannot_listen)?;
    let addresses = told.await.with_context(cannot_listen)?.with_context(cannot_listen)?;
    if http.token.is_none() && addresses.iter().any(|address| !address.ip().is_loopback()) {
        warn!(
            "whoever reaches {} may change what the proxies do: give a token, `--http-token-file FILE`",
            Address::new(&http.host, addresses[0].port())
        );
    }
    Ok(Running { addresses, stop, thread })
}

/// Answers requests on so many `connections` at once until `stop` resolves.
async fn serve(listeners: Vec<TcpListener>, api: Arc<Api>, connections: usize, stop: impl Future<Output = ()>) {
    let router = routes::router(api);
    let (room, connections) = (Arc::new(Semaphore::new(connections)), GracefulShutdown::new());
    let accepting = listeners.into_iter().map(|listener| accept(listener, router.clone(), room.clone(), &connections));
    tokio::select! {
        _ = join_all(accepting) => {}
        () = stop => {}
    }
    // Streams of events do not end by themselves.
    let _ = timeout(GRACE, connections.shutdown()).await;
}

async fn accept(mut listener: TcpListener, router: Router, room: Arc<Semaphore>, connections: &GracefulShutdown) {
    while let Ok(place) = room.clone().acquire_owned().await {
        // It waits and tries again when there are no descriptors.
        let (client, _) = Listener::accept(&mut listener).await;
        tokio::spawn(answer(client, router.clone(), place, connections.watcher()));
    }
}

/// Answers one client for as long as it asks.
async fn answer(client: TcpStream, router: Router, place: OwnedSemaphorePermit, stop: Watcher) {
    let Ok(local) = client.local_addr() else { return };
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Local(local));
        router.call(request)
    });
    let mut client = TimeoutStream::new(client);
    client.set_write_timeout(Some(WRITE_TIMEOUT));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(Box::pin(client)), service);
    if let Err(error) = stop.watch(connection).await {
        debug!("a client of the API is gone: {error}");
    }
    drop(place);
}
