//! Toxiproxy's HTTP API, as its clients use it, on a listener of its own.
//!
//! A request passes the [`guard`] and reaches what [`routes`] finds for its path: the same proxies as those of our own API. Bodies
//! are read and written as `toxiproxy_json` has them.

mod answer; // answers and errors
mod guard; // refuses pages in browsers
mod lists; // populate and reset
mod metrics; // Toxiproxy's own
mod proxies; // one proxy
mod read; // the body of a request
mod routes; // paths and methods
mod shown; // proxies as answers have them
mod toxics; // one toxic

use std::io;
use std::sync::Arc;

use axum::Router;

use crate::handler::Registry;
use crate::net::address::Address;
use crate::program::api::{self, Running};
use crate::program::config::Toxiproxy;
use crate::proxy::set::ProxySet;
use guard::Access;
use shown::Spellings;

/// What requests share.
struct Server {
    proxies: Arc<ProxySet>,
    registry: Registry,
    access: Access,
    spellings: Spellings,
    config: Toxiproxy,
}

/// Listens, and answers requests on a thread of its own.
pub(crate) async fn start(config: &Toxiproxy, proxies: Arc<ProxySet>, registry: Registry) -> io::Result<Running> {
    let Address { host, .. } = &config.listen;
    let access = Access::new(host);
    let spellings = Spellings::default();
    let server = Server { proxies, registry, access, spellings, config: config.clone() };
    let router = Router::new().fallback(routes::answer).with_state(Arc::new(server));
    api::run("toxiproxy", &config.listen, router).await
}
