//! Authorities, servers and clients of the tests.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, DigitallySignedStruct, RootCertStore, ServerConfig,
    ServerConnection, SignatureScheme, StreamOwned, WantsVerifier,
};
use tempfile::TempDir;

use super::Backend;
use super::world::PATIENCE;

/// An authority of somebody else, and files with what it has signed.
pub(crate) struct Pki {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        // Authorities of one name would be taken for the same.
        let id = key.public_key_raw()[1..9].escape_ascii();
        params.distinguished_name.push(DnType::CommonName, format!("somebody else {id}"));
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let pki = Self { issuer, folder: tempfile::tempdir().unwrap() };
        fs::write(pki.path("ca.pem"), pki.issuer.pem()).unwrap();
        pki
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A text in which `@` stands for the folder.
    pub(crate) fn named(&self, text: &str) -> String {
        text.replace('@', &format!("{}/", self.folder.path().display()))
    }

    /// Signs a certificate for `localhost` whose subject has this name, and writes it to `cert.pem` and `key.pem`.
    pub(crate) fn write(&self, subject: &str) {
        let (certificate, key) = self.sign(subject);
        fs::write(self.path("cert.pem"), certificate).unwrap();
        fs::write(self.path("key.pem"), key).unwrap();
    }

    fn sign(&self, subject: &str) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, subject);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A backend that answers each HTTP request with its name, within TLS, with a certificate for `localhost`.
    pub(crate) fn backend(&self, name: &'static str) -> Backend {
        let (certificate, key) = self.sign(name);
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
        Backend::new(move |stream| {
            let session = ServerConnection::new(config.clone()).unwrap();
            serve(StreamOwned::new(session, stream), name);
        })
    }
}

/// A backend that answers each HTTP request with its name.
pub(crate) fn http(name: &'static str) -> Backend {
    Backend::new(move |stream| serve(stream, name))
}

fn serve(mut stream: impl Read + Write, name: &str) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    // Who does not trust it leaves.
    while stream.read(&mut byte).is_ok_and(|len| len > 0) {
        head.extend(byte);
        if head.ends_with(b"\r\n\r\n") {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
            if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err() {
                return;
            }
            head.clear();
        }
    }
}

/// A client that trusts anybody.
pub(crate) struct TlsClient(StreamOwned<ClientConnection, TcpStream>);

impl TlsClient {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(
            address,
            builder().dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth(),
        )
    }

    /// One that trusts nobody.
    pub(crate) fn suspicious(address: SocketAddr) -> Self {
        Self::new(address, builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth())
    }

    fn new(address: SocketAddr, config: ClientConfig) -> Self {
        let session = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(StreamOwned::new(session, stream))
    }

    pub(crate) fn handshake(&mut self) -> io::Result<()> {
        let StreamOwned { conn, sock } = &mut self.0;
        conn.complete_io(sock).map(drop)
    }

    /// Makes a call, and returns the body of its answer.
    #[track_caller]
    pub(crate) fn call(&mut self) -> String {
        self.0.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }
}

fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    builder.with_safe_default_protocol_versions().unwrap()
}

/// Whether the certificate that is shown at this address has this name in it, as [`Pki::write`] puts it there.
#[track_caller]
pub(crate) fn shows(address: SocketAddr, name: &str) -> bool {
    let mut client = TlsClient::connect(address);
    client.call();
    let certificate = client.0.conn.peer_certificates().unwrap()[0].to_vec();
    certificate.windows(name.len()).any(|part| part == name.as_bytes())
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
