//! The HTTP API: shows proxies and changes them while they run.
//!
//! A request passes the [`guard`] and reaches one of the [`routes`], which [`openapi`] describes. The original vaurien's
//! contract is in [`behavior`], the full API in [`v1`]; every error has the shape of [`answer`]. The API runs on a thread of
//! its own, so that busy proxies do not delay it.

mod ahead;
mod answer;
mod behavior;
mod connections;
mod events;
mod guard;
mod label;
mod openapi;
mod page;
mod read;
mod routes;
mod rules;
mod schemas;
#[cfg(test)]
mod tests;
mod toxics;
mod v1;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::serve::Listener;
use futures_util::future::join_all;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tracing::{debug, warn};

use crate::handler::Registry;
use crate::net::host_port::HostPort;
use crate::net::listener::{listen, to_listen_on};
use crate::program::config::{Http, Token, spec};
use crate::program::tls::Folder;
use crate::proxy::set::{Edit, ProxySet};
use connections::{Admitted, Connections};
use guard::Access;

pub(crate) use connections::Connection;
pub(crate) use guard::Local;

/// The maximum number of connections. For one more, the one that has waited longest for its client ends.
const CONNECTIONS: usize = 256;

/// The maximum number of connections that read events: these do not end, and must not use up the others.
const READERS: usize = 32;

/// The maximum size of a request's head, in bytes. It is checked after each read, so that a head may have up to twice as
/// many.
const HEAD: usize = 64 * 1024;

/// How long reading a request's head may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may read nothing of what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The descriptors that the API needs: its connections and a few listeners.
pub(crate) const DESCRIPTORS: usize = CONNECTIONS + 8;

/// How long requests may take to end when the program stops.
const GRACE: Duration = Duration::from_secs(1);

/// What the handlers of requests share.
struct Api {
    proxies: Arc<ProxySet>,
    registry: Registry,
    /// Where the authority of `tls.auto` is kept.
    authority: Folder,
    access: Access,
    readers: Arc<Semaphore>,
    /// The `OpenAPI` document.
    document: Bytes,
}

impl Api {
    fn new(proxies: Arc<ProxySet>, registry: Registry, authority: Folder, access: Access) -> Arc<Self> {
        let document = openapi::document(&routes::all(), &registry, access.needs_token());
        let document = Bytes::from(format!("{document:#}\n"));
        let readers = Arc::new(Semaphore::new(READERS));
        Arc::new(Self { proxies, registry, authority, access, readers, document })
    }

    /// The change of a proxy that `patch` asks for.
    fn edit(&self, patch: Map<String, Value>) -> Edit {
        spec::edit(patch, &self.registry, &self.authority)
    }
}

/// The connections that read events.
#[derive(Debug, Clone)]
pub(crate) struct Readers(Arc<Semaphore>);

impl Readers {
    /// Whether somebody reads events, as a browser does that shows the page.
    pub(crate) fn exist(&self) -> bool {
        self.0.available_permits() < READERS
    }
}

/// The API, while it runs.
#[derive(Debug)]
pub(crate) struct Running {
    addresses: Vec<SocketAddr>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops it. Requests that have begun are answered.
    pub(crate) fn stop(self) {
        drop(self.stop);
        // A thread that failed has logged why.
        let _ = self.thread.join();
    }
}

/// Listens, and answers requests on a thread of its own. `authority` is where that of `tls.auto` is kept.
pub(crate) async fn start(
    http: &Http,
    proxies: Arc<ProxySet>,
    registry: Registry,
    authority: Folder,
) -> anyhow::Result<(Running, Readers)> {
    let at = HostPort::new(&http.host, http.port);
    let access = Access::new(&http.host, &http.allow_hosts, http.token.as_ref().map(Token::secret));
    let api = Api::new(proxies, registry, authority, access);
    let readers = Readers(api.readers.clone());
    let router = routes::router(api);
    let running =
        run("http-api", &at, router).await.with_context(|| format!("cannot listen on {at} for the HTTP API"))?;
    if http.token.is_none() && running.addresses.iter().any(|address| !address.ip().is_loopback()) {
        warn!(
            "everybody who can reach {} can change the proxies: require a token, `--http-token-file FILE`",
            HostPort::new(&http.host, running.addresses[0].port())
        );
    }
    Ok((running, readers))
}

/// Listens, and answers the requests of `router` on a thread of this name.
pub(crate) async fn run(thread: &str, at: &HostPort, router: Router) -> io::Result<Running> {
    let addresses = to_listen_on(at).await?;
    let (stop, stopped) = oneshot::channel::<()>();
    let (sender, addresses_of_listeners) = oneshot::channel();
    let stopped = async {
        let _ = stopped.await;
    };
    let run = move || {
        // A runtime must not be dropped within another: it is created and dropped on this thread.
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(sender.send(Err(error))),
        };
        runtime.block_on(async {
            let listeners = listen(&addresses);
            match listeners.and_then(|listeners| listeners.into_iter().map(TcpListener::from_std).collect()) {
                Ok::<Vec<_>, _>(listeners) => {
                    let _ = sender.send(listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>());
                    serve(listeners, router, CONNECTIONS, stopped).await;
                }
                Err(error) => drop(sender.send(Err(error))),
            }
        });
        // Looking up a name cannot be cancelled: do not wait for it.
        runtime.shutdown_background();
    };
    let thread = thread::Builder::new().name(thread.to_owned()).spawn(run)?;
    let addresses = addresses_of_listeners.await.map_err(io::Error::other)??;
    Ok(Running { addresses, stop, thread })
}

/// Answers requests on at most `connections` connections, until `stop` resolves.
async fn serve(listeners: Vec<TcpListener>, router: Router, connections: usize, stop: impl Future<Output = ()>) {
    let (connections, graceful) = (Connections::new(connections), GracefulShutdown::new());
    let accepting =
        listeners.into_iter().map(|listener| accept(listener, router.clone(), connections.clone(), &graceful));
    tokio::select! {
        _ = join_all(accepting) => {}
        () = stop => {}
    }
    // Event streams do not end by themselves.
    let _ = timeout(GRACE, graceful.shutdown()).await;
}

async fn accept(mut listener: TcpListener, router: Router, connections: Arc<Connections>, stop: &GracefulShutdown) {
    loop {
        // `axum`'s accept retries after a pause when there are no descriptors.
        let (client, _) = Listener::accept(&mut listener).await;
        let place = connections.enter().await;
        tokio::spawn(answer(client, router.clone(), place, stop.watcher()));
    }
}

/// Answers the requests of one client.
async fn answer(client: TcpStream, router: Router, place: Admitted, stop: Watcher) {
    let Ok(local) = client.local_addr() else { return };
    let router = TowerToHyperService::new(router);
    let connection = &place.connection;
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let router = &router;
        async move {
            let (mut head, body) = request.into_parts();
            let (body, unread) = ahead::read(&head.headers, body).await;
            if !unread.is_any() {
                connection.works();
            }
            head.extensions.insert(Local(local));
            head.extensions.insert(connection.clone());
            let mut answer = router.call(hyper::Request::from_parts(head, body)).await;
            if unread.is_any()
                && let Ok(answer) = &mut answer
            {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            connection.waits();
            answer
        }
    });
    let mut client = TimeoutStream::new(client);
    client.set_write_timeout(Some(WRITE_TIMEOUT));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(Box::pin(client)), service);
    tokio::select! {
        served = stop.watch(served) => if let Err(error) = served {
            debug!("connection to the API ended: {error}");
        },
        () = connection.evicted() => debug!("connection to the API ended: it made room for another"),
    }
}
