//! TLS towards clients.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::SingleCertAndKey;

use super::authority::Authority;
use super::fault::{self, TlsFault, Wrong};
use super::hello::Hello;
use super::identity::Identity;
use super::stream::TlsStream;
use super::{Alpn, HAS_VERSIONS, PROVIDER, VERSIONS};

/// What clients without SNI are shown: who connects to an address asks for no name (RFC 6066, section 3).
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How connections of clients are encrypted.
#[derive(Clone)]
pub struct ClientTls {
    shown: Shown,
    /// Without a certificate.
    template: Arc<ServerConfig>,
}

/// What clients are shown.
#[derive(Debug, Clone, PartialEq)]
enum Shown {
    Identity(Identity),
    Signed(Authority),
}

impl ClientTls {
    /// Shows all clients this certificate.
    #[must_use]
    pub fn with_identity(identity: Identity) -> Self {
        Self::new(Shown::Identity(identity))
    }

    /// Shows each client a certificate for the name that it asks for, and one for `localhost`, `127.0.0.1`, `::1` and the address
    /// that it has connected to if it asks for none. `authority` signs them.
    #[must_use]
    pub fn with_authority(authority: Authority) -> Self {
        Self::new(Shown::Signed(authority))
    }

    fn new(shown: Shown) -> Self {
        let builder = ServerConfig::builder_with_provider(PROVIDER.clone())
            .with_protocol_versions(&VERSIONS)
            .expect(HAS_VERSIONS);
        let template = builder.with_no_client_auth().with_cert_resolver(Arc::new(Nothing));
        Self { shown, template: Arc::new(template) }
    }

    /// The authority that signs what clients are shown.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        match &self.shown {
            Shown::Signed(authority) => Some(authority),
            Shown::Identity(_) => None,
        }
    }

    /// Answers a client that has said `hello`. It learns that `alpn` is spoken, if that is not none.
    ///
    /// # Errors
    ///
    /// The client has left, or does not accept the answer.
    pub(crate) async fn answer(&self, client: &TlsStream, hello: Hello, alpn: Option<Alpn>) -> io::Result<()> {
        let identity = match &self.shown {
            Shown::Identity(identity) => identity.clone(),
            Shown::Signed(authority) => authority.sign(names(client, hello)),
        };
        client.answer(self.config(&identity, alpn, true)).await
    }

    /// Answers a client in a way that it should not accept.
    ///
    /// # Errors
    ///
    /// The client has left, or does not accept the answer, as is to be expected.
    pub(crate) async fn answer_wrongly(
        &self,
        client: &TlsStream,
        hello: Hello,
        alpn: Option<Alpn>,
        fault: TlsFault,
    ) -> io::Result<()> {
        let Some(wrong) = fault.of_certificate() else { return client.answer_with(&fault::OLD_VERSION).await };
        let names = names(client, hello);
        let own = self.authority().unwrap_or(&fault::UNKNOWN);
        let signer = if wrong == Wrong::Authority { &fault::UNKNOWN } else { own };
        let identity = signer.sign_anew(&names, Some(wrong));
        // A client that resumes a session looks at no certificate.
        client.answer(self.config(&identity, alpn, false)).await
    }

    fn config(&self, identity: &Identity, alpn: Option<Alpn>, resumes: bool) -> Arc<ServerConfig> {
        let mut config = (*self.template).clone();
        config.cert_resolver = Arc::new(SingleCertAndKey::from(identity.certified()));
        config.alpn_protocols = alpn.into_iter().collect();
        if !resumes {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Arc::new(config)
    }
}

/// The names that the certificate for a client has.
fn names(client: &TlsStream, hello: Hello) -> Vec<String> {
    if let Some(name) = hello.server_name {
        return vec![name];
    }
    let own = client.socket().own_address().map(|address| address.ip().to_canonical().to_string());
    let own = own.filter(|own| !LOCAL.contains(&own.as_str()));
    LOCAL.iter().map(|name| (*name).to_owned()).chain(own).collect()
}

/// What is replaced for each client.
#[derive(Debug)]
struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientTls").field(&self.shown).finish()
    }
}
