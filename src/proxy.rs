//! One listener: it accepts clients and hands each to a task of its own.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::backend::Backend;
use crate::config::ProxyConfig;
use crate::connection::serve;
use crate::counts::{Counts, Summary};
use crate::handler::Scope;
use crate::plan::Plan;
use crate::protocol::Protocol;
use crate::room::{Place, Room};
use crate::stop::Stop;

/// The pause after a failed accept, such as one without a free descriptor.
const BACK_OFF: Duration = Duration::from_millis(50);

/// What the connections of one proxy share.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) protocol: Protocol,
    pub(crate) plan: Plan,
    pub(crate) buffer: Option<usize>,
    pub(crate) keep_alive: bool,
    pub(crate) reuse_socket: bool,
    pub(crate) backend: Backend,
    pub(crate) counts: Counts,
    pub(crate) stop: Stop,
    room: Room,
    accepted: AtomicU64,
}

impl Proxy {
    pub(crate) fn new(config: &ProxyConfig, seed: u64, stop: Stop) -> Self {
        let backend =
            Backend::new(config.backend.clone(), config.connect_timeout, config.pool_size, config.pool_timeout);
        Self {
            name: config.name.clone(),
            seed,
            protocol: config.protocol,
            plan: Plan::new(&config.mix),
            buffer: config.buffer,
            keep_alive: config.keep_alive,
            reuse_socket: config.reuse_socket,
            backend,
            counts: Counts::default(),
            stop,
            room: Room::left(),
            accepted: AtomicU64::new(0),
        }
    }

    /// Whether bytes need only be copied: no handler wants to see calls, and nothing else depends on where they end.
    pub(crate) fn copies(&self) -> bool {
        self.protocol == Protocol::Tcp && self.plan.scope() == Scope::Nothing && !self.keep_alive && !self.reuse_socket
    }

    /// What it has done so far.
    pub(crate) fn summary(&self) -> Summary {
        let Counts { connections, to_backend, to_client, opaque, backend_failures } = &self.counts;
        Summary {
            calls: self.plan.handlers().map(|drawn| (drawn.name.to_string(), drawn.calls())).collect(),
            connections: connections.get(),
            to_backend: to_backend.get(),
            to_client: to_client.get(),
            opaque: opaque.get(),
            backend_failures: backend_failures.get(),
        }
    }

    /// Accepts clients until the daemon stops. It waits for nothing else but room for them; each connection holds `alive`
    /// while it lasts.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener, alive: mpsc::Sender<()>) {
        tokio::select! {
            () = self.clone().let_in(&listener, &alive) => {}
            () = self.stop.stopped() => {}
        }
    }

    async fn let_in(self: Arc<Self>, listener: &TcpListener, alive: &mpsc::Sender<()>) {
        let mut refused = false;
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                () = std::future::ready(()), if refused => {
                    info!("accepting again: nobody waits");
                    refused = false;
                    continue;
                }
            };
            let client = match accepted {
                Ok((client, _)) => client,
                Err(error) if is_the_clients(&error) => continue,
                Err(error) => {
                    refuse(&mut refused, error);
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
            };
            let place = if let Some(place) = self.room.take() {
                place
            } else {
                let room = self.room.connections();
                refuse(&mut refused, format_args!("there are descriptors for {room} connections and no more"));
                self.room.wait().await
            };
            self.clone().begin(client, place, alive.clone());
        }
    }

    fn begin(self: Arc<Self>, mut client: TcpStream, place: Place, alive: mpsc::Sender<()>) {
        let number = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::spawn(async move {
            serve(&mut client, number, &self).await;
            drop((client, place, alive));
        });
    }
}

/// Says why clients have to wait, unless it has been said.
fn refuse(said: &mut bool, why: impl fmt::Display) {
    if !std::mem::replace(said, true) {
        warn!("cannot accept, trying again until it works: {why}");
    }
}

/// Whether an accept failed because of one client alone, that was gone before it was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
