//! The texts of the help.

use std::ffi::OsString;

use clap::error::ErrorKind;

use crate::handler::Registry;

pub(super) const ABOUT: &str =
    "A proxy between a client and a backend that passes their traffic on and injects faults on purpose.";

pub(super) const USAGE: &str = "vaurien --backend HOST:PORT [--handler MIX] [OPTIONS] [-- COMMAND...]";

pub(super) const VALUES: &str = "A BOOL is true or false; the flag alone means true. SECONDS is a number, or a time with a unit: 250ms. \
     SIZE is a number of bytes, or has a unit: 64KB, 1MiB.";

pub(super) const VARIABLES: &str = "\
Each flag can also be set by a variable: VAURIEN_BACKEND for --backend, VAURIEN_HANDLER_DELAY_SLEEP for --handler-delay-sleep. \
Flags override variables, and variables override the file. An empty variable counts as unset, except for the token of the HTTP API \
and its file, where it is a mistake.";

/// What each example does, and its command line.
pub(super) const EXAMPLES: [(&str, &str); 4] = [
    (
        "Run tests while one Redis call in ten fails:",
        "vaurien --backend localhost:6379 --protocol redis --handler 10:error -- pytest -x",
    ),
    (
        "Delay one Redis call in five by a quarter of a second:",
        "vaurien --backend localhost:6379 --protocol redis --handler 20:delay --handler-delay-sleep 0.25",
    ),
    (
        "Fail 5 % of the calls of an HTTP API, and close the connection on another 0.5 %:",
        "vaurien --backend localhost:8080 --protocol http --handler 5:error,0.5:blackout",
    ),
    (
        "Read all options from a file, and listen on another address:",
        "vaurien --config vaurien.toml --proxy localhost:9000",
    ),
];

pub(super) const COMMAND: &str = "\
A COMMAND after -- runs once everything listens, and vaurien exits with its exit code. Its environment has the address of the proxy \
in VAURIEN_PROXY (and _HOST, _PORT), of one of several in VAURIEN_PROXY_NAME, of the API in VAURIEN_HTTP, and the seed in \
VAURIEN_SEED; {proxy}, {host}, {port}, {proxy.NAME}, {http}, {toxiproxy} and {seed} in its arguments are replaced by them. ${port} and \
others behind $ are kept, and {{port}} becomes {port}. With --tls auto, OpenSSL, curl, Python, Node and gRPC trust its authority, in \
VAURIEN_CA and {ca}. Unless set, --proxy and --http-port take a free port.";

/// In the help.
const CTL: &str = "vaurien ctl shows and changes the proxies of a running daemon: see vaurien ctl --help.";

pub(super) const MIX: &str = "\
Calls that the mix leaves over get dummy. --behavior is an alias of --handler. A --rule is [COMMAND [KEY]] [CONDITION=VALUE ...] => MIX; \
the first one that matches a call decides, and --handler is for the others. Conditions are header.NAME, query.NAME, service, method, client and \
connection, and how many: after, every, times, during, per. A --toxic is [upstream:|downstream:|both:][NAME=]TYPE(SETTING=VALUE, ...); its \
types are latency, bandwidth, slow_close, timeout, reset_peer, slicer, limit_data, loss, corrupt and noop.";

/// Whether `words` asked for the help by `-h`.
pub(super) fn is_short(error: &clap::Error, words: &[OsString]) -> bool {
    let asks = words.iter().find(|word| *word == "-h" || *word == "--help");
    error.kind() == ErrorKind::DisplayHelp && asks.is_none_or(|word| word == "-h")
}

pub(super) fn after_short() -> String {
    let examples = EXAMPLES[..2].iter().map(|(what, line)| format!("{what}\n  {line}\n"));
    let examples: String = examples.collect();
    format!("{examples}\n--help prints all options and examples. vaurien ctl --help: how to change a running daemon.")
}

pub(super) fn after_long(registry: &Registry) -> String {
    let width = registry.names().map(str::len).max().unwrap_or_default();
    let handlers = registry.entries().iter().map(|entry| format!("  {:width$}  {}\n", entry.name, entry.help));
    let handlers: String = handlers.collect();
    let takers = takers(registry);
    let examples = EXAMPLES.iter().map(|(what, line)| format!("\n  {what}\n    {line}"));
    let examples: String = examples.collect();
    format!(
        "{COMMAND}\n\n{CTL}\n\nWhat handlers do:\n{handlers}{MIX}\n\n{takers}\n\n{VALUES} {VARIABLES}\n\nExamples:{examples}"
    )
}

/// Which handlers take the options of the connection.
pub(super) fn takers(registry: &Registry) -> String {
    let takers =
        registry.entries().iter().filter(|entry| entry.takes_connection_options).map(|entry| entry.name.as_str());
    let takers = takers.collect::<Vec<_>>().join(", ");
    format!(
        "--protocol, --buffer, --keep-alive and --reuse-socket can also be set for {takers}: --handler-delay-protocol redis \
         overrides --protocol if delay is in the mix."
    )
}
