//! Toxiproxy's HTTP API, as its clients use it, on a listener of its own.
//!
//! A request passes the [`guard`] and reaches what [`routes`] finds for its path: the same proxies as those of our own API. Bodies
//! are read and written as `toxiproxy_json` has them.

mod answer; // answers and errors
pub(crate) mod cli; // `toxiproxy-cli`
mod flags; // flags as Go's programs take them
mod guard; // refuses pages in browsers
mod lists; // populate and reset
mod metrics; // Toxiproxy's own
mod proxies; // one proxy
mod read; // the body of a request
mod routes; // paths and methods
pub(crate) mod server; // `toxiproxy-server`
mod shown; // proxies as answers have them
mod toxics; // one toxic

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;

use crate::handler::Registry;
use crate::net::host_port::HostPort;
use crate::program::api::{self, Running};
use crate::program::config::Toxiproxy;
use crate::proxy::set::ProxySet;
use guard::Access;
use shown::Spellings;

/// A program of Toxiproxy's, by whose name ours is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    Server,
    Cli,
}

impl Called {
    /// Under the names that Toxiproxy's programs have in their packages and in their image.
    pub(crate) fn by(program: &OsStr) -> Option<Self> {
        let name = Path::new(program).file_name()?.to_str()?;
        match name {
            "toxiproxy" => Some(Self::Server),
            _ if name.starts_with("toxiproxy-server") => Some(Self::Server),
            _ if name.starts_with("toxiproxy-cli") => Some(Self::Cli),
            _ => None,
        }
    }
}

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
    let HostPort { host, .. } = &config.listen;
    let access = Access::new(host);
    let spellings = Spellings::default();
    let server = Server { proxies, registry, access, spellings, config: config.clone() };
    let router = Router::new().fallback(routes::answer).with_state(Arc::new(server));
    api::run("toxiproxy", &config.listen, router).await
}
