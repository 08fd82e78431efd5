//! A certificate and its private key.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::PROVIDER;

/// A certificate, the chain up to its authority, and its private key.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

/// A certificate or a key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentity {
    /// There is no certificate.
    #[error("no certificate in it: it has to be PEM, `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// The certificate is none of version 3.
    #[error(
        "a certificate that cannot be used: it has to be X.509 of version 3, which has extensions such as the names that it is for"
    )]
    BadCertificate,
    /// There is no private key.
    #[error("no private key in it: it has to be PEM without a password, `-----BEGIN PRIVATE KEY-----`")]
    NoKey,
    /// The key is of a kind that is not supported.
    #[error(
        "a private key of a kind that is not supported: use RSA of 2048 to 8192 bits, ECDSA P-256 or P-384, or Ed25519"
    )]
    BadKey,
    /// The key is another certificate's.
    #[error("the private key is not that of the certificate")]
    OtherKey,
    /// The certificate is not one that vaurien has made for its authority.
    #[error("it is no authority of this vaurien")]
    OtherAuthority,
}

impl Identity {
    /// Reads `certificate`, which is followed by those of the authorities between it and a trusted one, and its `key`. Both are
    /// PEM.
    ///
    /// # Errors
    ///
    /// One of them is not there, or they do not belong together.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, BadIdentity> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| BadIdentity::NoCertificate)?;
        if chain.is_empty() {
            return Err(BadIdentity::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| BadIdentity::NoKey)?;
        Self::new(chain, key)
    }

    pub(super) fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, BadIdentity> {
        let key = PROVIDER.key_provider.load_private_key(key).map_err(|_| BadIdentity::BadKey)?;
        let identity = CertifiedKey::new(chain, key);
        match identity.keys_match() {
            // A key of which no public part is known may be the right one.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Self(Arc::new(identity)))
            }
            Err(rustls::Error::InconsistentKeys(_)) => Err(BadIdentity::OtherKey),
            Err(_) => Err(BadIdentity::BadCertificate),
        }
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        self.0.clone()
    }
}

impl PartialEq for Identity {
    /// Whether the certificates are the same, and so the keys.
    fn eq(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.0.cert.len()).finish_non_exhaustive()
    }
}
