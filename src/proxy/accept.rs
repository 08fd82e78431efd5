//! The accept loop: each client gets a task of its own.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tracing::{info, warn};

use crate::connection::serve;
use crate::connection::table::ConnectionHandle;
use crate::net::connection_limit::Permit;
use crate::net::stream::Stream;
use crate::proxy::Proxy;

/// The pause after a failed accept, such as one without a free descriptor.
const BACK_OFF: Duration = Duration::from_millis(50);

impl Proxy {
    /// Accepts clients until the proxy stops. It waits for nothing but a free descriptor.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) {
        tokio::select! {
            () = self.clone().accept_all(&listener) => {}
            () = self.context.shutdown.begun() => {}
        }
    }

    async fn accept_all(self: Arc<Self>, listener: &TcpListener) {
        let limit = &self.shared.connection_limit;
        let mut waiting = false;
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                () = std::future::ready(()), if waiting => {
                    info!("accepting again: no client waits");
                    waiting = false;
                    continue;
                }
            };
            let (client, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if client_has_left(&error) => continue,
                Err(error) => {
                    self.client_waits(&mut waiting, error);
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
            };
            let permit = if let Some(permit) = limit.take() {
                permit
            } else {
                let connections = limit.connections();
                self.client_waits(
                    &mut waiting,
                    format_args!("all descriptors are in use, by {connections} connections"),
                );
                limit.wait().await
            };
            self.clone().spawn(client, peer, permit);
        }
    }

    fn spawn(self: Arc<Self>, client: TcpStream, peer: SocketAddr, permit: Permit) {
        // The task holds these until its end, so each byte counts for every connection.
        let mut client = Stream::from(client);
        let handle = Arc::new(ConnectionHandle::new(self.next_number(), peer));
        let tasks = self.shared.tasks.clone();
        tasks.spawn(async move {
            let entered = self.connections.enter(handle).await;
            if !self.is_open() {
                // It was disabled since the client was accepted.
                entered.handle.cut(false);
            }
            serve(&mut client, &entered.handle, &self.context, &self.settings()).await;
            drop((client, permit));
        });
    }

    /// Counts a client that has to wait, and logs the first of them with the reason.
    fn client_waits(&self, logged: &mut bool, why: impl fmt::Display) {
        self.context.counters.refused.add(1);
        if !std::mem::replace(logged, true) {
            warn!("cannot accept clients, retrying until it works: {why}");
        }
    }
}

/// Whether accepting failed because the client had left by then.
fn client_has_left(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
