//! Flags, variables and the file mean the same, the stronger wins, and every mistake is one line that says where, what,
//! and what would be right.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vaurien::config::{Address, Config, Exit, Format, Level, ProxyConfig};
use vaurien::handler::{Delay, Dummy, Handler, Registry};
use vaurien::mix::Mix;
use vaurien::protocol::Protocol;
use vaurien::seconds::Seconds;

/// A program about to start: its arguments, its environment, its file.
#[derive(Default)]
struct Start {
    args: Vec<OsString>,
    env: HashMap<String, String>,
    registry: Registry,
    folder: Option<tempfile::TempDir>,
}

impl Start {
    fn args(line: &str) -> Self {
        Self { args: line.split_whitespace().map(OsString::from).collect(), ..Self::default() }
    }

    /// With a backend, so that the rest is what is tested.
    fn with(line: &str) -> Self {
        Self::args(&format!("--backend localhost:6379 {line}"))
    }

    fn file(text: &str) -> Self {
        Self::default().and_file(text)
    }

    fn and_file(mut self, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vaurien.toml");
        std::fs::write(&path, text).unwrap();
        self.args.extend(["--config".into(), path.into()]);
        self.folder = Some(folder);
        self
    }

    fn and_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn run(&self) -> Result<Config, Exit> {
        let args = std::iter::once("vaurien".into()).chain(self.args.clone());
        Config::from_args(args, |name| self.env.get(name).cloned(), &self.registry)
    }

    #[track_caller]
    fn config(&self) -> Config {
        self.run().unwrap_or_else(|exit| panic!("{exit}"))
    }

    /// The lines that it ends with; the file is `vaurien.toml`, wherever it is.
    #[track_caller]
    fn lines(&self) -> Vec<String> {
        let mistakes = match self.run() {
            Err(Exit::Mistakes(mistakes)) => mistakes,
            other => panic!("no mistakes: {other:?}"),
        };
        let folder = self.folder.as_ref().map_or(Path::new("?"), tempfile::TempDir::path);
        let folder = format!("{}/", folder.display());
        mistakes.iter().map(|mistake| mistake.to_string().replace(&folder, "")).collect()
    }

    fn help(&self) -> String {
        match self.run() {
            Err(Exit::Help(text)) => text,
            other => panic!("no help: {other:?}"),
        }
    }
}

const MISSING: &str =
    "the backend is missing, give `--backend HOST:PORT`, or VAURIEN_BACKEND, or `backend` in the file";
const KNOWN: &str = "(known: blackout, delay, dummy, error, hang)";

// What is right.

#[test]
fn a_backend_is_all_it_needs() {
    let config = Start::args("--backend localhost:6379").config();
    assert_eq!(config.proxy.name, "default");
    assert_eq!(config.proxy.listen, Address::new("localhost", 8000));
    assert_eq!(config.proxy.backend, Address::new("localhost", 6379));
    assert_eq!(config.proxy.protocol, Protocol::Tcp);
    assert_eq!(config.proxy.mix.to_string(), "dummy");
    assert_eq!(config.proxy.buffer, None);
    assert_eq!((config.proxy.keep_alive, config.proxy.reuse_socket), (false, false));
    assert_eq!(config.proxy.pool_size, 100);
    assert_eq!(config.proxy.pool_timeout, Duration::from_secs(30));
    assert_eq!(config.proxy.connect_timeout, Duration::from_secs(10));
    assert_eq!((config.log.level, config.log.format), (Level::Info, Format::Text));
    assert!(!config.demo);
}

/// All that can be asked for, the same by flags, variables and file.
fn assert_everything(config: &Config) {
    assert_eq!(config.proxy.listen.to_string(), "[::1]:0");
    assert_eq!(config.proxy.backend.to_string(), "db.example:6379");
    assert_eq!(config.proxy.protocol, Protocol::Memcache);
    assert_eq!(config.proxy.mix.to_string(), "20:delay,0.5:error");
    assert_eq!(config.proxy.buffer, Some(1));
    assert_eq!((config.proxy.keep_alive, config.proxy.reuse_socket), (true, true));
    assert_eq!(config.proxy.pool_size, 7);
    assert_eq!(config.proxy.pool_timeout, Duration::from_millis(1500));
    assert_eq!(config.proxy.connect_timeout, Duration::from_millis(250));
    assert_eq!(config.seed, u64::MAX);
    assert_eq!((config.log.level, config.log.format), (Level::Trace, Format::Json));
}

#[test]
fn flags_variables_and_file_mean_the_same() {
    let flags = "--proxy [::1]:0 --backend db.example:6379 --protocol memache --handler 20:delay,0.5:error --buffer 1 \
                 --keep-alive --reuse-socket true --pool-size 7 --pool-timeout 1.5 --connect-timeout 250ms \
                 --seed 18446744073709551615 --log-level trace --log-format json";
    assert_everything(&Start::args(flags).config());

    let variables = [
        ("VAURIEN_PROXY", "[::1]:0"),
        ("VAURIEN_BACKEND", "db.example:6379"),
        ("VAURIEN_PROTOCOL", "memcache"),
        ("VAURIEN_HANDLER", "20:delay,0.5:error"),
        ("VAURIEN_BUFFER", "1"),
        ("VAURIEN_KEEP_ALIVE", "true"),
        ("VAURIEN_REUSE_SOCKET", "true"),
        ("VAURIEN_POOL_SIZE", "7"),
        ("VAURIEN_POOL_TIMEOUT", "1500ms"),
        ("VAURIEN_CONNECT_TIMEOUT", "0.25"),
        ("VAURIEN_SEED", "18446744073709551615"),
        ("VAURIEN_LOG_LEVEL", "trace"),
        ("VAURIEN_LOG_FORMAT", "json"),
    ];
    let start = variables.iter().fold(Start::default(), |start, (name, value)| start.and_env(name, value));
    assert_everything(&start.config());

    let file = "proxy = '[::1]:0'\nbackend = 'db.example:6379'\nprotocol = 'memcache'\nhandler = '20:delay,0.5:error'\n\
                buffer = 0x1\nkeep_alive = true\nreuse_socket = true\npool_size = 7\npool_timeout = 1.5\n\
                connect_timeout = '250ms'\nseed = 18446744073709551615\nlog_level = 'trace'\nlog_format = 'json'\n";
    assert_everything(&Start::file(file).config());
}

#[test]
fn the_command_line_beats_the_environment_beats_the_file() {
    let file = "backend = 'file:1'\nbuffer = 10\npool_size = 10\nkeep_alive = true";
    let start = Start::args("--buffer 30 --keep-alive false").and_file(file);
    let start = start.and_env("VAURIEN_BUFFER", "20").and_env("VAURIEN_POOL_SIZE", "20");
    let config = start.config();
    assert_eq!((config.proxy.buffer, config.proxy.pool_size), (Some(30), 20));
    assert_eq!(config.proxy.backend.host, "file");
    assert!(!config.proxy.keep_alive);
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let start = Start::file("backend = 'file:1'").and_env("VAURIEN_BACKEND", "").and_env("VAURIEN_CONFIG", "");
    assert_eq!(start.config().proxy.backend.host, "file");
    assert_eq!(Start::default().and_env("VAURIEN_BACKEND", "").lines(), [MISSING]);
}

#[test]
fn a_variable_can_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.toml");
    std::fs::write(&path, "backend = 'there:1'").unwrap();
    let start = Start::default().and_env("VAURIEN_CONFIG", path.to_str().unwrap());
    assert_eq!(start.config().proxy.backend.host, "there");
    // The flag's file is the only one then.
    assert_eq!(start.and_file("backend = 'here:1'").config().proxy.backend.host, "here");
}

#[test]
fn a_switch_alone_means_true() {
    for (line, keep_alive) in [
        ("--keep-alive", true),
        ("--keep-alive --buffer 5", true),
        ("--keep-alive true", true),
        ("--keep-alive=true", true),
        ("--keep-alive false", false),
    ] {
        assert_eq!(Start::with(line).config().proxy.keep_alive, keep_alive, "{line}");
    }
}

#[test]
fn behavior_is_handler() {
    let config = Start::with("--behavior 20:delay --behavior-delay-sleep 250ms").config();
    assert_eq!(config.proxy.mix.to_string(), "20:delay");
    assert_eq!(Start::with("--behavior-delay-sleep x").lines().len(), 1);
}

#[test]
fn the_seed_is_random_unless_given() {
    let start = Start::with("");
    assert_ne!(start.config().seed, start.config().seed);
    assert_eq!(Start::with("--seed 42").config().seed, 42);
}

#[test]
fn the_demo_needs_no_backend() {
    let config = Start::args("--demo").config();
    assert!(config.demo);
    assert_eq!(config.proxy.protocol, Protocol::Http);
    let drawn: Vec<_> = config.proxy.mix.shares().iter().map(|share| share.name().to_owned()).collect();
    assert_eq!(drawn.len(), 5, "all five handlers: {drawn:?}");
    let config = Start::args("--demo --handler 5:hang").config();
    assert_eq!(config.proxy.mix.to_string(), "5:hang");
}

#[test]
fn a_connection_option_of_a_handler_in_the_mix_is_the_proxys() {
    let line =
        "--protocol redis --buffer 10 --handler 20:delay --handler-delay-protocol http --handler-error-buffer 20";
    let config = Start::with(line).config();
    assert_eq!(config.proxy.protocol, Protocol::Http);
    assert_eq!(config.proxy.buffer, Some(10), "`error` is not in the mix");

    let file = "backend = 'a:1'\nhandler = 'delay'\n[handlers.delay]\nkeep_alive = true\nreuse_socket = true\n";
    let config = Start::file(file).config();
    assert_eq!((config.proxy.keep_alive, config.proxy.reuse_socket), (true, true));

    // What is left of the mix is `dummy`'s, so that is in the mix as well.
    assert_eq!(Start::with("--handler 20:delay --handler-dummy-buffer 3").config().proxy.buffer, Some(3));
    assert_eq!(Start::with("--handler 100:delay --handler-dummy-buffer 3").config().proxy.buffer, None);
}

#[test]
fn handlers_that_agree_do_not_disagree() {
    let line = "--handler 20:delay,5:error --handler-delay-protocol memache --handler-error-protocol memcache";
    assert_eq!(Start::with(line).config().proxy.protocol, Protocol::Memcache);
}

#[test]
fn a_proxy_can_be_configured_without_a_file() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let backend = listener.local_addr().unwrap();
    let slow = Delay { sleep: Seconds::from_millis(5), before: false };
    let config = ProxyConfig::new("127.0.0.1:0", backend).unwrap().handler(Mix::of("delay", slow));
    assert_eq!(config.backend.port, backend.port());
    assert_eq!(config.mix.to_string(), "delay");
    assert_eq!((config.pool_size, config.connect_timeout), (100, Duration::from_secs(10)));

    let mistakes = ProxyConfig::new("localhost", ":1").unwrap_err().to_string();
    assert_eq!(
        mistakes,
        "proxy: `localhost` has no port, write `localhost:PORT`\n\
         backend: `:1` has no host, write `localhost:1`, or `0.0.0.0:1` for every interface"
    );
}

// A user's own handler.

/// Stumbles now and then.
///
/// More than its first paragraph does not fit into the help.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Stumble {
    /// Every so manieth call.
    #[schemars(extend("x-unit" = "calls"))]
    every: u64,
    /// How it falls.
    how: How,
    /// Where it hurts.
    where_it_hurts: Option<String>,
    /// On which keys.
    keys: Vec<String>,
    /// How high.
    #[serde(deserialize_with = "at_most_one")]
    height: f64,
    #[serde(skip)]
    count: u64,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum How {
    /// Slowly.
    #[default]
    Softly,
    /// At once.
    VeryHard,
}

fn at_most_one<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let height = f64::deserialize(deserializer)?;
    if height <= 1.0 { Ok(height) } else { Err(serde::de::Error::custom(format_args!("`{height}` is too high"))) }
}

impl Handler for Stumble {}

/// Has no settings at all.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Bare;

impl Handler for Bare {}

fn own(mut start: Start) -> Start {
    start.registry = Registry::default().with::<Stumble>("stumble_on").with::<Bare>("bare");
    start
}

#[test]
fn a_users_own_handler_has_flags_variables_and_keys() {
    let flags = "--handler 5:stumble_on,5:bare --handler-stumble-on-every 3 --handler-stumble-on-how very_hard \
                 --handler-stumble-on-where-it-hurts 7 --handler-stumble-on-keys [\"a\",\"b\"] --handler-stumble-on-buffer 9";
    let config = own(Start::with(flags)).and_env("VAURIEN_HANDLER_STUMBLE_ON_HEIGHT", "0.5").config();
    assert_eq!(config.proxy.mix.to_string(), "5:stumble_on,5:bare");
    assert_eq!(config.proxy.buffer, Some(9));
    let file = "backend = 'a:1'\n[handlers.stumble_on]\nhow = 'softly'\nkeys = ['a']\nheight = 1\n[handlers.bare]\n";
    own(Start::file(file)).config();
    let help = own(Start::args("--help")).help();
    for line in [
        "--handler-stumble-on-every <CALLS>",
        "Every so manieth call [default: 0]",
        "[default: softly]",
        "  stumble_on  Stumbles now and then\n",
        "  bare        Has no settings at all\n",
    ] {
        assert!(help.contains(line), "{line}\n{help}");
    }
    assert!(!help.contains("stumble-on-count") && !help.contains("paragraph"), "{help}");
}

#[test]
fn a_users_own_settings_are_checked_like_the_others() {
    let file = "backend = 'a:1'\n[handlers.stumble_on]\nevery = -1\nhow = 'soft'\nkeys = 'a'\nheight = 2\ncount = 1\n\
                [handlers.bare]\nwhy = 1\n";
    assert_eq!(
        own(Start::file(file)).lines(),
        [
            "vaurien.toml:7: unknown key `count` in `[handlers.stumble_on]` (known: every, how, where_it_hurts, keys, \
             height, protocol, buffer, keep_alive, reuse_socket)",
            "vaurien.toml:9: unknown key `why` in `[handlers.bare]` (known: protocol, buffer, keep_alive, reuse_socket)",
            "vaurien.toml:3: handlers.stumble_on.every: `-1` is not a whole number of calls, 0 or more",
            "vaurien.toml:4: handlers.stumble_on.how: `soft` is not one of softly, very_hard, did you mean `softly`?",
            "vaurien.toml:5: handlers.stumble_on.keys: `a` is not of type array",
            "vaurien.toml:6: handlers.stumble_on.height: `2` is too high",
        ]
    );
}

#[test]
fn a_user_can_put_a_handler_in_anothers_place() {
    let registry = Registry::default().with::<Dummy>("delay");
    assert_eq!(registry.names().collect::<Vec<_>>(), ["blackout", "delay", "dummy", "error", "hang"]);
    let start = Start { registry, ..Start::with("--handler-delay-sleep 1") };
    assert!(start.lines()[0].starts_with("unknown option `--handler-delay-sleep`"));
}

#[test]
#[should_panic(expected = "`My Handler` cannot be a handler's name")]
fn a_name_must_fit_into_flags() {
    let _ = Registry::default().with::<Dummy>("My Handler");
}

// What is wrong, by flag.

#[test]
fn wrong_flags_are_one_line_each() {
    let cases = [
        ("--buffer 0", "--buffer: `0` is too small, a read takes 1 to 16777216 bytes"),
        ("--buffer 16777217", "--buffer: `16777217` is too large, a read takes 1 to 16777216 bytes"),
        ("--buffer -1", "--buffer: `-1` is not a whole number of bytes, 0 or more"),
        ("--buffer 1.5", "--buffer: `1.5` is not a whole number of bytes, 0 or more"),
        ("--buffer 2k", "--buffer: `2k` is not a whole number of bytes, 0 or more"),
        ("--pool-size 0", "--pool-size: `0` is too small, a pool keeps 1 to 65536 connections"),
        ("--pool-size 65537", "--pool-size: `65537` is too large, a pool keeps 1 to 65536 connections"),
        ("--pool-timeout -1", "--pool-timeout: `-1` is negative, a time is 0 or more"),
        ("--connect-timeout 0", "--connect-timeout: `0` leaves no time to connect, give more than 0"),
        ("--connect-timeout x", "--connect-timeout: `x` is no time, write seconds (`0.25`) or a unit (`250ms`)"),
        ("--seed 1e3", "--seed: `1e3` is not a whole number, 0 or more"),
        ("--keep-alive yes", "--keep-alive: `yes` is not true or false"),
        ("--reuse-socket 1", "--reuse-socket: `1` is not true or false"),
        ("--protocol htp", "--protocol: `htp` is not one of tcp, redis, memcache, http, did you mean `http`?"),
        ("--protocol smtps", "--protocol: `smtps` is not one of tcp, redis, memcache, http"),
        ("--log-level inf", "--log-level: `inf` is not one of error, warn, info, debug, trace, did you mean `info`?"),
        ("--log-format xml", "--log-format: `xml` is not one of text, json"),
        ("--proxy localhost", "--proxy: `localhost` has no port, write `localhost:PORT`"),
        ("--proxy ::1:80", "--proxy: `::1:80` is an IPv6 address without brackets, write `[::1]:80`"),
        ("--proxy a:99999", "--proxy: `a:99999` has the port `99999`, a port is a number up to 65535"),
        ("--handler-delay-sleep -1", "--handler-delay-sleep: `-1` is negative, a time is 0 or more"),
        (
            "--handler-delay-sleep 1e9",
            "--handler-delay-sleep: `1e9` is too long, a time is at most a year (31536000 seconds)",
        ),
        ("--handler-delay-before 0", "--handler-delay-before: `0` is not true or false"),
        ("--handler-error-warmup x", "--handler-error-warmup: `x` is not a whole number of calls, 0 or more"),
    ];
    for (line, message) in cases {
        assert_eq!(Start::with(line).lines(), [message], "{line}");
    }
}

#[test]
fn a_backend_is_an_address_that_can_be_dialled() {
    assert_eq!(Start::default().lines(), [MISSING]);
    for (backend, message) in [
        ("localhost:0", "`localhost:0` has the port 0, a backend's port is 1 to 65535"),
        ("localhost", "`localhost` has no port, write `localhost:PORT`"),
        ("redis://localhost:6379", "`redis://localhost:6379` is a URL, an address is `host:port` alone"),
    ] {
        assert_eq!(Start::args(&format!("--backend {backend}")).lines(), [format!("--backend: {message}")]);
    }
}

#[test]
fn wrong_mixes_are_one_line_each_mistake() {
    let delya = format!("unknown handler `delya` {KNOWN}, did you mean `delay`?");
    let cases = [
        ("delya", vec![delya.as_str()]),
        ("20:delya", vec![&delya]),
        ("120:delay", vec!["the percentages add up to 120, at most 100 is possible"]),
        ("60:delay,50.5:error", vec!["the percentages add up to 110.5, at most 100 is possible"]),
        ("-5:error", vec!["`-5` is negative, a percentage is 0 to 100"]),
        ("NaN:error", vec!["`NaN` is no percentage, write `20:delay`"]),
        ("inf:error", vec!["`inf` is no percentage, write `20:delay`"]),
        ("lots:error", vec!["`lots` is no percentage, write `20:delay`"]),
        ("5:error,5:error", vec!["`error` is there twice, give each handler one percentage"]),
        ("5:error,,5:delay", vec!["`5:error,,5:delay` has an empty entry, write `delay` or `20:delay,5:error`"]),
        ("5:error,", vec!["`5:error,` has an empty entry, write `delay` or `20:delay,5:error`"]),
        ("", vec!["`` has an empty entry, write `delay` or `20:delay,5:error`"]),
        ("5:", vec!["`5:` names no handler, write `20:delay`"]),
        ("5", vec!["`5` names no handler, write `20:delay`"]),
        (":error", vec!["`:error` has no percentage, write `20:error`"]),
        ("5:delay,error", vec!["`error` has no percentage, write `20:error`"]),
        ("delay:20", vec!["`delay:20` is the wrong way round, write `20:delay`"]),
        (
            "-1:delya,200:error",
            vec![
                "`-1` is negative, a percentage is 0 to 100",
                &delya,
                "the percentages add up to 200, at most 100 is possible",
            ],
        ),
    ];
    for (mix, messages) in cases {
        let lines: Vec<_> = messages.iter().map(|message| format!("--handler: {message}")).collect();
        assert_eq!(Start::with(&format!("--handler={mix}")).lines(), lines, "{mix}");
        // The same in the file, where the line is enough of a place.
        let lines: Vec<_> = messages.iter().map(|message| format!("vaurien.toml:2: {message}")).collect();
        assert_eq!(Start::file(&format!("backend = 'a:1'\nhandler = '{mix}'")).lines(), lines, "{mix}");
    }
}

#[test]
fn a_command_line_that_cannot_be_read_is_one_line() {
    for (line, message) in [
        ("--bakend a:1", "unknown option `--bakend`, did you mean `--backend`?"),
        ("--bakend=a:1", "unknown option `--bakend`, did you mean `--backend`?"),
        ("--handler-delay-slep 1", "unknown option `--handler-delay-slep`, did you mean `--handler-delay-sleep`?"),
        (
            "--handler-hang-protocol tcp",
            "unknown option `--handler-hang-protocol`, did you mean `--handler-delay-protocol`?",
        ),
        ("--frobnicate", "unknown option `--frobnicate`, see --help"),
        ("-x", "unknown option `-x`, see --help"),
        ("-", "`-` belongs to no option, see --help"),
        ("--handler -5:error", "unknown option `-5`, a value that begins with `-` goes behind `=`: `--option=-5`"),
        ("localhost:6379", "`localhost:6379` belongs to no option, see --help"),
        ("--backend", "`--backend` needs a value, see --help"),
        ("--backend --proxy a:1", "`--backend` needs a value, see --help"),
        ("--proxy a:1 --proxy b:1", "`--proxy` is there twice, give it once"),
        ("--handler delay --behavior error", "`--handler` is there twice, give it once"),
        ("--demo=yes", "`--demo` takes no value"),
    ] {
        assert_eq!(Start::args(line).lines(), [message], "{line}");
    }
}

#[cfg(unix)]
#[test]
fn a_command_line_that_is_no_text_is_one_line() {
    use std::os::unix::ffi::OsStringExt as _;
    let start = Start { args: vec!["--backend".into(), OsString::from_vec(vec![0xff])], ..Start::default() };
    assert_eq!(start.lines(), ["the command line is not UTF-8"]);
}

#[test]
fn a_wrong_variable_is_named() {
    let start = Start::with("").and_env("VAURIEN_BUFFER", "0").and_env("VAURIEN_HANDLER_DELAY_SLEEP", "-1");
    assert_eq!(
        start.lines(),
        [
            "VAURIEN_BUFFER: `0` is too small, a read takes 1 to 16777216 bytes",
            "VAURIEN_HANDLER_DELAY_SLEEP: `-1` is negative, a time is 0 or more",
        ]
    );
    let start = Start::with("").and_env("VAURIEN_HANDLER", "delya");
    assert_eq!(start.lines(), [format!("VAURIEN_HANDLER: unknown handler `delya` {KNOWN}, did you mean `delay`?")]);
}

#[test]
fn handlers_that_disagree_are_named() {
    let line = "--handler 20:delay,5:error --handler-delay-buffer 10 --handler-error-buffer 20";
    assert_eq!(
        Start::with(line).lines(),
        ["--handler-error-buffer: `error` has buffer `20`, `delay` has `10` (--handler-delay-buffer); \
          handlers of one mix share it"]
    );
    let file = "backend = 'a:1'\nhandler = '20:delay,5:error'\n[handlers.delay]\nprotocol = 'http'\nkeep_alive = true\n\
                [handlers.error]\nkeep_alive = false\n[handlers.dummy]\nprotocol = 'redis'\n";
    assert_eq!(
        Start::file(file).lines().iter().map(|line| line.split(" (").next().unwrap()).collect::<Vec<_>>(),
        [
            "vaurien.toml:9: handlers.dummy.protocol: `dummy` has protocol `redis`, `delay` has `http`",
            "vaurien.toml:7: handlers.error.keep_alive: `error` has keep_alive `false`, `delay` has `true`",
        ]
    );
}

// What is wrong, in the file.

#[test]
fn all_mistakes_of_a_file_are_shown_together() {
    let file = "\
bakend = 'localhost:6379'
proxy = 'localhost'
protocol = 'htp'
handler = '20:delya'
keep-alive = true
xyzzy = 1
buffer = '12'
pool_size = -1
seed = 'abc'

[handlers.delay]
sleep = -1
before = 'yes'
slep = 1

[handlers.delya]
sleep = 1

[handlers.hang]
protocol = 'tcp'
";
    let known = "proxy, backend, handler, protocol, buffer, keep_alive, reuse_socket, pool_size, pool_timeout, \
                 connect_timeout, seed, log_level, log_format";
    assert_eq!(
        Start::file(file).and_env("VAURIEN_BACKEND", "localhost").lines(),
        [
            "vaurien.toml:1: unknown key `bakend`, did you mean `backend`?".to_owned(),
            "vaurien.toml:5: unknown key `keep-alive`, did you mean `keep_alive`?".to_owned(),
            format!("vaurien.toml:6: unknown key `xyzzy` (known: {known})"),
            "vaurien.toml:14: unknown key `slep` in `[handlers.delay]`, did you mean `sleep`?".to_owned(),
            format!("vaurien.toml:16: unknown handler `delya` {KNOWN}, did you mean `delay`?"),
            "vaurien.toml:20: unknown key `protocol` in `[handlers.hang]` (none is known there)".to_owned(),
            "vaurien.toml:2: proxy: `localhost` has no port, write `localhost:PORT`".to_owned(),
            "vaurien.toml:3: protocol: `htp` is not one of tcp, redis, memcache, http, did you mean `http`?".to_owned(),
            format!("vaurien.toml:4: unknown handler `delya` {KNOWN}, did you mean `delay`?"),
            "vaurien.toml:7: buffer: `12` is not a whole number of bytes, 0 or more".to_owned(),
            "vaurien.toml:8: pool_size: `-1` is not a whole number of connections, 0 or more".to_owned(),
            "vaurien.toml:9: seed: `abc` is not a whole number, 0 or more".to_owned(),
            "vaurien.toml:12: handlers.delay.sleep: `-1` is negative, a time is 0 or more".to_owned(),
            "vaurien.toml:13: handlers.delay.before: `yes` is not true or false".to_owned(),
            "VAURIEN_BACKEND: `localhost` has no port, write `localhost:PORT`".to_owned(),
        ]
    );
}

#[test]
fn a_value_of_the_wrong_type_says_which_is_right() {
    for (text, message) in [
        ("backend = 6379", "backend: `6379` is not text, put it in quotes"),
        ("handler = 20", "handler: `20` is not text, put it in quotes"),
        ("keep_alive = 'true'", "keep_alive: `true` is not true or false"),
        ("buffer = nan", "buffer: `nan` is not a whole number of bytes, 0 or more"),
        ("seed = 99999999999999999999", "seed: `99999999999999999999` is not a whole number, 0 or more"),
        ("pool_timeout = true", "pool_timeout: `true` is not a number of seconds"),
        ("pool_timeout = inf", "pool_timeout: `inf` is too long, a time is at most a year (31536000 seconds)"),
        (
            "pool_timeout = 2020-01-01",
            "pool_timeout: `2020-01-01` is no time, write seconds (`0.25`) or a unit (`250ms`)",
        ),
        ("protocol = ['http']", "protocol: `[\"http\"]` is not one of tcp, redis, memcache, http"),
        ("handlers = 5", "`handlers` is `5`, write a table for each handler, `[handlers.delay]`"),
        ("handlers.delay = 5", "`handlers.delay` is `5`, write a table, `[handlers.delay]`"),
        ("handler.delay.sleep = 5", "`handler` is a name or a mix, settings are in `[handlers.delay]`"),
        ("delay.sleep = 5", "unknown key `delay`, did you mean `handlers.delay`?"),
    ] {
        assert_eq!(Start::with("").and_file(text).lines(), [format!("vaurien.toml:1: {message}")], "{text}");
    }
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    for (text, lines) in [
        ("backend = 'a:1'\nhandler = \n", vec!["vaurien.toml:2: "]),
        ("backend = 'a:1'\nhandler = 'delay\n", vec!["vaurien.toml:2: "]),
        ("backend = 'a:1'\nbackend = 'b:1'\n", vec!["vaurien.toml:2: "]),
        ("[handlers.delay\nsleep = 1\nbefore = yes\n", vec!["vaurien.toml:1: ", "vaurien.toml:3: "]),
    ] {
        let found = Start::file(text).lines();
        assert_eq!(found.len(), lines.len(), "{found:?}");
        for (found, line) in found.iter().zip(lines) {
            assert!(found.starts_with(line) && found.len() > line.len() && !found.contains('\n'), "{found}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let shown = folder.path().display().to_string();
    let absent = format!("{shown}/absent.toml");
    assert_eq!(
        Start::args(&format!("--config {absent}")).lines(),
        [format!("--config: cannot read `{absent}`: No such file or directory")]
    );
    let start = Start::with("--buffer 0").and_env("VAURIEN_CONFIG", &shown);
    assert_eq!(
        start.lines(),
        [
            format!("VAURIEN_CONFIG: cannot read `{shown}`: Is a directory"),
            "--buffer: `0` is too small, a read takes 1 to 16777216 bytes".to_owned(),
        ]
    );
}

#[test]
fn what_another_overrides_is_checked_as_well() {
    let start = Start::with("--handler delay --handler-error-warmup 1").and_file("handler = 'delya'\npool_size = 0");
    assert_eq!(start.lines().len(), 2);
    let unused = Start::with("--handler dummy --handler-delay-sleep -1");
    assert_eq!(unused.lines(), ["--handler-delay-sleep: `-1` is negative, a time is 0 or more"]);
}

// The help.

#[test]
fn the_help_is_grouped_and_fits() {
    let help = Start::args("--help").help();
    assert_eq!(help, Start::args("-h").help());
    let headings = ["\nProxy:\n", "\nHandlers:\n", "\nConnection:\n", "\nLogging:\n", "\nExamples:\n"];
    let places: Vec<_> = headings.iter().map(|heading| help.find(heading).expect(heading)).collect();
    assert!(places.is_sorted(), "{help}");
    for line in help.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert_eq!(help[places[4]..].matches("    vaurien --").count(), 3);
    for flag in [
        "--proxy <HOST:PORT>",
        "--backend <HOST:PORT>",
        "--protocol <PROTOCOL>",
        "--seed <NUMBER>",
        "--handler <MIX>",
        "--handler-delay-sleep <SECONDS>",
        "--handler-delay-before [<BOOL>]",
        "--handler-error-inject [<BOOL>]",
        "--handler-error-warmup <CALLS>",
        "--buffer <BYTES>",
        "--keep-alive [<BOOL>]",
        "--reuse-socket [<BOOL>]",
        "--pool-size <CONNECTIONS>",
        "--pool-timeout <SECONDS>",
        "--connect-timeout <SECONDS>",
        "--log-level <LEVEL>",
        "--log-format <FORMAT>",
    ] {
        let line = help.lines().find(|line| line.contains(flag)).expect(flag);
        assert!(line.contains("[default: ") || line.ends_with("required"), "{line}");
    }
}

#[test]
fn the_examples_of_the_help_are_right() {
    let help = Start::args("--help").help();
    let examples = help.lines().filter_map(|line| line.trim().strip_prefix("vaurien --"));
    let runnable: Vec<_> = examples.filter(|line| !line.contains("--config")).collect();
    assert_eq!(runnable.len(), 2);
    for line in runnable {
        Start::args(&format!("--{line}")).config();
    }
}

#[test]
fn the_version_is_the_packages() {
    for flag in ["--version", "-V"] {
        assert_eq!(Start::args(flag).help(), format!("vaurien {}\n", env!("CARGO_PKG_VERSION")));
    }
}
