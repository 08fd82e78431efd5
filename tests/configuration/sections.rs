//! The program's own sections: the HTTP API, statsd, the file of events.

use std::path::Path;

use vaurien::program::config::{Config, Token};

use crate::Start;

#[test]
fn without_being_asked_for_there_are_none() {
    let config = Start::with("--http-port 1 --http-token secret --http-token-file absent --statsd-port 1").config();
    assert!(config.http.is_none() && config.statsd.is_none() && config.events.is_none());
    let config = Start::with("").and_file("http.enabled = false\n[statsd]\nenabled = false").config();
    assert!(config.http.is_none() && config.statsd.is_none());
}

#[test]
fn what_does_nothing_is_warned_of() {
    let start = Start::with("--http-port 1 --statsd-prefix x").and_env("VAURIEN_HTTP_TOKEN", "s3cret");
    assert_eq!(
        start.config().warnings,
        [
            "`--http-port` has no effect without `--http`",
            "`VAURIEN_HTTP_TOKEN` has no effect without `--http`",
            "`--statsd-prefix` has no effect without `--statsd-enabled`"
        ]
    );
    for line in ["", "--http --http-port 1 --statsd-enabled --statsd-port 1", "--http false --http-port 1"] {
        assert!(Start::with(line).config().warnings.is_empty(), "{line}");
    }
    for file in ["[http]", "[http]\nenabled = false\nport = 2"] {
        assert!(Start::with("--http-port 1").and_file(file).config().warnings.is_empty(), "{file}");
    }
}

#[test]
fn a_table_alone_turns_on_what_it_is_about() {
    let config = Start::with("").and_file("[http]\n[statsd]\n").config();
    let (http, statsd) = (config.http.unwrap(), config.statsd.unwrap());
    assert_eq!((http.host.as_str(), http.port), ("localhost", 8080));
    assert!(http.allow_hosts.is_empty() && http.token.is_none());
    assert_eq!((statsd.host.as_str(), statsd.port, statsd.prefix.as_str()), ("localhost", 8125, "vaurien"));
    assert!(Start::with("--http").config().http.is_some());
    assert!(Start::with("").and_env("VAURIEN_HTTP", "true").config().http.is_some());
    // The stronger wins here as well.
    assert!(Start::with("--http false").and_file("[http]\nport = 1").config().http.is_none());
    assert!(Start::with("--http").and_file("[http]\nenabled = false").config().http.is_some());
}

/// All that can be asked for, the same by flags, variables and file.
fn assert_everything(config: &Config) {
    let (http, statsd) = (config.http.as_ref().unwrap(), config.statsd.as_ref().unwrap());
    assert_eq!((http.host.as_str(), http.port), ("::1", 0));
    let allowed: Vec<String> = http.allow_hosts.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["a.test:9000", "[2001:db8::1]"]);
    assert_eq!(http.token.as_ref().map(Token::secret), Some("-s3cret=="));
    assert_eq!((statsd.host.as_str(), statsd.port, statsd.prefix.as_str()), ("stats", 9, "ci.chaos"));
    assert_eq!(config.events.as_deref(), Some(Path::new("events.jsonl")));
}

#[test]
fn flags_variables_and_file_mean_the_same() {
    let flags = "--http --http-host [::1] --http-port 0 --http-allow-host a.test:9000,[2001:db8::1] --http-token -s3cret== \
                 --statsd-enabled --statsd-host stats --statsd-port 9 --statsd-prefix ci.chaos --events events.jsonl";
    assert_everything(&Start::with(flags).config());
    let variables = [
        ("VAURIEN_HTTP", "true"),
        ("VAURIEN_HTTP_HOST", "::1"),
        ("VAURIEN_HTTP_PORT", "0"),
        ("VAURIEN_HTTP_ALLOW_HOST", "a.test:9000, 2001:db8::1"),
        ("VAURIEN_HTTP_TOKEN", "-s3cret=="),
        ("VAURIEN_STATSD_ENABLED", "true"),
        ("VAURIEN_STATSD_HOST", "stats"),
        ("VAURIEN_STATSD_PORT", "9"),
        ("VAURIEN_STATSD_PREFIX", "ci.chaos"),
        ("VAURIEN_EVENTS", "events.jsonl"),
    ];
    let start = variables.iter().fold(Start::with(""), |start, (name, value)| start.and_env(name, value));
    assert_everything(&start.config());
    for hosts in ["['a.test:9000', '[2001:db8::1]']", "'a.test:9000,[2001:db8::1]'"] {
        let file = format!(
            "backend = 'a:1'\nevents = 'events.jsonl'\n[http]\nhost = '::1'\nport = 0\nallow_host = {hosts}\n\
             token = '-s3cret=='\n[statsd]\nhost = 'stats'\nport = 9\nprefix = 'ci.chaos'\n"
        );
        assert_everything(&Start::file(&file).config());
    }
}

#[test]
fn mistakes_are_one_line_each() {
    let file = "\
http.port = 70000
http.host = 'a b'
http.allow_host = 5
http.tokn = 'secret'
events = ''

[statsd]
port = 0
prefix = 'a:b'
host = ''
";
    assert_eq!(
        Start::with("--http-allow-host a,,b --statsd-port x").and_file(file).lines(),
        [
            "vaurien.toml:1: http.port: `70000` is not a port, a port is 0 to 65535",
            "vaurien.toml:2: http.host: `a b` is not a host, write a name or an IP address",
            "vaurien.toml:3: http.allow_host: `5` is not a list of hosts",
            "vaurien.toml:4: unknown key `tokn` in `[http]`, did you mean `token`?",
            "vaurien.toml:5: events: the path is empty, name a file",
            "vaurien.toml:8: statsd.port: `0` is not a port to send to, give 1 to 65535",
            "vaurien.toml:9: statsd.prefix: `a:b` is not a prefix, use letters, digits, `.`, `_` and `-`",
            "vaurien.toml:10: statsd.host: `` is not a host, write a name or an IP address",
            "--http-allow-host: `` is not a host, write `chaos.example` or `chaos.example:8080`",
            "--statsd-port: `x` is not a whole number, 0 to 65535",
        ]
    );
    for (text, message) in [
        ("http = true", "`http` is not a table, write `[http]`"),
        ("[[statsd]]", "`statsd` is not a table, write `[statsd]`"),
        ("[htpp]", "unknown key `htpp`, did you mean `http`?"),
        ("http.allow_host = [5]", "http.allow_host: `5` is not text, a list holds text only"),
        (
            "http.allow_host = ['a:x']",
            "http.allow_host: `a:x` is not a host, write `chaos.example` or `chaos.example:8080`",
        ),
    ] {
        assert_eq!(Start::with("").and_file(text).lines(), [format!("vaurien.toml:1: {message}")], "{text}");
    }
}

#[test]
fn a_token_can_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let start = || Start::with(&format!("--http --http-token-file {}", path.display()));
    std::fs::write(&path, "\n s3cret \n").unwrap();
    assert_eq!(start().config().http.unwrap().token.as_ref().map(Token::secret), Some("s3cret"));
    let shown = path.display();
    let both = start().and_env("VAURIEN_HTTP_TOKEN", "s3cret");
    assert_eq!(both.lines(), ["--http-token-file: the token is also given by VAURIEN_HTTP_TOKEN, give one of them"]);
    std::fs::write(&path, " \n").unwrap();
    assert_eq!(start().lines(), [format!("--http-token-file: the token is empty, in `{shown}`")]);
    std::fs::remove_file(&path).unwrap();
    let absent = format!("--http-token-file: cannot read `{shown}`: no such file or directory");
    assert_eq!(start().lines(), [absent]);
}

#[test]
fn an_empty_token_is_a_mistake_wherever_it_is() {
    let empty = "the token is empty";
    let no_file = "the path is empty, name a file";
    for http in ["--http", ""] {
        let start = || Start::with(http);
        assert_eq!(start().and_env("VAURIEN_HTTP_TOKEN", "").lines(), [format!("VAURIEN_HTTP_TOKEN: {empty}")]);
        let file = start().and_env("VAURIEN_HTTP_TOKEN_FILE", "");
        assert_eq!(file.lines(), [format!("VAURIEN_HTTP_TOKEN_FILE: {no_file}")]);
        for (flag, what) in [("--http-token", empty), ("--http-token-file", no_file)] {
            let mut start = start();
            start.args.extend([flag.into(), "".into()]);
            assert_eq!(start.lines(), [format!("{flag}: {what}")]);
            assert_eq!(Start::with(&format!("{http} {flag}=")).lines(), [format!("{flag}: {what}")]);
        }
        for (key, what) in [("token", empty), ("token_file", no_file)] {
            let lines = start().and_file(&format!("http.{key} = ''")).lines();
            assert_eq!(lines, [format!("vaurien.toml:1: http.{key}: {what}")]);
        }
    }
}

#[test]
fn a_file_without_an_end_is_not_read_to_it() {
    let start = Start::with("--http --http-token-file /dev/zero");
    assert_eq!(start.lines(), ["--http-token-file: cannot read `/dev/zero`: it has more than 4 KiB"]);
    let start = Start::with("--config /dev/zero");
    assert_eq!(start.lines(), ["--config: cannot read `/dev/zero`: it has more than 16 MiB"]);
}

#[test]
fn two_outputs_are_two_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir(path("sub")).unwrap();
    std::fs::write(path("old.json"), "").unwrap();
    std::fs::hard_link(path("old.json"), path("hard.json")).unwrap();
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
    link("old.json", "link.json");
    link("new.json", "dangling.json");
    link("sub", "folder");
    for (one, other) in [
        ("new.json", "new.json"),
        ("new.json", "./new.json"),
        ("new.json", "sub/../new.json"),
        ("new.json", "dangling.json"),
        ("dangling.json", "new.json"),
        ("old.json", "link.json"),
        ("old.json", "hard.json"),
        ("sub/new.json", "folder/new.json"),
    ] {
        let (one, other) = (path(one), path(other));
        let same = |one: &str, place: &str, flag: &str| {
            format!("{flag}: `{one}` is the file of {place} too, give each a file of its own")
        };
        let start = Start::with(&format!("--events {one} --report {other}"));
        assert_eq!(start.lines(), [same(&other, "--events", "--report")]);
        let start = Start::with(&format!("--events {one} --ready-file {other}"));
        assert_eq!(start.lines(), [same(&other, "--events", "--ready-file")]);
        let start = Start::with(&format!("--report {one} --ready-file {other}"));
        assert_eq!(start.lines(), [same(&other, "--report", "--ready-file")]);
        let start = Start::with(&format!("--report {one},{other}"));
        assert_eq!(start.lines(), [same(&other, "--report", "--report")]);
        assert_eq!(Start::with("").and_file(&format!("events = '{one}'\nrun.report = '{other}'")).lines().len(), 1);
    }
    let start = Start::with(&format!("--events {} --report {}", path("old.json"), path("new.json")));
    assert!(start.run().is_ok());
    // Nothing is lost if two write to a device.
    assert!(Start::with("--events /dev/null --ready-file /dev/null").run().is_ok());
}

#[test]
fn an_output_is_no_input() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token.json");
    std::fs::write(&token, "s3cret").unwrap();
    let token = token.display();
    let start = Start::with(&format!("--http --http-token-file {token} --report {token}"));
    let same = format!("--report: `{token}` is the file of --http-token-file too, give each a file of its own");
    assert_eq!(start.lines(), [same]);
    let start = Start::file("backend = 'a:1'\n");
    let file = start.args.last().unwrap().clone();
    let mut start = start;
    start.args.extend(["--events".into(), file]);
    assert_eq!(start.lines(), ["--events: `vaurien.toml` is the file of --config too, give each a file of its own"]);
}

/// Wherever it is and whatever is wrong with it.
#[test]
fn a_token_is_never_shown() {
    let unusable = "the token has characters that cannot be in a header, use ASCII without spaces";
    for (text, message) in [
        ("http.token = 's3cret key'", format!("http.token: {unusable}")),
        ("http.token = 's3crét'", format!("http.token: {unusable}")),
        ("http.token = ''", "http.token: the token is empty".to_owned()),
        ("http.token = 53", "http.token: the value is not text, put it in quotes".to_owned()),
        ("http.token = ['s3cret']", "http.token: the value is not text, put it in quotes".to_owned()),
        ("http.token.s3 = 's3cret'", "http.token: the value is not text, put it in quotes".to_owned()),
        ("http = ['s3cret']", "`http` is not a table, write `[http]`".to_owned()),
    ] {
        assert_eq!(Start::with("").and_file(text).lines(), [format!("vaurien.toml:1: {message}")], "{text}");
    }
    let start = Start::with("").and_env("VAURIEN_HTTP_TOKEN", "s3cret\u{e9}");
    assert_eq!(start.lines(), [format!("VAURIEN_HTTP_TOKEN: {unusable}")]);
    assert_eq!(
        Start::with("--http --http-token --s3cret --http-token -s3cret").lines(),
        ["`--http-token` is given twice, give it once"]
    );
    for token in ["--s3cret", "-s3cret", "12", "true", "null"] {
        let config = Start::with(&format!("--http --http-token {token}")).config();
        let debug = format!("{config:?}");
        assert!(!debug.contains("s3cret") && debug.contains("Token(…)"), "{debug}");
        assert_eq!(config.http.unwrap().token.as_ref().map(Token::secret), Some(token));
    }
    let start = Start::args("--http-token s3cret --help");
    assert!(!start.help().contains("s3cret"));
}
