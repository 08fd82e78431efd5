//! What a command trusts: the authorities that it would trust anyway, and ours.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustls_native_certs::{load_certs_from_paths, load_native_certs};
use tempfile::TempPath;

/// Variables that replace what a program trusts, each behind the variables that name this so far, the strongest first: OpenSSL (and
/// with it Python and Ruby) and Go, curl, Python's requests, and gRPC's C core, which has authorities of its own otherwise.
const REPLACING: [(&str, &[&str]); 4] = [
    ("SSL_CERT_FILE", &["SSL_CERT_FILE"]),
    ("CURL_CA_BUNDLE", &["CURL_CA_BUNDLE", "SSL_CERT_FILE"]),
    ("REQUESTS_CA_BUNDLE", &["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]),
    (GRPC, &[GRPC, "SSL_CERT_FILE"]),
];

/// What gRPC's C core reads: C++, Python, Ruby, PHP.
const GRPC: &str = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH";

/// The variable that adds to what Node trusts.
const ADDING: &str = "NODE_EXTRA_CA_CERTS";

/// Files with authorities, for a command. Dropping this removes them.
#[derive(Debug, Default)]
pub(crate) struct Bundles {
    files: Vec<(Base, TempPath)>,
    /// The bundle for those who want to name it.
    pub(crate) ca: Option<PathBuf>,
    /// The variables that name others.
    pub(crate) variables: Vec<(&'static str, PathBuf)>,
    /// What is not as it should be, a line each.
    pub(crate) warnings: Vec<String>,
}

/// Whom a program trusts so far.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Base {
    Nobody,
    System,
    /// Those in a file or a folder.
    At(PathBuf),
}

impl Base {
    /// The certificates, as PEM.
    fn pem(&self) -> String {
        let certificates = match self {
            Self::Nobody => return String::new(),
            Self::System => load_native_certs(),
            Self::At(path) if path.is_dir() => load_certs_from_paths(None, Some(path)),
            Self::At(path) => load_certs_from_paths(Some(path), None),
        };
        let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        let encode = |der: &rustls::pki_types::CertificateDer<'_>| {
            pem::encode_config(&pem::Pem::new("CERTIFICATE", der.as_ref()), lines)
        };
        certificates.certs.iter().map(encode).collect()
    }
}

impl Bundles {
    /// Files for a command with this environment, to which `authority` is added: a certificate in PEM.
    pub(crate) fn write(authority: &str, variable: impl Fn(&str) -> Option<OsString>) -> io::Result<Self> {
        let mut bundles = Self::default();
        let named = |name: &str| variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let mut without_roots = Vec::new();
        for (name, so_far) in REPLACING {
            let found = so_far.iter().find_map(|other| Some((*other, named(other)?)));
            let base = found.as_ref().map_or(Base::System, |(_, path)| Base::At(path.clone()));
            match (bundles.file(authority, base)?, found) {
                (Some(file), _) => bundles.variables.push((name, file)),
                // Others could not be reached any more.
                (None, None) => without_roots.push(name),
                (None, Some((other, path))) => bundles.warnings.push(format!(
                    "`{name}` stays as it is, so what reads it does not trust the authority of `--tls auto`: `{other}` names \
                     `{}`, which has no certificate",
                    path.display()
                )),
            }
        }
        if !without_roots.is_empty() {
            bundles.warnings.push(format!(
                "the system has no certificates of authorities to add that of `--tls auto` to, so the command does not get {}: \
                 install `ca-certificates`, or name a file with some in `SSL_CERT_FILE`",
                without_roots.join(", ")
            ));
        }
        let more = named(ADDING).map_or(Base::Nobody, Base::At);
        let file = match bundles.file(authority, more)? {
            Some(file) => Some(file),
            None => bundles.file(authority, Base::Nobody)?,
        };
        bundles.variables.extend(file.map(|file| (ADDING, file)));
        // The one that has the system's, if there is one.
        bundles.ca = bundles.variables.first().map(|(_, file)| file.clone());
        Ok(bundles)
    }

    /// The file with those of `base` and ours. `None` if there is nobody in `base`, although somebody should be.
    fn file(&mut self, authority: &str, base: Base) -> io::Result<Option<PathBuf>> {
        if let Some((_, file)) = self.files.iter().find(|(known, _)| *known == base) {
            return Ok(Some(file.to_path_buf()));
        }
        let others = base.pem();
        if others.is_empty() && base != Base::Nobody {
            return Ok(None);
        }
        // It holds no secret, and the command may run its programs as other users.
        let permissions = Permissions::from_mode(0o644);
        let mut file =
            tempfile::Builder::new().prefix("vaurien-ca-").suffix(".pem").permissions(permissions).tempfile()?;
        // Ours is the first: some programs read one alone.
        write!(file, "{authority}{others}")?;
        let file = file.into_temp_path();
        let path = file.to_path_buf();
        self.files.push((base, file));
        Ok(Some(path))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::net::tls::Authority;

    fn authority() -> String {
        Authority::generate().certificate_pem().to_owned()
    }

    fn path(bundles: &Bundles, name: &str) -> Option<PathBuf> {
        bundles.variables.iter().find(|(known, _)| *known == name).map(|(_, path)| path.clone())
    }

    fn text(bundles: &Bundles, name: &str) -> String {
        fs::read_to_string(path(bundles, name).unwrap()).unwrap()
    }

    #[test]
    fn others_stay_trusted() {
        let (ours, [ssl, requests, node, grpc]) = (authority(), std::array::from_fn(|_| authority()));
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name).into_os_string()
        };
        let named = [
            ("SSL_CERT_FILE", file("ssl.pem", &format!("# comment\n{ssl}"))),
            ("REQUESTS_CA_BUNDLE", file("requests.pem", &requests)),
            ("NODE_EXTRA_CA_CERTS", file("node.pem", &node)),
            (GRPC, file("grpc.pem", &grpc)),
        ];
        let variable = |name: &str| named.iter().find(|(known, _)| *known == name).map(|(_, path)| path.clone());
        let bundles = Bundles::write(&ours, variable).unwrap();
        for (name, other) in [
            ("SSL_CERT_FILE", &ssl),
            ("CURL_CA_BUNDLE", &ssl),
            ("REQUESTS_CA_BUNDLE", &requests),
            ("NODE_EXTRA_CA_CERTS", &node),
            (GRPC, &grpc),
        ] {
            assert_eq!(text(&bundles, name), format!("{ours}{other}"), "{name}");
        }
        assert_eq!((bundles.variables.len(), bundles.files.len()), (5, 4));
        assert_eq!(bundles.ca, path(&bundles, "SSL_CERT_FILE"));
        assert_eq!(bundles.warnings, [""; 0]);
        let paths: Vec<_> = bundles.variables.iter().map(|(_, path)| path.clone()).collect();
        drop(bundles);
        assert!(paths.iter().all(|path| !path.exists()));
    }

    #[test]
    fn a_folder_of_certificates_is_read_as_well() {
        let (ours, other, folder) = (authority(), authority(), tempfile::tempdir().unwrap());
        fs::write(folder.path().join("0123abcd.0"), &other).unwrap();
        let variable = |name: &str| (name == "REQUESTS_CA_BUNDLE").then(|| folder.path().into());
        let bundles = Bundles::write(&ours, variable).unwrap();
        assert_eq!(text(&bundles, "REQUESTS_CA_BUNDLE"), format!("{ours}{other}"));
    }

    #[test]
    fn what_others_are_in_is_unknown_stays() {
        let (ours, folder) = (authority(), tempfile::tempdir().unwrap());
        let absent = folder.path().join("absent.pem");
        let bundles = Bundles::write(&ours, |name| (name == "CURL_CA_BUNDLE").then(|| absent.clone().into())).unwrap();
        let names: Vec<_> = bundles.warnings.iter().map(|warning| warning.split('`').nth(1).unwrap()).collect();
        assert_eq!(names, ["CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"]);
        let absent = format!("`CURL_CA_BUNDLE` names `{}`, which has no certificate", absent.display());
        assert!(bundles.warnings.iter().all(|warning| warning.ends_with(&absent)), "{:?}", bundles.warnings);
        assert_eq!(path(&bundles, "CURL_CA_BUNDLE"), None);
        assert_eq!(text(&bundles, "NODE_EXTRA_CA_CERTS"), ours);
    }
}
