//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446): towards clients with a certificate, towards backends with their names.

mod authority; // an authority that signs certificates for names
mod client; // TLS towards a backend
mod failure; // what failed, for a person
mod fault; // handshakes that go wrong on purpose
mod hello; // what a client asks for, before it is answered
mod identity; // a certificate and its key
mod server; // TLS towards clients
mod stream; // bytes within TLS
#[cfg(test)]
pub(crate) mod tests;
mod verify; // whether a backend is who it should be

use std::io;
use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::{Error, SupportedProtocolVersion};

pub use authority::Authority;
pub use client::{BackendTls, BadTrust, Trust};
pub use fault::TlsFault;
pub use identity::{BadIdentity, Identity};
pub use server::ClientTls;

pub(crate) use failure::{is_distrust, of_backend_session};
pub(crate) use hello::Hello;
pub(crate) use stream::TlsStream;

/// The longest record of TLS, in bytes (RFC 5246, section 6.2.3).
const MAX_RECORD: usize = 16 * 1024 + 2048 + 5;

/// Both versions, the one to prefer first.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// One provider of cryptography, of those that build static.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// A protocol of ALPN (RFC 7301): `http/1.1`.
pub(crate) type Alpn = Vec<u8>;

/// The provider has cipher suites for both versions.
const HAS_VERSIONS: &str = "the provider has both versions";

fn io_error(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
