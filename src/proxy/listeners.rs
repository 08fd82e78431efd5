//! A proxy's listeners: opened, closed, and opened again on the same port.

use std::io;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::Proxy;
use super::config::ProxyConfig;
use super::shared::Shared;
use crate::net::address::Address;
use crate::net::bound::{self, Bound, BoundAddress, Listener, collide, to_listen_on};
use crate::net::connection_limit::Permit;
use crate::net::listener::{leads_to, resolve};
use crate::net::unix_socket::SocketFile;

/// A proxy's listeners, or where they were while there are none.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// The configured address and what it resolved to. Kept while the proxy does not listen, so that it gets the same port again.
    configured: Option<Address>,
    addresses: Vec<BoundAddress>,
    /// The same for the address before, in case the proxy returns to it.
    before: Option<(Address, Vec<BoundAddress>)>,
    /// Port 0 is to be another port than it was.
    moves: bool,
    tasks: Vec<JoinHandle<()>>,
    /// The file of a Unix socket, while there is one.
    file: Option<SocketFile>,
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
        let key = config.words().0;
        let why = match (error.kind(), address) {
            (io::ErrorKind::AddrInUse, Address::Tcp(_)) => {
                format!("the port is in use: give another `{key}`, or port 0 for a free one")
            }
            (io::ErrorKind::AddrInUse, Address::Unix(_)) => {
                format!("somebody listens there already: give another `{key}`")
            }
            (io::ErrorKind::AlreadyExists, _) => format!("{error}: remove it, or give another `{key}`"),
            _ => error.to_string(),
        };
        Self { address: address.clone(), why, kind: error.kind() }
    }
}

impl Listening {
    /// Where it listens; nowhere while it does not.
    pub(crate) fn addresses(&self) -> &[BoundAddress] {
        if self.tasks.is_empty() { &[] } else { &self.addresses }
    }

    /// Where it listens, or did before it was closed; with the address that it was configured with.
    pub(crate) fn last(&self) -> (Option<Address>, Vec<BoundAddress>) {
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
        let shown = shown.map_or_else(|| address.clone(), Address::from);
        let failed = |error| CannotListen::new(config, &shown, &error);
        let addresses = match known {
            Some(known) => known.clone(),
            None => to_listen_on(address).await.map_err(failed)?,
        };
        refuse_loop(config, &addresses).await.map_err(failed)?;
        let is_own = collide(self.addresses(), &addresses);
        // To ask whether somebody listens on a Unix socket takes a connection, which none of its own is to be.
        let is_own_file = is_own && matches!(address, Address::Unix(_));
        let bound = if is_own_file { Err(io::ErrorKind::AddrInUse.into()) } else { bind(proxy, &addresses) };
        let opened = match bound {
            // The port may be in use by this proxy itself: it listens on `localhost` and is to listen on 127.0.0.1.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_own => {
                self.close().await;
                match bind(proxy, &addresses) {
                    Err(error) => {
                        // It listens nowhere if another program took these addresses meanwhile.
                        if let Ok(reopened) = bind(proxy, &self.addresses) {
                            self.accept(proxy, reopened);
                        }
                        return Err(failed(error));
                    }
                    opened => opened.map_err(failed)?,
                }
            }
            opened => opened.map_err(failed)?,
        };
        // Port 0 may have become the backend's.
        refuse_loop(config, &opened.addresses).await.map_err(failed)?;
        ready();
        self.close().await;
        let left = std::mem::replace(&mut self.addresses, opened.addresses.clone());
        if let Some(before) = self.configured.replace(address.clone()).filter(|before| before != address) {
            self.before = Some((before, left));
        }
        self.accept(proxy, opened);
        Ok(())
    }

    /// Removes the file of its Unix socket, if it has one: nobody finds it any more.
    pub(super) fn remove_file(&mut self) {
        self.file = None;
    }

    /// Stops listening: clients are refused from now on.
    pub(crate) async fn close(&mut self) {
        // While it listens nobody puts another socket in its place.
        self.remove_file();
        for task in self.tasks.drain(..) {
            task.abort();
            // Aborted, which is no error.
            let _ = task.await;
        }
        self.permits.clear();
    }

    /// Each worker accepts from its shares.
    fn accept(&mut self, proxy: &Arc<Proxy>, opened: Opened) {
        let Opened { shares, file, .. } = opened;
        self.file = file;
        let Shared { workers, connection_limit: limit, .. } = &*proxy.shared;
        self.permits = shares.iter().filter_map(|_| limit.take_spare()).collect();
        let accept =
            |(place, share): (usize, _)| workers.all()[place].runtime.spawn(proxy.clone().accept(share, place));
        self.tasks = shares.into_iter().map(accept).collect();
    }
}

/// Fails if all that the backend stands for are listeners on `own`.
async fn refuse_loop(config: &ProxyConfig, own: &[BoundAddress]) -> io::Result<()> {
    let backend = &config.backend;
    let leads_back = match backend {
        Address::Tcp(backend) if own.iter().filter_map(BoundAddress::ip).any(|own| own.port() == backend.port) => {
            // A name that cannot be resolved now may be resolved later, and each dial looks again.
            let resolved = resolve(backend).await.unwrap_or_default();
            !resolved.is_empty() && resolved.iter().all(|address| leads_to(*address, own))
        }
        Address::Tcp(_) => false,
        Address::Unix(path) => bound::leads_to(path, own),
    };
    if !leads_back {
        return Ok(());
    }
    let what = format!("its {} `{backend}` {ITSELF}", config.words().1);
    Err(io::Error::other(what))
}

/// Sockets that listen.
struct Opened {
    addresses: Vec<BoundAddress>,
    /// What each worker has of them, with its place.
    shares: Vec<(usize, Listener)>,
    file: Option<SocketFile>,
}

fn bind(proxy: &Proxy, addresses: &[BoundAddress]) -> io::Result<Opened> {
    let bound = Bound::on(addresses)?;
    let mut shares = Vec::new();
    for (place, worker) in proxy.shared.workers.all().iter().enumerate() {
        let _within = worker.runtime.enter();
        shares.extend(bound.share()?.into_iter().map(|listener| (place, listener)));
    }
    Ok(Opened { addresses: bound.addresses()?, shares, file: bound.into_file() })
}
