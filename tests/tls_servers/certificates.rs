//! Certificates that OpenSSL makes, and a proxy that uses them.

use std::fmt::Display;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::tool::{printed_by, program};
use super::world::Program;

/// What certificates are for.
const CONFIGURATION: &str = "\
[req]
distinguished_name = none
[none]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = keyCertSign, cRLSign
subjectKeyIdentifier = hash
[signed]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = serverAuth, clientAuth
authorityKeyIdentifier = keyid
subjectAltName = NAMES
";

/// A folder with an authority, `ca.pem`, and what it has signed. A proxy keeps its own authority in `own` there.
pub(super) struct Certificates(TempDir);

impl Certificates {
    pub(super) fn new() -> Self {
        Self::named("authority")
    }

    /// With this name of the authority. Those of one name have different keys.
    pub(super) fn named(name: &str) -> Self {
        let certificates = Self(tempfile::tempdir().unwrap());
        certificates.make("ca", name, "authority", "", "DNS:none");
        certificates
    }

    /// Signs a certificate for these names, `DNS:localhost,IP:127.0.0.1`: `FILE.pem` and `FILE-key.pem`.
    pub(super) fn sign(&self, file: &str, names: &str) {
        self.make(file, file, "signed", "-CA @ca.pem -CAkey @ca-key.pem", names);
    }

    fn make(&self, file: &str, name: &str, section: &str, options: &str, names: &str) {
        fs::write(self.path("openssl.cnf"), CONFIGURATION.replace("NAMES", names)).unwrap();
        let mut command = program("openssl");
        command.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(' '));
        let more = self.text(&format!(
            "-subj /CN={name} -config @openssl.cnf -extensions {section} -out @{file}.pem -keyout @{file}-key.pem {options}"
        ));
        let made = printed_by(command.args(more.split_ascii_whitespace()), Vec::new());
        assert!(made.status.success(), "{}", made.stderr);
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `text` with the path of this folder in place of each `@`.
    pub(super) fn text(&self, text: &str) -> String {
        text.replace('@', &format!("{}/", self.0.path().display()))
    }

    /// Starts a proxy in front of `backend` with these options, in which `@` stands for this folder, and an API.
    pub(super) fn start(&self, backend: impl Display, options: &str) -> Program {
        Program::start_at(&backend.to_string(), &format!("{} --http --http-port 0", self.text(options)))
    }
}

/// The names of this machine.
pub(super) const LOCAL: &str = "DNS:localhost,IP:127.0.0.1";

/// An authority that has signed the certificate `server` for these names.
pub(super) fn signed(names: &str) -> Certificates {
    let certificates = Certificates::new();
    certificates.sign("server", names);
    certificates
}
