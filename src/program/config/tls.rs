//! The settings of TLS, on either side of a proxy, and the certificates that they name.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustls::pki_types::ServerName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::entry::Origin;
use super::file;
use super::schema::{BACKEND_TLS, TLS, path};
use super::values::Values;
use crate::diagnostic::{Diagnostic, Diagnostics, shown};
use crate::net::address::Address;
use crate::net::tls::{BackendTls, BadIdentity, BadTrust, ClientTls, Identity, Trust};
use crate::program::tls::{Folder, Kept};
use crate::proxy::config::ProxyConfig;

/// The largest file with certificates or a key, in bytes.
const FILE: u64 = 4 * 1024 * 1024;

/// TLS towards clients.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-heading" = "TLS"))]
pub(super) struct ClientTlsOptions {
    /// Speak TLS to clients, with certificates made on the spot: auto
    pub(super) auto: Auto,
    /// Speak TLS to clients, with this certificate (PEM)
    #[serde(deserialize_with = "path")]
    #[schemars(extend("x-unit" = "file"))]
    pub(super) cert: Option<PathBuf>,
    /// Private key of that certificate (PEM)
    #[serde(deserialize_with = "path")]
    #[schemars(extend("x-unit" = "file"))]
    pub(super) key: Option<PathBuf>,
}

/// TLS towards the backend.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-heading" = "TLS"))]
pub(super) struct BackendTlsOptions {
    /// Speak TLS to the backend
    pub(super) enabled: bool,
    /// Trust these authorities (PEM), not those of the system
    #[serde(deserialize_with = "path")]
    #[schemars(extend("x-unit" = "file"))]
    pub(super) ca: Option<PathBuf>,
    /// Name that the backend has to prove [default: its host]
    #[schemars(extend("x-unit" = "name"))]
    pub(super) name: Option<String>,
    /// Show the backend this certificate (PEM)
    #[serde(deserialize_with = "path")]
    #[schemars(extend("x-unit" = "file"))]
    pub(super) cert: Option<PathBuf>,
    /// Private key of that certificate (PEM)
    #[serde(deserialize_with = "path")]
    #[schemars(extend("x-unit" = "file"))]
    pub(super) key: Option<PathBuf>,
    /// Accept any certificate of the backend
    pub(super) insecure: bool,
}

/// True, which a flag and a variable call `auto`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Auto(pub(super) bool);

impl FromStr for Auto {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" | "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            other => {
                Err(format!("`{other}` is not `auto`, the only value: leave it out for a certificate of your own"))
            }
        }
    }
}

impl Serialize for Auto {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Auto {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(is_so) => Ok(Self(is_so)),
            Value::String(text) => text.parse().map_err(de::Error::custom),
            other => Err(de::Error::custom(format_args!("{} is not true or false", shown(&other)))),
        }
    }
}

impl JsonSchema for Auto {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Auto".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["boolean", "string"], "x-unit": "auto" })
    }
}

/// What the certificates of proxies are read with. The authority is read once.
#[derive(Debug)]
pub(super) struct Files {
    folder: Folder,
    authority: OnceCell<Result<Kept, String>>,
}

impl Files {
    /// `folder` is where the authority is kept.
    pub(super) fn new(folder: Folder) -> Self {
        Self { folder, authority: OnceCell::new() }
    }

    fn authority(&self) -> Result<&Kept, &String> {
        self.authority.get_or_init(|| self.folder.authority()).as_ref()
    }

    /// What is doubtful about the authority, if one was needed.
    pub(super) fn warnings(&self) -> Vec<String> {
        let found = self.authority.get().and_then(|found| found.as_ref().ok());
        found.map(|kept| kept.warnings.clone()).unwrap_or_default()
    }
}

/// Where the certificates of a proxy come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// The files that its options name.
    Files(&'a Files),
    /// The proxy as it is before a change of other options: the files may have changed meanwhile.
    Kept(&'a ProxyConfig),
}

impl Source<'_> {
    /// TLS on both sides of the proxy whose keys are `within`.
    pub(super) fn tls(
        self,
        values: &Values<'_>,
        within: &str,
        backend: Option<&Address>,
        diagnostics: &mut Diagnostics,
    ) -> (Option<ClientTls>, Option<BackendTls>) {
        match self {
            Self::Kept(before) => (before.tls.clone(), before.backend_tls.clone()),
            Self::Files(files) => {
                let client = Table { values, path: format!("{within}{TLS}."), diagnostics: &mut *diagnostics };
                let tls = client.client(files);
                let to_backend = Table { values, path: format!("{within}{BACKEND_TLS}."), diagnostics };
                (tls, to_backend.backend(backend))
            }
        }
    }
}

/// A table with settings of TLS, and where mistakes in it go.
struct Table<'t, 'a> {
    values: &'t Values<'a>,
    /// The path before its keys: `tls.`.
    path: String,
    diagnostics: &'t mut Diagnostics,
}

impl Table<'_, '_> {
    fn client(mut self, files: &Files) -> Option<ClientTls> {
        let ClientTlsOptions { auto, cert, key } = self.values.build(&self.path).ok()?;
        if !auto.0 {
            return self.identity(cert.as_deref(), key.as_deref()).map(ClientTls::with_identity);
        }
        let given = [("cert", cert), ("key", key)].into_iter().find(|(_, file)| file.is_some());
        if let Some(other) = given.and_then(|(key, _)| self.values.place(&self.full(key))) {
            let what = format!("the authority makes the certificates, and there is {other}: give one of them");
            return self.wrong("auto", what);
        }
        match files.authority() {
            Ok(kept) => Some(ClientTls::with_authority(kept.authority.clone())),
            Err(what) => self.wrong("auto", what),
        }
    }

    fn backend(mut self, backend: Option<&Address>) -> Option<BackendTls> {
        let BackendTlsOptions { enabled, ca, name, cert, key, insecure } = self.values.build(&self.path).ok()?;
        if !enabled {
            return None;
        }
        let identity = self.identity(cert.as_deref(), key.as_deref());
        if insecure && ca.is_some() {
            let what = "with it any certificate will do, and nobody would be asked for one of these authorities: leave \
                        one of them out";
            return self.wrong("insecure", format_args!("{} is given as well: {what}", self.name("ca")));
        }
        let host = backend.map(Address::host);
        if let Some(host) = host.filter(|host| name.is_none() && ServerName::try_from(*host).is_err()) {
            let what = format!("a certificate cannot be for `{host}`: say which name it is for, {}", self.name("name"));
            self.wrong::<()>("enabled", what);
        }
        let ca = ca.map(|path| self.read("ca", &path));
        // A file that cannot be read was told; those of the system are not asked for in its place.
        let ca = match ca {
            Some(read) => Some(read?),
            None => None,
        };
        match BackendTls::new(Trust { ca, name, identity, insecure }) {
            Ok(tls) => Some(tls),
            Err(bad) => {
                let key = match bad {
                    BadTrust::NoCertificate => "ca",
                    BadTrust::NoRoots => "enabled",
                    BadTrust::BadName(_) => "name",
                };
                self.wrong(key, bad)
            }
        }
    }

    /// The certificate in one file, with its key from another.
    fn identity(&mut self, cert: Option<&Path>, key: Option<&Path>) -> Option<Identity> {
        let (cert, key) = match (cert, key) {
            (Some(cert), Some(key)) => (self.read("cert", cert), self.read("key", key)),
            (None, None) => return None,
            (Some(_), None) => return self.missing("cert", "key", "its private key"),
            (None, Some(_)) => return self.missing("key", "cert", "the certificate of this key"),
        };
        let bad = match Identity::from_pem(&cert?, &key?) {
            Ok(identity) => return Some(identity),
            Err(bad) => bad,
        };
        match bad {
            BadIdentity::NoCertificate | BadIdentity::BadCertificate => self.wrong("cert", bad),
            BadIdentity::OtherKey => {
                let cert = self.values.place(&self.full("cert")).unwrap_or_default();
                self.wrong("key", format_args!("{bad} ({cert})"))
            }
            _ => self.wrong("key", bad),
        }
    }

    fn missing<T>(&mut self, given: &str, missing: &str, what: &str) -> Option<T> {
        if self.values.is_wrong(&self.full(missing)) {
            return None;
        }
        self.wrong(given, format_args!("{what} is missing, give {}", self.name(missing)))
    }

    /// What is in the file that `key` names.
    fn read(&mut self, key: &str, path: &Path) -> Option<Vec<u8>> {
        let place = self.values.place(&self.full(key)).unwrap_or_default();
        file::bytes(place, path, FILE).map_err(|diagnostic| self.diagnostics.push(diagnostic)).ok()
    }

    fn wrong<T>(&mut self, key: &str, what: impl std::fmt::Display) -> Option<T> {
        let place = self.values.place(&self.full(key)).unwrap_or_default();
        self.diagnostics.push(Diagnostic::new(place, what));
        None
    }

    /// How the user gives this key: as a flag if others are given so.
    fn name(&self, key: &str) -> String {
        let mut given = self.values.table(&self.path).map(|(.., origin)| origin);
        let with_flags = given.any(|origin| matches!(origin, Origin::Named(_)));
        let table = if self.path.ends_with(&format!("{BACKEND_TLS}.")) { BACKEND_TLS } else { TLS };
        let setting = self.values.schema.get(&[table, key]).filter(|_| with_flags);
        setting.map_or_else(|| format!("`{}`", self.full(key)), |setting| format!("`--{}`", setting.flag()))
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }
}
