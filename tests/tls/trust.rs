//! A command trusts the authority of `--tls auto`, and whom it trusted before.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Backend, Pki, Program, http};

/// Variables with those that programs trust.
const VARIABLES: [&str; 5] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
];

/// Certificates of an authority, which is kept in the folder of the test.
const AUTO: &str = "--tls auto --tls-dir @tls";

/// The program with a proxy in front of `backend` and `sh -c` as its command; `@` in the options stands for the folder of `pki`.
fn shell(pki: &Pki, backend: &Backend, options: &str) -> Command {
    let address = backend.address();
    let mut command = Program::command(&pki.named(&format!("--backend {address} {options}")));
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.env_remove("SSL_CERT_DIR").args(["--", "sh", "-c"]);
    command
}

/// What `script` prints, which trusts `pki` alone but for the proxy.
#[track_caller]
fn printed(pki: &Pki, backend: &Backend, script: &str) -> String {
    let mut command = shell(pki, backend, &format!("--protocol http {AUTO}"));
    for name in VARIABLES {
        command.env(name, pki.path("ca.pem"));
    }
    let ended = Program::run(command.arg(script));
    assert_eq!(ended.code, Some(0), "{script}: {}\n{:#?}", ended.stdout, ended.lines);
    ended.stdout
}

/// The script asks one server through the proxy, and another, OTHER, that `pki` has signed.
#[track_caller]
fn asks_both(script: &str) {
    let (pki, backend) = (Pki::new(), http("behind the proxy"));
    let other = pki.backend("another host");
    let script = script.replace("OTHER", &format!("localhost:{}", other.address().port()));
    assert_eq!(printed(&pki, &backend, &script), "behind the proxy\nanother host\n", "{script}");
}

#[test]
#[ignore = "needs curl"]
fn curl_needs_no_option() {
    asks_both("for host in localhost:{port} OTHER; do curl -sS https://$host/; echo; done");
    asks_both("unset CURL_CA_BUNDLE; for host in {proxy} OTHER; do curl -sS https://$host/; echo; done");
}

#[test]
#[ignore = "needs python3"]
fn python_needs_no_option() {
    asks_both(
        "python3 -c 'import urllib.request\nfor host in \"localhost:{port}\", \"OTHER\": \
         print(urllib.request.urlopen(\"https://\" + host).read().decode())'",
    );
}

#[test]
#[ignore = "needs node"]
fn node_needs_no_option() {
    asks_both(
        "node -e '(async () => { for (const host of [\"localhost:{port}\", \"OTHER\"]) \
         console.log(await (await fetch(\"https://\" + host)).text()) })()'",
    );
}

#[test]
#[ignore = "needs curl"]
fn without_the_variables_curl_trusts_nobody() {
    let (pki, backend) = (Pki::new(), http("a"));
    let ask = "unset CURL_CA_BUNDLE SSL_CERT_FILE; curl -sS https://localhost:{port}/ 2>&1 | head -n 1";
    let said = printed(&pki, &backend, ask);
    assert!(said.starts_with("curl: (60) "), "{said}");
}

#[test]
fn variables_name_files_that_live_as_long_as_the_command() {
    let (pki, backend) = (Pki::new(), http("a"));
    let copy = "for name in VAURIEN_CA SSL_CERT_FILE CURL_CA_BUNDLE REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS \
                GRPC_DEFAULT_SSL_ROOTS_FILE_PATH; do eval file=\\$$name; echo $name $file $(stat -c %a $file); cp $file @$name; done; echo ca {ca} {{ca}}";
    let printed = printed(&pki, &backend, &pki.named(copy));
    let read = |name: &str| fs::read_to_string(pki.path(name)).unwrap();
    let (ours, theirs) = (read("tls/ca.pem"), read("ca.pem"));
    let mut files = BTreeMap::new();
    for line in printed.lines() {
        let [name, file, rest] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{printed}") };
        assert!(!Path::new(file).exists(), "{file}");
        files.insert(name, file);
        if name == "ca" {
            assert_eq!(rest, "{ca}");
            continue;
        }
        assert_eq!(rest, "644", "{name}");
        // The same, perhaps with other line ends.
        assert_eq!(read(name).replace('\r', ""), format!("{ours}{theirs}").replace('\r', ""), "{name}");
    }
    assert_eq!(files.len(), 7, "{printed}");
    assert_eq!(files["ca"], files["VAURIEN_CA"]);
}

#[test]
fn without_an_authority_nothing_is_set() {
    let (pki, backend) = (Pki::new(), http("a"));
    pki.write("own");
    let names = VARIABLES.map(|name| format!("${name}")).join(" ");
    for options in ["", "--tls-cert @cert.pem --tls-key @key.pem", "--backend-tls --backend-ca @ca.pem"] {
        let mut command = shell(&pki, &backend, options);
        for name in VARIABLES {
            command.env(name, "as-it-was");
        }
        let ended = Program::run(command.arg(format!("echo {names} $VAURIEN_CA")));
        assert_eq!(ended.stdout, ["as-it-was"; 5].join(" ") + "\n", "{options}: {:#?}", ended.lines);
    }
}

#[test]
fn what_cannot_be_added_to_stays_with_a_warning() {
    let (pki, backend) = (Pki::new(), http("a"));
    let mut command = shell(&pki, &backend, AUTO);
    command.env("SSL_CERT_FILE", "/nowhere/ca.pem").arg("echo $SSL_CERT_FILE; grep -c BEGIN $VAURIEN_CA");
    let ended = Program::run(&mut command);
    assert_eq!(ended.stdout, "/nowhere/ca.pem\n1\n", "{:#?}", ended.lines);
    let warnings: Vec<_> = ended.lines.iter().filter(|line| line.contains(" WARN ")).collect();
    for name in ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] {
        let why = format!("`{name}` stays as it is");
        assert!(warnings.iter().any(|line| line.contains(&why) && line.contains("`/nowhere/ca.pem`")), "{warnings:#?}");
    }
    // Once more at the end, when the command has written its own lines.
    let again = |line: &String| line.contains("warning: `SSL_CERT_FILE` stays as it is");
    assert!(ended.lines.iter().any(again), "{:#?}", ended.lines);
}

#[test]
fn a_vaurien_within_goes_on_trusting_the_outer_one() {
    let (pki, backend) = (Pki::new(), http("a"));
    let vaurien = env!("CARGO_BIN_EXE_vaurien");
    let inner = format!(
        "echo $SSL_CERT_FILE; {vaurien} --backend {{proxy}} --log-level error -- \
         sh -c 'echo $SSL_CERT_FILE $VAURIEN_CA'; echo $VAURIEN_GIVEN"
    );
    let printed = printed(&pki, &backend, &inner);
    let [outer, inner, given] = printed.lines().collect::<Vec<_>>()[..] else { panic!("{printed}") };
    assert_eq!(inner, outer);
    assert!(given.contains(&format!("VAURIEN_CA={outer}")) && !given.contains("SSL_CERT_FILE"), "{given}");
}

#[test]
fn the_ready_file_names_the_bundle() {
    let (pki, backend) = (Pki::new(), http("a"));
    let ended =
        Program::run(shell(&pki, &backend, &format!("{AUTO} --ready-file @ready")).arg(pki.named("cat @ready")));
    let line = ended.stdout.lines().find_map(|line| line.strip_prefix("VAURIEN_CA=")).expect(&ended.stdout);
    assert!(line.contains("vaurien-ca-") && !ended.stdout.contains("SSL_CERT_FILE"), "{}", ended.stdout);
}

#[test]
fn a_command_that_is_ended_leaves_no_file() {
    let (pki, backend) = (Pki::new(), http("a"));
    let ended = Program::run(shell(&pki, &backend, AUTO).arg("echo $VAURIEN_CA; kill -9 $$"));
    assert_eq!(ended.code, Some(137), "{:#?}", ended.lines);
    assert!(ended.stdout.contains("vaurien-ca-") && !Path::new(ended.stdout.trim()).exists(), "{}", ended.stdout);
}
