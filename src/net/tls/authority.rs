//! An authority of our own, which signs certificates for the names that clients ask for.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::fault::Wrong;
use super::identity::{BadIdentity, Identity};

/// What authorities are called; behind it is what tells one from another.
const NAME: &str = "vaurien test authority";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the authority is valid.
const AUTHORITY_VALID: Duration = DAY.saturating_mul(3650);

/// How long a certificate is valid; half of that time later it is made anew.
const VALID: Duration = DAY.saturating_mul(180);

/// Clocks may differ by this.
const BEFORE: Duration = DAY;

/// How many certificates are kept. A client that asks for more names makes the others be signed again.
const KEPT: usize = 1000;

/// A certificate authority with its private key.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

struct Inner {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    /// The key of all certificates that it signs.
    key: KeyPair,
    signed: Mutex<HashMap<Vec<String>, (Instant, Identity)>>,
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let now = SystemTime::now();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + VALID).into();
    params
}

/// The authority with this key, as it signs itself and others.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mut params = params();
    params.not_after = (SystemTime::now() + AUTHORITY_VALID).into();
    params.distinguished_name.push(DnType::CommonName, name(key));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

/// The name of the authority with this key.
fn name(key: &KeyPair) -> String {
    // Behind the byte that says how the point is written (SEC 1, section 2.3.3).
    let id = key.public_key_raw().iter().skip(1).take(4).fold(0_u32, |id, byte| id << 8 | u32::from(*byte));
    format!("{NAME} {id:08x}")
}

fn generate() -> KeyPair {
    KeyPair::generate().expect("the system has random bytes")
}

impl Authority {
    /// A new authority, with a key of its own (ECDSA P-256), valid for ten years.
    ///
    /// # Panics
    ///
    /// The system has no random bytes.
    #[must_use]
    pub fn generate() -> Self {
        let key = generate();
        let certificate = authority_params(&key).self_signed(&key).expect("its own parameters are valid").pem();
        Self::new(certificate, key)
    }

    /// One that was made before, from what [`certificate_pem`](Self::certificate_pem) and [`key_pem`](Self::key_pem) gave.
    ///
    /// # Errors
    ///
    /// One of them is not there, or they do not belong together.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, BadIdentity> {
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes())?;
        let key = KeyPair::from_pem(key).map_err(|_| BadIdentity::BadKey)?;
        // What it signs says who has signed it.
        let own = memchr::memmem::find(&identity.certified().cert[0], name(&key).as_bytes());
        if own.is_none() {
            return Err(BadIdentity::OtherAuthority);
        }
        Ok(Self::new(certificate.to_owned(), key))
    }

    fn new(certificate: String, key: KeyPair) -> Self {
        let issuer = Issuer::new(authority_params(&key), key);
        Self(Arc::new(Inner { issuer, certificate, key: generate(), signed: Mutex::default() }))
    }

    /// Its certificate, for those that are to trust it: PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.0.certificate
    }

    /// Its private key, PEM. Who has it can impersonate every server to those that trust the authority.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.0.issuer.key().serialize_pem()
    }

    /// A certificate for these names and IP addresses.
    pub(super) fn sign(&self, names: Vec<String>) -> Identity {
        let mut signed = self.0.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, identity)) = signed.get(&names)
            && since.elapsed() < VALID / 2
        {
            return identity.clone();
        }
        if signed.len() >= KEPT {
            signed.clear();
        }
        let identity = self.sign_anew(&names, None);
        signed.insert(names, (Instant::now(), identity.clone()));
        identity
    }

    pub(super) fn sign_anew(&self, names: &[String], wrong: Option<Wrong>) -> Identity {
        let Inner { issuer, key, .. } = &*self.0;
        let mut params = params();
        let other = ["other.invalid".to_owned()];
        let names = if wrong == Some(Wrong::Name) { &other } else { names };
        params.subject_alt_names = names.iter().filter_map(|name| alternative(name)).collect();
        if let Some(name) = names.first() {
            params.distinguished_name.push(DnType::CommonName, common_name(name));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        if wrong == Some(Wrong::Time) {
            let yesterday = SystemTime::now() - BEFORE;
            params.not_before = (yesterday - BEFORE).into();
            params.not_after = yesterday.into();
        }
        let signed =
            if wrong == Some(Wrong::Signature) { params.self_signed(key) } else { params.signed_by(key, issuer) };
        let chain = vec![signed.expect("its own parameters are valid").der().clone()];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("it was made here");
        Identity::new(chain, key).expect("they belong together")
    }
}

fn alternative(name: &str) -> Option<SanType> {
    if let Ok(address) = name.parse() {
        return Some(SanType::IpAddress(address));
    }
    Some(SanType::DnsName(Ia5String::try_from(name).ok()?))
}

/// X.520 allows 64 characters; the names that count are elsewhere.
fn common_name(name: &str) -> String {
    name.chars().take(64).collect()
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        self.0.certificate == other.0.certificate
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}
