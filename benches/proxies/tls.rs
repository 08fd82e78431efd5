//! TLS between clients and proxies: the same certificate, version and cipher whichever proxy it is.

use std::io::{self, Write};
use std::sync::Arc;

use rcgen::CertifiedKey;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::NamedTempFile;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The cipher suite, as HAProxy calls it. Clients offer no other.
pub(crate) const CIPHER: &str = "TLS_AES_128_GCM_SHA256";

/// The name in the certificate, which clients ask for.
const NAME: &str = "localhost";

/// A certificate (ECDSA P-256) with its key, and clients that trust no other.
pub(crate) struct Tls {
    /// The key and the certificate.
    pem: String,
    connector: TlsConnector,
}

impl Tls {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let mut trusted = RootCertStore::empty();
        trusted.add(cert.der().clone())?;
        let provider = CryptoProvider {
            cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![ring::kx_group::X25519],
            ..ring::default_provider()
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?;
        let mut config = builder.with_root_certificates(trusted).with_no_client_auth();
        // Each handshake is a full one.
        config.resumption = Resumption::disabled();
        Ok(Self { pem: signing_key.serialize_pem() + &cert.pem(), connector: Arc::new(config).into() })
    }

    /// Key and certificate in one file, as HAProxy reads them.
    pub(crate) fn file(&self) -> io::Result<NamedTempFile> {
        let mut file = NamedTempFile::new()?;
        file.write_all(self.pem.as_bytes())?;
        Ok(file)
    }

    /// The client's side of a handshake.
    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        self.connector.connect(name, stream).await
    }
}
