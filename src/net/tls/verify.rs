//! Whether a backend is who it should be.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::PROVIDER;

#[derive(Debug)]
pub(super) struct Verifier {
    /// Without it, any certificate will do.
    trusted: Option<Arc<WebPkiServerVerifier>>,
    /// The certificates that are trusted by name.
    named: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// Trusts these authorities, `named` among them. `None` if there are none.
    pub(super) fn new(roots: RootCertStore, named: Vec<CertificateDer<'static>>) -> Option<Self> {
        let trusted = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), PROVIDER.clone()).build().ok()?;
        Some(Self { trusted: Some(trusted), named })
    }

    /// Accepts every certificate, but only from who has its key, where that can be read.
    pub(super) fn of_anybody() -> Self {
        Self { trusted: None, named: Vec::new() }
    }

    /// What `verified` says, but where any certificate will do, also one that cannot be read, as of version 1.
    fn unless_unreadable(
        &self,
        verified: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match verified {
            Err(Error::InvalidCertificate(CertificateError::BadEncoding | CertificateError::Other(_)))
                if self.trusted.is_none() =>
            {
                Ok(HandshakeSignatureValid::assertion())
            }
            verified => verified,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        match trusted.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // `openssl req -x509` makes certificates that are for a server and an authority at once. That it is one is looked at
            // behind the times between which it is valid.
            Err(Error::InvalidCertificate(CertificateError::Other(why)))
                if is_of_an_authority(&why) && self.named.iter().any(|named| named == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified =
            verify_tls12_signature(message, certificate, signed, &PROVIDER.signature_verification_algorithms);
        self.unless_unreadable(verified)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified =
            verify_tls13_signature(message, certificate, signed, &PROVIDER.signature_verification_algorithms);
        self.unless_unreadable(verified)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate was refused because it is of another version of X.509 than 3.
pub(super) fn is_of_an_old_version(why: &OtherError) -> bool {
    matches!(why.0.downcast_ref(), Some(webpki::Error::UnsupportedCertVersion))
}

/// Whether a certificate was refused because an authority's is not to be shown by a server.
pub(super) fn is_of_an_authority(why: &OtherError) -> bool {
    matches!(why.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}
