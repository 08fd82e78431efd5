//! TLS towards a backend.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::super::socket::Socket;
use super::identity::Identity;
use super::stream::{Session, State, TlsStream};
use super::verify::Verifier;
use super::{Alpn, HAS_VERSIONS, PROVIDER, VERSIONS, failure};

/// Whom to trust as a backend, and what to show it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trust {
    /// PEM of the authorities to trust; by default those that the system trusts.
    pub ca: Option<Vec<u8>>,
    /// The name that the backend has to prove, and that it is asked for (SNI); by default the host of its address.
    pub name: Option<String>,
    /// A certificate of our own, for a backend that asks for one.
    pub identity: Option<Identity>,
    /// Whether any certificate will do. Then whoever answers at the address can read and change everything.
    pub insecure: bool,
}

/// A [`Trust`] that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTrust {
    /// There is no certificate of an authority.
    #[error("no certificate in it: it has to be PEM, `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// The system trusts nobody.
    #[error(
        "the system has no certificates of authorities: install `ca-certificates`, or name a file with those to trust"
    )]
    NoRoots,
    /// What is no name.
    #[error("`{0}` is neither a name of a server nor an IP address")]
    BadName(String),
}

/// How connections to a backend are encrypted.
#[derive(Debug, Clone)]
pub struct BackendTls {
    trust: Trust,
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl PartialEq for BackendTls {
    fn eq(&self, other: &Self) -> bool {
        self.trust == other.trust
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, BadTrust> {
    ServerName::try_from(name.to_owned()).map_err(|_| BadTrust::BadName(name.to_owned()))
}

impl BackendTls {
    /// Reads the certificates of the system now, if those are to be trusted.
    ///
    /// # Errors
    ///
    /// There is nobody to trust, or the name is none.
    ///
    /// # Panics
    ///
    /// Never: the provider of cryptography has both versions of TLS.
    pub fn new(trust: Trust) -> Result<Self, BadTrust> {
        let name = trust.name.as_deref().map(server_name).transpose()?;
        let builder = ClientConfig::builder_with_provider(PROVIDER.clone())
            .with_protocol_versions(&VERSIONS)
            .expect(HAS_VERSIONS);
        let verifier = if trust.insecure { Verifier::of_anybody() } else { trusting(&trust)? };
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &trust.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified()))),
            None => builder.with_no_client_auth(),
        };
        Ok(Self { trust, config: Arc::new(config), name })
    }

    /// The name that the backend has to prove, if it is not the host of its address.
    pub(crate) fn name(&self) -> Option<&str> {
        self.trust.name.as_deref()
    }

    /// Whether any certificate will do.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.trust.insecure
    }

    /// Speaks TLS to a backend at `host` that was dialled, and offers it these protocols.
    ///
    /// # Errors
    ///
    /// The backend is not who it should be, or does not speak TLS.
    pub(crate) async fn connect(&self, socket: Socket, host: &str, alpn: &[Alpn]) -> io::Result<TlsStream> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => server_name(host).map_err(|bad| io::Error::new(io::ErrorKind::InvalidInput, bad))?,
        };
        let mut config = self.config.clone();
        if !alpn.is_empty() {
            Arc::make_mut(&mut config).alpn_protocols = alpn.to_vec();
        }
        let failed = |error| failure::of_backend(error, &name.to_str());
        let tls = ClientConnection::new(config, name.clone()).map_err(|error| failed(super::io_error(error)))?;
        let stream = TlsStream::new(socket, State::Open(Box::new(Session::new(tls))));
        poll_fn(|cx| stream.poll_handshake(cx)).await.map_err(failed)?;
        Ok(stream)
    }
}

fn trusting(trust: &Trust) -> Result<Verifier, BadTrust> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = &trust.ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Verifier::new(roots, Vec::new()).ok_or(BadTrust::NoRoots);
    };
    let named: Vec<_> =
        CertificateDer::pem_slice_iter(ca).collect::<Result<_, _>>().map_err(|_| BadTrust::NoCertificate)?;
    for certificate in &named {
        roots.add(certificate.clone()).map_err(|_| BadTrust::NoCertificate)?;
    }
    Verifier::new(roots, named).ok_or(BadTrust::NoCertificate)
}
