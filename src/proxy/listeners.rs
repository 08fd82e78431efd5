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

    pub(crate) fn new(address: &Address, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => "the port is in use: give another `proxy`, or port 0 for a free one".to_owned(),
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
        (self.configured.clone(), self.addresses.clone())
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
        let is_same = self.configured.as_ref() == Some(address);
        if is_same && !self.tasks.is_empty() {
            refuse_loop(&config.backend, &self.addresses).await.map_err(|error| CannotListen::new(address, &error))?;
            ready();
            return Ok(());
        }
        if proxy.context.shutdown.has_begun() {
            return Err(CannotListen::new(address, &io::Error::other("the proxy has stopped")));
        }
        let before = self.before.as_ref().filter(|(before, _)| before == address).map(|(_, addresses)| addresses);
        let known = if is_same { Some(&self.addresses) } else { before };
        // An error names the port that the proxy had before, not port 0.
        let shown = known.and_then(|known| known.first());
        let shown = shown.map_or_else(|| address.clone(), |known| Address::new(known.ip().to_string(), known.port()));
        let failed = |error| CannotListen::new(&shown, &error);
        let addresses = match known {
            Some(known) => known.clone(),
            None => to_listen_on(address).await.map_err(failed)?,
        };
        refuse_loop(&config.backend, &addresses).await.map_err(failed)?;
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
        refuse_loop(&config.backend, &addresses).await.map_err(failed)?;
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

/// Fails if all that `backend` stands for are listeners on `own`.
async fn refuse_loop(backend: &Address, own: &[SocketAddr]) -> io::Result<()> {
    if own.iter().all(|own| own.port() != backend.port) {
        return Ok(());
    }
    // A name that cannot be resolved now may be resolved later, and each dial looks again.
    let resolved = resolve(backend).await.unwrap_or_default();
    if resolved.is_empty() || !resolved.iter().all(|address| leads_to(*address, own)) {
        return Ok(());
    }
    Err(io::Error::other(format!("its backend `{backend}` is this proxy itself")))
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
