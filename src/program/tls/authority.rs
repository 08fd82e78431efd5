//! The authority of `--tls auto`: made once, and kept in a folder.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::certificate::Certificate;
use crate::error::plain;
use crate::net::tls::Authority;
use crate::program::atomic_file::AtomicFile;

/// For those that are to trust it.
const CERTIFICATE: &str = "ca.pem";

/// The private key, and the certificate behind it: one file, so that there is never half of a pair.
const KEY: &str = "ca-key.pem";

/// How long before its end an authority has warnings.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Where the authority is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Folder {
    path: Option<PathBuf>,
    /// Whether it is left as it is.
    is_read_only: bool,
}

/// The authority, as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) authority: Authority,
    /// What is doubtful about it, a line each.
    pub(crate) warnings: Vec<String>,
}

impl Folder {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path: Some(path), is_read_only: false }
    }

    /// That of the user whose environment this is; nowhere if there is no home.
    pub(crate) fn of_user(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        // Relative ones are to be ignored, as the XDG Base Directory Specification has it.
        let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let in_home = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
        let data = folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(in_home)));
        Self { path: data.map(|data| data.join("vaurien")), is_read_only: false }
    }

    /// The same, which is left as it is: without an authority in it, one is made and not kept.
    pub(crate) fn read_only(self) -> Self {
        Self { is_read_only: true, ..self }
    }

    /// The authority. Makes it if there is none. The error says what to do.
    pub(crate) fn authority(&self) -> Result<Kept, String> {
        let Some(folder) = &self.path else {
            return Err("there is no home folder to keep an authority in, say where: `--tls-dir FOLDER`".to_owned());
        };
        // Asked first: the key is written before the certificate.
        let has_certificate = folder.join(CERTIFICATE).exists();
        let key = folder.join(KEY);
        let text = match fs::read_to_string(&key) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && has_certificate => {
                let what = "its private key is not there: put it back, or remove the certificate for a new authority, \
                            which clients then have to trust";
                return Err(format!(
                    "`{}` is of no use, `{KEY}` beside it with {what}",
                    folder.join(CERTIFICATE).display()
                ));
            }
            Err(error) if error.kind() == ErrorKind::NotFound && self.is_read_only => {
                return Ok(Kept { authority: Authority::generate(), warnings: Vec::new() });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let elsewhere = "keep the authority elsewhere: `--tls-dir FOLDER`";
                let made = make(folder).and_then(|()| fs::read_to_string(&key));
                made.map_err(|error| format!("cannot write `{}`: {}, {elsewhere}", key.display(), plain(&error)))?
            }
            Err(error) => return Err(format!("cannot read `{}`: {}", key.display(), plain(&error))),
        };
        self.check(folder, &text)
    }

    /// The authority that `text` has, which is in the file of the key.
    fn check(&self, folder: &Path, text: &str) -> Result<Kept, String> {
        let (key, certificate) = (folder.join(KEY), folder.join(CERTIFICATE));
        let anew = format!("remove it and `{CERTIFICATE}` for a new authority, which clients then have to trust");
        let wrong = |what: &dyn std::fmt::Display| format!("`{}`: {what}; {anew}", key.display());
        let own = text.find("-----BEGIN CERTIFICATE").map_or("", |begin| &text[begin..]);
        let authority = Authority::from_pem(own, text).map_err(|error| wrong(&error))?;
        let Some(Certificate { until }) = Certificate::read(own) else {
            return Err(wrong(&"the certificate cannot be read"));
        };
        let (now, mut warnings) = (SystemTime::now(), Vec::new());
        let date = humantime::format_rfc3339_seconds(until).to_string();
        let day = date.split('T').next().unwrap_or_default();
        if until <= now {
            return Err(wrong(&format_args!("the authority has expired, on {day}")));
        }
        if until <= now + SOON {
            warnings.push(wrong(&format_args!("the authority expires on {day}")));
        }
        let mode = fs::metadata(&key).map(|metadata| metadata.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            let (key, what) =
                (key.display(), "who can read it can pose as any server to those that trust the authority");
            warnings.push(format!("`{key}` is not only yours, and {what}: `chmod 600 {key}`"));
        }
        match fs::read_to_string(&certificate) {
            Ok(known) if known.trim() == own.trim() => {}
            Ok(_) => {
                let certificate = certificate.display();
                return Err(format!(
                    "`{certificate}` is not the certificate in `{KEY}`: remove it, it is then written again"
                ));
            }
            Err(error) if error.kind() == ErrorKind::NotFound && !self.is_read_only => {
                let written = AtomicFile::create(&certificate).and_then(|mut file| {
                    file.write_all(own.as_bytes())?;
                    file.publish()
                });
                written.map_err(|error| format!("cannot write `{}`: {}", certificate.display(), plain(&error)))?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("cannot read `{}`: {}", certificate.display(), plain(&error))),
        }
        Ok(Kept { authority, warnings })
    }
}

/// Makes an authority, unless another program is faster: then that one's is there.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let authority = Authority::generate();
    let only_ours = Permissions::from_mode(0o600);
    let mut file = tempfile::Builder::new().prefix(".ca-key.").permissions(only_ours).tempfile_in(folder)?;
    write!(file, "{}{}", authority.key_pem(), authority.certificate_pem())?;
    // Before it has its name: after a power cut it is whole or not there.
    file.as_file().sync_all()?;
    match file.persist_noclobber(folder.join(KEY)) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// A folder with an authority.
    fn made() -> (tempfile::TempDir, Folder, Authority) {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::at(home.path().join("a/b"));
        let authority = folder.authority().unwrap().authority;
        (home, folder, authority)
    }

    #[test]
    fn it_is_made_once() {
        let (home, folder, authority) = made();
        let path = home.path().join("a/b");
        assert_eq!(entries(&path), [KEY, CERTIFICATE]);
        assert_eq!((mode(&path), mode(&path.join(KEY))), (0o700, 0o600));
        assert_eq!(fs::read_to_string(path.join(CERTIFICATE)).unwrap(), authority.certificate_pem());
        let again = folder.authority().unwrap();
        assert_eq!(
            (again.authority.certificate_pem(), again.authority.key_pem()),
            (authority.certificate_pem(), authority.key_pem())
        );
        assert_eq!(again.warnings, [""; 0]);
        assert_eq!(folder.read_only().authority().unwrap().authority, authority);
    }

    #[test]
    fn those_who_make_it_at_once_have_the_same() {
        for _ in 0..20 {
            let home = tempfile::tempdir().unwrap();
            let folder = Folder::at(home.path().join("vaurien"));
            let made = || folder.authority().unwrap().authority;
            let all: Vec<_> = thread::scope(|scope| {
                let all: Vec<_> = (0..8).map(|_| scope.spawn(made)).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert!(all.iter().all(|one| *one == all[0]));
            assert_eq!(entries(&home.path().join("vaurien")), [KEY, CERTIFICATE]);
        }
    }

    #[test]
    fn a_folder_that_is_left_as_it_is_stays_empty() {
        let home = tempfile::tempdir().unwrap();
        Folder::at(home.path().join("vaurien")).read_only().authority().unwrap();
        assert_eq!(entries(home.path()), [""; 0]);
    }

    #[test]
    fn a_certificate_that_is_gone_is_written_again() {
        let (home, folder, authority) = made();
        let path = home.path().join("a/b").join(CERTIFICATE);
        fs::remove_file(&path).unwrap();
        assert_eq!(folder.authority().unwrap().authority, authority);
        assert_eq!(fs::read_to_string(path).unwrap(), authority.certificate_pem());
    }

    #[test]
    fn what_is_of_no_use_says_what_to_do() {
        let (home, folder, _) = made();
        let path = home.path().join("a/b");
        let key = path.join(KEY);
        let told = || folder.authority().unwrap_err().replace(&format!("{}/", path.display()), "");
        let whole = fs::read_to_string(&key).unwrap();
        let anew = "remove it and `ca.pem` for a new authority, which clients then have to trust";

        fs::write(&key, "").unwrap();
        assert_eq!(
            told(),
            format!("`ca-key.pem`: no certificate in it: it has to be PEM, `-----BEGIN CERTIFICATE-----`; {anew}")
        );
        fs::write(
            &key,
            format!("{}{}", Authority::generate().key_pem(), &whole[whole.find("-----BEGIN CERT").unwrap()..]),
        )
        .unwrap();
        assert_eq!(told(), format!("`ca-key.pem`: the private key is not that of the certificate; {anew}"));
        fs::write(&key, &whole).unwrap();

        fs::write(path.join(CERTIFICATE), Authority::generate().certificate_pem()).unwrap();
        assert_eq!(told(), "`ca.pem` is not the certificate in `ca-key.pem`: remove it, it is then written again");
        fs::remove_file(&key).unwrap();
        let lost = "`ca.pem` is of no use, `ca-key.pem` beside it with its private key is not there: put it back, or remove \
                    the certificate for a new authority, which clients then have to trust";
        assert_eq!(told(), lost);
        assert_eq!(
            Folder::default().authority().unwrap_err(),
            "there is no home folder to keep an authority in, say where: `--tls-dir FOLDER`"
        );
        let file = Folder::at(path.join(CERTIFICATE).join("vaurien")).authority().unwrap_err();
        assert!(file.starts_with("cannot read `") && file.ends_with("not a directory"), "{file}");
    }

    /// An authority that ends then, in place of the one in the folder. Without a name of its own it has the one of ours.
    fn ends(folder: &Path, name: Option<&str>, until: SystemTime) {
        let key = rcgen::KeyPair::generate().unwrap();
        let id = u32::from_be_bytes(key.public_key_raw()[1..5].try_into().unwrap());
        let name = name.map_or_else(|| format!("vaurien test authority {id:08x}"), str::to_owned);
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_after = until.into();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        let certificate = params.self_signed(&key).unwrap().pem();
        fs::write(folder.join(KEY), format!("{}{certificate}", key.serialize_pem())).unwrap();
        fs::write(folder.join(CERTIFICATE), certificate).unwrap();
    }

    #[test]
    fn the_end_of_an_authority_is_told_before_and_after() {
        let (home, folder, _) = made();
        let path = home.path().join("a/b");
        let day = Duration::from_secs(24 * 60 * 60);
        let date = |time| humantime::format_rfc3339_seconds(time).to_string()[..10].to_owned();
        let anew = "remove it and `ca.pem` for a new authority, which clients then have to trust";
        let (soon, late) = (SystemTime::now() + day * 29, SystemTime::now() + day * 31);

        ends(&path, None, late);
        assert_eq!(folder.authority().unwrap().warnings, [""; 0]);
        ends(&path, None, soon);
        let key = path.join(KEY);
        let warning = format!("`{}`: the authority expires on {}; {anew}", key.display(), date(soon));
        assert_eq!(folder.authority().unwrap().warnings, [warning]);
        ends(&path, None, SystemTime::now() - day);
        let expired =
            format!("`{}`: the authority has expired, on {}; {anew}", key.display(), date(SystemTime::now() - day));
        assert_eq!(folder.authority().unwrap_err(), expired);
        ends(&path, Some("my own"), late);
        assert_eq!(
            folder.authority().unwrap_err(),
            format!("`{}`: it is no authority of this vaurien; {anew}", key.display())
        );
    }

    #[test]
    fn a_key_that_others_can_read_is_told() {
        let (home, folder, _) = made();
        let key = home.path().join("a/b").join(KEY);
        fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
        let [warning] = &folder.authority().unwrap().warnings[..] else { panic!("one warning") };
        assert!(warning.ends_with(&format!(": `chmod 600 {}`", key.display())), "{warning}");
    }

    #[test]
    fn a_user_has_a_folder_for_data() {
        let of = |home: Option<&str>, data: Option<&str>| {
            let variable = |name: &str| match name {
                "HOME" => home.map(OsString::from),
                "XDG_DATA_HOME" => data.map(OsString::from),
                other => panic!("{other}"),
            };
            Folder::of_user(variable).path
        };
        let in_home = if cfg!(target_os = "macos") { "/h/Library/Application Support" } else { "/h/.local/share" };
        assert_eq!(of(Some("/h"), Some("/data")), Some("/data/vaurien".into()));
        assert_eq!(of(Some("/h"), Some("")), Some(Path::new(in_home).join("vaurien")));
        assert_eq!(of(Some("/h"), Some("relative")), Some(Path::new(in_home).join("vaurien")));
        assert_eq!(of(None, None), None);
        assert_eq!(of(Some(""), None), None);
    }
}
