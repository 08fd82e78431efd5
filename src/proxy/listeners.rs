//! A proxy's listeners: opened, closed, and opened again on the same port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Proxy;
use super::config::ProxyConfig;
use super::shared::Shared;
use crate::net::address::Address;
use crate::net::connection_limit::Permit;
use crate::net::listener::{leads_to, listen, resolve, to_listen_on};

/// A proxy's listeners, or where they were while there are none.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// The configured address and what it resolved to. Kept while the proxy does not listen, so that it gets the same port again.
    configured: Option<Address>,
    addresses: Vec<SocketAddr>,
    /// The same for the address before, in case the proxy returns to it.
    before: Option<(Address, Vec<SocketAddr>)>,
    /// Port 0 is to be another port than it was.
    moves: bool,
    tasks: Vec<JoinHandle<()>>,
    /// The descriptors that the shares take from connections: one each, and one for a client that waits for its permit.
    permits: Vec<Permit>,
}

/// A proxy cannot listen on its address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {why}")]
pub struct CannotListen {
    address: Address,
    why: String,
    kind: io::ErrorKind,
}

/// What is wrong with a backend that leads back.
const ITSELF: &str = "is this proxy itself";

impl CannotListen {
    /// The kind of error, such as [`io::ErrorKind::AddrInUse`].
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.kind
    }

    /// The address, with the port that it had before if it was port 0.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether its host is a name that means nothing.
    pub(crate) fn is_of_a_name(&self) -> bool {
        self.why.contains("lookup address")
    }

    /// Whether the backend is the proxy.
    pub(crate) fn is_of_a_loop(&self) -> bool {
        self.why.contains(ITSELF)
    }

    /// `address` is that of `config`, or where the proxy listened before.
    pub(crate) fn new(config: &ProxyConfig, address: &Address, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => {
                let key = config.words().0;
                format!("the port is in use: give another `{key}`, or port 0 for a free one")
            }
            _ => error.to_string(),
        };
        Self { address: address.clone(), why, kind: error.kind() }
    }
}

impl Listening {
    /// Where it listens; nowhere while it does not.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        if self.tasks.is_empty() { &[] } else { &self.addresses }
    }

    /// Where it listens, or did before it was closed; with the address that it was configured with.
    pub(crate) fn last(&self) -> (Option<Address>, Vec<SocketAddr>) {
        (self.configured.clone().filter(|_| !self.moves), self.addresses.clone())
    }

    /// Takes another port for port 0 when it listens again, or is to go on listening.
    pub(crate) fn move_on(&mut self) {
        self.moves = true;
    }

    /// Listens where `config` says and nowhere else, and lets `proxy` accept after `ready` has run. If that fails, nothing has
    /// changed.
    pub(crate) async fn open(
        &mut self,
        proxy: &Arc<Proxy>,
        config: &ProxyConfig,
        ready: impl FnOnce(),
    ) -> Result<(), CannotListen> {
        let address = &config.listen;
        let moves = std::mem::take(&mut self.moves);
        let is_same = self.configured.as_ref() == Some(address) && !moves;
        if is_same && !self.tasks.is_empty() {
            refuse_loop(config, &self.addresses).await.map_err(|error| CannotListen::new(config, address, &error))?;
            ready();
            return Ok(());
        }
        if proxy.context.shutdown.has_begun() {
            return Err(CannotListen::new(config, address, &io::Error::other("the proxy has stopped")));
        }
        let before =
            self.before.as_ref().filter(|(before, _)| before == address && !moves).map(|(_, addresses)| addresses);
        let known = if is_same { Some(&self.addresses) } else { before };
        // An error names the port that the proxy had before, not port 0.
        let shown = known.and_then(|known| known.first());
        let shown = shown.map_or_else(|| address.clone(), |known| Address::new(known.ip().to_string(), known.port()));
        let failed = |error| CannotListen::new(config, &shown, &error);
        let addresses = match known {
            Some(known) => known.clone(),
            None => to_listen_on(address).await.map_err(failed)?,
        };
        refuse_loop(config, &addresses).await.map_err(failed)?;
        let Bound { addresses, shares } = match bind(proxy, &addresses) {
            // The port may be in use by this proxy itself: it listens on `localhost` and is to listen on 127.0.0.1.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && self.has_port_of(&addresses) => {
                self.close().await;
                match bind(proxy, &addresses) {
                    Err(error) => {
                        // It listens nowhere if another program took these addresses meanwhile.
                        if let Ok(reopened) = bind(proxy, &self.addresses) {
                            self.accept(proxy, reopened.shares);
                        }
                        return Err(failed(error));
                    }
                    bound => bound.map_err(failed)?,
                }
            }
            bound => bound.map_err(failed)?,
        };
        // Port 0 may have become the backend's.
        refuse_loop(config, &addresses).await.map_err(failed)?;
        ready();
        self.close().await;
        let left = std::mem::replace(&mut self.addresses, addresses);
        if let Some(before) = self.configured.replace(address.clone()).filter(|before| before != address) {
            self.before = Some((before, left));
        }
        self.accept(proxy, shares);
        Ok(())
    }

    /// Whether it listens on the port of one of `addresses`.
    fn has_port_of(&self, addresses: &[SocketAddr]) -> bool {
        self.addresses().iter().any(|own| addresses.iter().any(|other| other.port() == own.port()))
    }

    /// Stops listening: clients are refused from now on.
    pub(crate) async fn close(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            // Aborted, which is no error.
            let _ = task.await;
        }
        self.permits.clear();
    }

    /// Each worker accepts from its shares.
    fn accept(&mut self, proxy: &Arc<Proxy>, shares: Vec<(usize, TcpListener)>) {
        let Shared { workers, connection_limit: limit, .. } = &*proxy.shared;
        self.permits = shares.iter().filter_map(|_| limit.take_spare()).collect();
        let accept =
            |(place, share): (usize, _)| workers.all()[place].runtime.spawn(proxy.clone().accept(share, place));
        self.tasks = shares.into_iter().map(accept).collect();
    }
}

/// Fails if all that the backend stands for are listeners on `own`.
async fn refuse_loop(config: &ProxyConfig, own: &[SocketAddr]) -> io::Result<()> {
    let backend = &config.backend;
    if own.iter().all(|own| own.port() != backend.port) {
        return Ok(());
    }
    // A name that cannot be resolved now may be resolved later, and each dial looks again.
    let resolved = resolve(backend).await.unwrap_or_default();
    if resolved.is_empty() || !resolved.iter().all(|address| leads_to(*address, own)) {
        return Ok(());
    }
    let what = format!("its {} `{backend}` {ITSELF}", config.words().1);
    Err(io::Error::other(what))
}

/// Sockets that listen.
struct Bound {
    addresses: Vec<SocketAddr>,
    /// What each worker has of them, with its place.
    shares: Vec<(usize, TcpListener)>,
}

fn bind(proxy: &Proxy, addresses: &[SocketAddr]) -> io::Result<Bound> {
    let listeners = listen(addresses)?;
    let mut shares = Vec::new();
    for (place, worker) in proxy.shared.workers.all().iter().enumerate() {
        let _within = worker.runtime.enter();
        for listener in &listeners {
            shares.push((place, TcpListener::from_std(listener.try_clone()?)?));
        }
    }
    Ok(Bound { addresses: listeners.iter().map(std::net::TcpListener::local_addr).collect::<io::Result<_>>()?, shares })
}
