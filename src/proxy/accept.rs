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
use crate::net::stream::Stream;
use crate::proxy::Proxy;

/// The pause after a failed accept, such as one without a free descriptor.
const BACK_OFF: Duration = Duration::from_millis(50);

impl Proxy {
    /// Accepts clients until the proxy stops. It waits for nothing else but room for them.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) {
        tokio::select! {
            () = self.clone().let_in(&listener) => {}
            () = self.context.shutdown.begun() => {}
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
            let permit = if let Some(permit) = limit.take() {
                permit
            } else {
                let connections = limit.connections();
                self.refuse(
                    &mut refused,
                    format_args!("there are descriptors for {connections} connections and no more"),
                );
                limit.wait().await
            };
            self.clone().begin(client, peer, permit);
        }
    }

    fn begin(self: Arc<Self>, client: TcpStream, peer: SocketAddr, permit: Permit) {
        // Small: all that the task carries from its beginning to its end counts for each connection.
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

    /// Says why clients have to wait, unless it has been said.
    fn refuse(&self, said: &mut bool, why: impl fmt::Display) {
        self.context.counters.refused.add(1);
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
