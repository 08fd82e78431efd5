//! The loop that lets a proxy's clients in, each into a task of its own.

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
use crate::proxy::Proxy;

/// The pause after a failed accept, such as one without a free descriptor.
const BACK_OFF: Duration = Duration::from_millis(50);

impl Proxy {
    /// Accepts clients until the proxy stops. It waits for nothing else but room for them.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) {
        tokio::select! {
            () = self.clone().let_in(&listener) => {}
            () = self.stop.stopped() => {}
        }
    }

    async fn let_in(self: Arc<Self>, listener: &TcpListener) {
        let limit = &self.shared.connection_limit;
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
            let (client, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_the_clients(&error) => continue,
                Err(error) => {
                    self.refuse(&mut refused, error);
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
            };
            let place = if let Some(place) = limit.take() {
                place
            } else {
                let connections = limit.connections();
                self.refuse(
                    &mut refused,
                    format_args!("there are descriptors for {connections} connections and no more"),
                );
                limit.wait().await
            };
            self.clone().begin(client, peer, place);
        }
    }

    fn begin(self: Arc<Self>, mut client: TcpStream, peer: SocketAddr, place: Permit) {
        // All that the task carries from its beginning to its end counts for each connection.
        let live = Arc::new(ConnectionHandle::new(self.next_number(), peer));
        let tasks = self.shared.tasks.clone();
        tasks.spawn(async move {
            let entered = self.connections.enter(live).await;
            if !self.is_open() {
                // It was disabled since the client was accepted.
                entered.live.cut(false);
            }
            serve(&mut client, &entered.live, &self).await;
            drop((client, place));
        });
    }

    /// Says why clients have to wait, unless it has been said.
    fn refuse(&self, said: &mut bool, why: impl fmt::Display) {
        self.counters.refused.add(1);
        if !std::mem::replace(said, true) {
            warn!("cannot accept, trying again until it works: {why}");
        }
    }
}

/// Whether an accept failed because of one client alone, that was gone before it was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
