//! TLS on either side of a proxy: certificates, and what is wrong with them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use vaurien::Authority;
use vaurien::program::cli::Exit;

use crate::Start;

/// A folder with files for TLS. Its name is left out of messages.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A certificate and its key: `NAME.pem` and `NAME-key.pem`.
    fn pair(&self, name: &str) -> Authority {
        let authority = Authority::generate();
        self.write(&format!("{name}.pem"), authority.certificate_pem());
        self.write(&format!("{name}-key.pem"), authority.key_pem());
        authority
    }

    /// With these flags, in which `@` stands for this folder.
    fn with(&self, flags: &str) -> Start {
        Start::with(&self.named(flags))
    }

    fn named(&self, text: &str) -> String {
        text.replace('@', &format!("{}/", self.0.path().display()))
    }

    /// What is wrong with these flags.
    #[track_caller]
    fn lines(&self, flags: &str) -> Vec<String> {
        self.short(self.with(flags).lines())
    }

    fn short(&self, lines: Vec<String>) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        lines.into_iter().map(|line| line.replace(&folder, "")).collect()
    }
}

/// Whether there is TLS towards clients, and towards the backend.
#[track_caller]
fn sides(start: &Start) -> (bool, bool) {
    let [proxy] = &start.config().proxies[..] else { panic!("one proxy") };
    (proxy.tls.is_some(), proxy.backend_tls.is_some())
}

#[test]
fn each_side_is_asked_for_by_itself() {
    let folder = Folder::new();
    folder.pair("own");
    for (flags, expected) in [
        ("", (false, false)),
        ("--tls auto --tls-dir @", (true, false)),
        ("--tls --tls-dir @", (true, false)),
        ("--tls false", (false, false)),
        ("--tls-cert @own.pem --tls-key @own-key.pem", (true, false)),
        ("--backend-tls", (false, true)),
        ("--backend-ca @own.pem", (false, true)),
        ("--backend-name api.example.com", (false, true)),
        ("--backend-insecure", (false, true)),
        ("--backend-cert @own.pem --backend-key @own-key.pem", (false, true)),
        ("--backend-ca @own.pem --backend-tls false", (false, false)),
        ("--tls auto --tls-dir @ --backend-tls", (true, true)),
    ] {
        assert_eq!(sides(&folder.with(flags)), expected, "{flags}");
    }
    for (name, value, expected) in [
        ("VAURIEN_TLS", "auto", (true, false)),
        ("VAURIEN_TLS", "true", (true, false)),
        ("VAURIEN_BACKEND_TLS", "true", (false, true)),
        ("VAURIEN_BACKEND_NAME", "a", (false, true)),
    ] {
        assert_eq!(sides(&folder.with("--tls-dir @").and_env(name, value)), expected, "{name}={value}");
    }
    for (file, expected) in [
        ("tls.auto = true", (true, false)),
        ("[tls]\nauto = false", (false, false)),
        ("[tls]\ncert = '@own.pem'\nkey = '@own-key.pem'", (true, false)),
        ("[backend_tls]", (false, true)),
        ("[backend_tls]\nca = '@own.pem'", (false, true)),
        ("[backend_tls]\nenabled = false\nca = '@own.pem'", (false, false)),
        ("tls_dir = '@other'\ntls.auto = true\nbackend_tls.name = 'a'", (true, true)),
    ] {
        assert_eq!(sides(&folder.with("--tls-dir @").and_file(&folder.named(file))), expected, "{file}");
    }
}

#[test]
fn several_proxies_have_their_own() {
    let folder = Folder::new();
    let file = "[proxies.a]\nbackend = 'a:1'\ntls.auto = true\n[proxies.b]\nbackend = 'b:1'\nproxy = 'b:2'\n[proxies.b.backend_tls]\n";
    let config = Start::args(&folder.named("--tls-dir @")).and_file(file).config();
    let sides: Vec<_> = config.proxies.iter().map(|proxy| (proxy.tls.is_some(), proxy.backend_tls.is_some())).collect();
    assert_eq!(sides, [(true, false), (false, true)]);
    for (line, message) in [
        ("tls.auto = true", "`tls` belongs to one proxy, write `[proxies.a.tls]`"),
        ("[backend_tls]", "`backend_tls` belongs to one proxy, write `[proxies.a.backend_tls]`"),
    ] {
        let start = Start::args(&folder.named("--tls-dir @")).and_file(&format!("{line}\n{file}"));
        assert_eq!(start.lines(), [format!("vaurien.toml:1: {message}")]);
    }
    let flag = Start::args(&folder.named("--backend-ca a.pem --tls-dir @")).and_file(file);
    let message = "--backend-ca: belongs to one proxy, write `ca` under `[proxies.a.backend_tls]` in the file";
    assert_eq!(flag.lines(), [message]);
}

#[test]
fn mistakes_are_one_line_each() {
    let folder = Folder::new();
    folder.pair("own");
    folder.pair("other");
    folder.write("text.pem", "hello");
    folder.write("bytes.pem", [0xff; 9]);
    folder.write("empty.pem", "");
    folder.write("bad.pem", "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n");
    let no_certificate = "no certificate in it: it has to be PEM, `-----BEGIN CERTIFICATE-----`";
    let no_key = "no private key in it: it has to be PEM without a password, `-----BEGIN PRIVATE KEY-----`";
    for (flags, expected) in [
        ("--tls yes", &["--tls: `yes` is not `auto`, the only value: leave it out for a certificate of your own"][..]),
        ("--tls 5", &["--tls: `5` is not `auto`, the only value: leave it out for a certificate of your own"]),
        ("--tls auto", &["--tls: there is no home folder to keep an authority in, say where: `--tls-dir FOLDER`"]),
        ("--tls-cert @own.pem", &["--tls-cert: its private key is missing, give `--tls-key`"]),
        ("--tls-key @own-key.pem", &["--tls-key: the certificate of this key is missing, give `--tls-cert`"]),
        ("--backend-cert @own.pem", &["--backend-cert: its private key is missing, give `--backend-key`"]),
        (
            "--tls auto --tls-cert @own.pem",
            &["--tls: the authority makes the certificates, and there is --tls-cert: give one of them"],
        ),
        (
            "--tls-cert @absent.pem --tls-key @absent-key.pem --backend-ca @absent-ca.pem",
            &[
                "--tls-cert: cannot read `absent.pem`: no such file or directory",
                "--tls-key: cannot read `absent-key.pem`: no such file or directory",
                "--backend-ca: cannot read `absent-ca.pem`: no such file or directory",
            ],
        ),
        ("--tls-cert @text.pem --tls-key @own-key.pem", &[&format!("--tls-cert: {no_certificate}")]),
        ("--tls-cert @bytes.pem --tls-key @own-key.pem", &[&format!("--tls-cert: {no_certificate}")]),
        ("--tls-cert @own.pem --tls-key @text.pem", &[&format!("--tls-key: {no_key}")]),
        ("--tls-cert @own.pem --tls-key @own.pem", &[&format!("--tls-key: {no_key}")]),
        (
            "--tls-cert @own.pem --tls-key @other-key.pem",
            &["--tls-key: the private key is not that of the certificate (--tls-cert)"],
        ),
        (
            "--backend-cert @own.pem --backend-key @other-key.pem --backend-ca @empty.pem",
            &[
                "--backend-key: the private key is not that of the certificate (--backend-cert)",
                &format!("--backend-ca: {no_certificate}"),
            ],
        ),
        ("--backend-ca @bad.pem", &[&format!("--backend-ca: {no_certificate}")]),
        (
            "--tls-cert @bad.pem --tls-key @own-key.pem",
            &[
                "--tls-cert: a certificate that cannot be used: it has to be X.509 of version 3, which has extensions such as \
               the names that it is for",
            ],
        ),
        ("--backend-name a/b", &["--backend-name: `a/b` is neither a name of a server nor an IP address"]),
        ("--backend-insecure maybe", &["--backend-insecure: `maybe` is not true or false"]),
        (
            "--backend-insecure --backend-ca @own.pem",
            &[
                "--backend-insecure: `--backend-ca` is given as well: with it any certificate will do, and nobody would be asked \
               for one of these authorities: leave one of them out",
            ],
        ),
    ] {
        assert_eq!(folder.lines(flags), expected, "{flags}");
    }
    let zone = Start::args("--backend [fe80::1%eth0]:443 --backend-tls").lines();
    assert_eq!(
        zone,
        ["--backend-tls: a certificate cannot be for `fe80::1%eth0`: say which name it is for, `--backend-name`"]
    );
}

#[test]
fn mistakes_in_the_file_have_their_lines() {
    let folder = Folder::new();
    folder.pair("own");
    folder.pair("other");
    let file = "backend = 'a:1'\n[tls]\ncert = '@own.pem'\nkey = '@other-key.pem'\n[backend_tls]\ncert = '@own.pem'\nca = ''\n";
    let place = "vaurien.toml";
    assert_eq!(
        folder.short(Start::file(&folder.named(file)).lines()),
        [
            format!("{place}:7: backend_tls.ca: the path is empty, name a file"),
            format!("{place}:4: tls.key: the private key is not that of the certificate ({place}:3: tls.cert)"),
            format!("{place}:6: backend_tls.cert: its private key is missing, give `backend_tls.key`"),
        ]
    );
    let several = "[proxies.a]\nbackend = 'a:1'\ntls.auto = true\n";
    let none = "there is no home folder to keep an authority in, say where: `--tls-dir FOLDER`";
    assert_eq!(Start::file(several).lines(), [format!("{place}:3: proxies.a.tls.auto: {none}")]);
}

#[test]
fn faults_of_tls_need_tls() {
    let folder = Folder::new();
    folder.pair("own");
    let without = "it needs TLS with clients, `tls.auto` or `tls.cert`";
    let untrusted = "this fault needs `tls.auto`: clients have to trust who signs the certificate";
    let [fault, own] = ["--handler tls", "--tls-cert @own.pem --tls-key @own-key.pem"];
    for (flags, message) in [(fault.to_owned(), without), (format!("{fault} {own}"), untrusted)] {
        let [line] = &folder.lines(&flags)[..] else { panic!("one line: {flags}") };
        assert!(line.starts_with("--handler: ") && line.ends_with(message), "{line}");
    }
    folder.with(&format!("{fault} --handler-tls-fault unknown_ca {own}")).config();
    folder.with(&format!("{fault} --tls auto --tls-dir @")).config();
    let file = "handler = 'dummy'\nrules = [\n  '=> tls',\n]\n";
    let [line] = &Start::with("").and_file(file).lines()[..] else { panic!("one line") };
    assert!(line.starts_with("vaurien.toml:3: `=> tls") && line.ends_with(without), "{line}");
    // What is wrong with TLS itself is told once.
    assert_eq!(folder.lines(&format!("{fault} --tls-cert @own.pem")).len(), 1);
}

/// The mode of a file.
fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_authority_is_kept_where_the_user_has_data() {
    let folder = Folder::new();
    let home = folder.0.path().to_str().unwrap();
    let of = |start: Start| start.config().proxies[0].tls.as_ref().and_then(|tls| tls.authority().cloned()).unwrap();
    let first = of(Start::with("--tls auto").and_env("XDG_DATA_HOME", home));
    assert_eq!(mode(&folder.path("vaurien/ca-key.pem")), 0o600);
    assert_eq!(fs::read_to_string(folder.path("vaurien/ca.pem")).unwrap(), first.certificate_pem());
    assert_eq!(of(Start::with(&format!("--tls auto --tls-dir {home}/vaurien"))), first);
    let in_home = of(Start::with("--tls auto").and_env("HOME", home));
    assert_ne!(in_home, first);
    if cfg!(target_os = "linux") {
        assert_eq!(fs::read_to_string(folder.path(".local/share/vaurien/ca.pem")).unwrap(), in_home.certificate_pem());
    }
}

#[test]
fn nothing_is_made_that_is_not_used() {
    let folder = Folder::new();
    let dir = folder.path("tls");
    for flags in ["--check", "--print-config"] {
        let start = folder.with(&format!("--tls auto --tls-dir @tls {flags}"));
        assert!(matches!(start.run(), Err(Exit::Check(_) | Exit::Text(_))), "{flags}");
        assert!(!dir.exists(), "{flags}");
    }
    // One that is off, and one that takes its certificates from files.
    folder.pair("own");
    folder.with("--tls false --tls-dir @tls").config();
    folder.with("--tls-cert @own.pem --tls-key @own-key.pem --tls-dir @tls").config();
    assert!(!dir.exists());
}

#[test]
fn the_authority_is_shown() {
    let folder = Folder::new();
    let shown = |start: &Start| match start.run() {
        Err(Exit::Check(check)) => (check.lines, check.warnings.len()),
        other => panic!("no certificate: {other:?}"),
    };
    let args = folder.named("--tls-ca --tls-dir @tls");
    let (certificate, warnings) = shown(&Start::args(&args));
    assert_eq!((fs::read_to_string(folder.path("tls/ca.pem")).unwrap(), warnings), (certificate.clone(), 0));
    // Whatever else there is, and wherever the folder is named.
    assert_eq!(shown(&Start::args("--tls-ca").and_file(&folder.named("buffer = 0\ntls_dir = '@tls'"))).0, certificate);
    let variable = folder.path("tls").to_str().unwrap().to_owned();
    assert_eq!(shown(&Start::args("--tls-ca --buffer 0").and_env("VAURIEN_TLS_DIR", &variable)).0, certificate);
    fs::set_permissions(folder.path("tls/ca-key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(shown(&Start::args(&args)), (certificate, 1));
    fs::write(folder.path("tls/ca-key.pem"), "").unwrap();
    let [line] = &folder.short(Start::args(&args).lines())[..] else { panic!("one line") };
    assert!(line.starts_with("--tls-dir: `tls/ca-key.pem`: no certificate in it"), "{line}");
    let none = "there is no home folder to keep an authority in, say where: `--tls-dir FOLDER`";
    assert_eq!(Start::args("--tls-ca").lines(), [none]);
}

#[test]
fn what_is_doubtful_is_a_warning() {
    let folder = Folder::new();
    folder.pair("own");
    let warnings = |flags: &str| Start::args(&folder.named(flags)).config().warnings;
    assert_eq!(
        warnings("--backend a:1 --backend-insecure"),
        [
            "--backend-insecure: anybody who answers at a:1 can read and change everything that goes there: name its authority \
          in `backend_tls.ca` instead"
        ]
    );
    let blind = |port: u16, protocol: &str| {
        format!("--backend: servers at port {port} speak TLS, in which {protocol} finds no calls: add `--backend-tls`")
    };
    for (port, protocol) in [(443, "http"), (8443, "http"), (6380, "redis"), (443, "memcache")] {
        let flags = format!("--backend a:{port} --protocol {protocol}");
        assert_eq!(warnings(&flags), [blind(port, protocol)]);
        for more in ["--backend-tls", "--backend-tls false", "--protocol tcp"] {
            let flags =
                if more == "--protocol tcp" { format!("--backend a:{port} {more}") } else { format!("{flags} {more}") };
            assert!(warnings(&flags).is_empty(), "{flags}");
        }
    }
    assert!(warnings("--backend a:80 --protocol http --backend-ca @own.pem").is_empty());
    let file = Start::file("[proxies.a]\nbackend = 'a:443'\nprotocol = 'http'\n").config().warnings;
    let [warning] = &file[..] else { panic!("{file:?}") };
    assert!(warning.ends_with(": write `proxies.a.backend_tls.enabled = true`"), "{warning}");
    let mut key = folder.with("--tls auto --tls-dir @tls").config();
    assert_eq!(key.warnings, [""; 0]);
    fs::set_permissions(folder.path("tls/ca-key.pem"), fs::Permissions::from_mode(0o604)).unwrap();
    key = folder.with("--tls auto --tls-dir @tls").config();
    assert!(key.warnings[0].contains(": `chmod 600 "), "{:?}", key.warnings);
}

#[test]
fn no_output_is_written_over_a_certificate() {
    let folder = Folder::new();
    folder.pair("own");
    folder.write("key.html", fs::read(folder.path("own-key.pem")).unwrap());
    let lines = folder.lines("--tls-cert @own.pem --tls-key @key.html --report @key.html --events @own.pem");
    assert_eq!(
        lines,
        [
            "--events: `own.pem` is the file of --tls-cert too, give each a file of its own",
            "--report: `key.html` is the file of --tls-key too, give each a file of its own",
        ]
    );
    let both = [fs::read(folder.path("own.pem")).unwrap(), fs::read(folder.path("own-key.pem")).unwrap()].concat();
    folder.write("both.pem", both);
    assert_eq!(sides(&folder.with("--tls-cert @both.pem --tls-key @both.pem")), (true, false));
}

#[test]
fn a_demo_has_no_tls() {
    let line = "--demo: the demo's client and its backend speak HTTP without TLS, leave out options of TLS";
    for flags in ["--demo --backend-tls", "--demo --tls-cert a.pem --tls false"] {
        assert!(Start::args(flags).lines().contains(&line.to_owned()), "{flags}");
    }
}

#[test]
fn the_placeholder_needs_an_authority() {
    let folder = Folder::new();
    folder.pair("own");
    let line = "`{ca}` in the command: no proxy has certificates of an authority, add `--tls auto`";
    assert_eq!(folder.lines("-- curl --cacert {ca}"), [line]);
    assert_eq!(folder.lines("--tls-cert @own.pem --tls-key @own-key.pem -- curl --cacert {ca}"), [line]);
    folder.with("--tls auto --tls-dir @ -- curl --cacert {ca}").config();
}
