//! The program under the name `toxiproxy-server`: its flags, and what they ask for in ours.

use std::ffi::OsString;

use super::flags::{Flag, Given, switch, taking};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::handler::Registry;
use crate::net::host_port::HostPort;
use crate::program::cli::Exit;
use crate::program::config::Config;
use crate::program::toxiproxy_json::VERSION;

const FLAGS: &[Flag] = &[
    taking(&["host"]),
    taking(&["port"]),
    taking(&["config"]),
    taking(&["seed"]),
    switch(&["runtime-metrics"]),
    switch(&["proxy-metrics"]),
    switch(&["version"]),
    switch(&["help", "h"]),
];

const USAGE: &str = "\
Usage of toxiproxy-server, which is vaurien under another name:
  -config string     JSON file with proxies to create
  -host string       Host for the API to listen on (default \"localhost\")
  -port string       Port for the API to listen on (default \"8474\")
  -proxy-metrics     Serve the bytes of proxies on /metrics
  -runtime-metrics   Serve the figures of the program on /metrics
  -seed int          Seed of toxicity and jitter (default: random)
  -version           Print the version
LOG_LEVEL sets the log level, VAURIEN_HTTP=true serves vaurien's own API as well.
";

/// The variable with the log level.
const LOG_LEVEL: &str = "LOG_LEVEL";

/// Reads `args`, of which the first is the program's name. Our own variables count as well.
pub(crate) fn read(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    registry: &Registry,
) -> Result<Config, Exit> {
    let wrong = |what: String| Exit::from(Diagnostics::from(Diagnostic::new("", what)));
    let args: Vec<String> = args.into_iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let given = Given::read(&args, FLAGS).map_err(wrong)?;
    if given.has("help").map_err(wrong)? {
        return Err(Exit::Text(USAGE.to_owned()));
    }
    if given.has("version").map_err(wrong)? {
        return Err(Exit::Text(format!("toxiproxy-server version {VERSION}\n")));
    }
    if let Some(word) = given.words.first() {
        return Err(wrong(format!("`{word}` is no flag")));
    }
    let environment: Vec<_> = environment.into_iter().collect();
    let level = environment.iter().find(|(name, _)| name == LOG_LEVEL).map(|(_, level)| level.to_string_lossy());
    let words = ours(&given, level.as_deref()).map_err(wrong)?;
    let mut config = Config::from_args(words.into_iter().map(OsString::from), environment, registry)?;
    if let Some(toxiproxy) = &mut config.toxiproxy {
        toxiproxy.proxy_metrics = given.has("proxy-metrics").map_err(wrong)?;
        toxiproxy.runtime_metrics = given.has("runtime-metrics").map_err(wrong)?;
    }
    Ok(config)
}

/// The same in our flags.
fn ours(given: &Given, level: Option<&str>) -> Result<Vec<String>, String> {
    let port = given.value("port").unwrap_or("8474");
    let port: u16 = port.parse().map_err(|_| format!("invalid value \"{port}\" for -port: a port is 0 to 65535"))?;
    // Without a host Go listens on all addresses.
    let host = given.value("host").unwrap_or("localhost");
    let at = HostPort::new(if host.is_empty() { "::" } else { host }, port);
    let mut words = vec!["vaurien".to_owned(), format!("--toxiproxy={at}")];
    if let Some(file) = given.value("config").filter(|file| !file.is_empty()) {
        words.push(format!("--config={file}"));
    }
    if let Some(seed) = given.value("seed") {
        let number = seed.parse::<i64>().map(i64::cast_unsigned).or_else(|_| seed.parse());
        let number = number.map_err(|_| format!("invalid value \"{seed}\" for -seed: it is a whole number"))?;
        words.push(format!("--seed={number}"));
    }
    let level = match level.unwrap_or_default().to_lowercase().as_str() {
        "" => None,
        "panic" | "fatal" | "error" => Some("error"),
        "warn" => Some("warn"),
        "info" => Some("info"),
        "debug" => Some("debug"),
        "trace" => Some("trace"),
        other => {
            return Err(format!("{LOG_LEVEL}: `{other}` is not one of panic, fatal, error, warn, info, debug, trace"));
        }
    };
    words.extend(level.map(|level| format!("--log-level={level}")));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(line: &str, level: Option<&str>) -> Result<String, String> {
        let words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        Given::read(&words, FLAGS).and_then(|given| super::ours(&given, level)).map(|words| words[1..].join(" "))
    }

    #[test]
    fn flags_become_ours() {
        for (line, level, words) in [
            ("", None, "--toxiproxy=localhost:8474"),
            ("-host=0.0.0.0 -config=/a.json", None, "--toxiproxy=0.0.0.0:8474 --config=/a.json"),
            (
                "--host :: --port 0 --seed -1",
                Some("fatal"),
                "--toxiproxy=[::]:0 --seed=18446744073709551615 --log-level=error",
            ),
            ("-host= -seed 5 -proxy-metrics", Some(""), "--toxiproxy=[::]:8474 --seed=5"),
        ] {
            assert_eq!(ours(line, level), Ok(words.to_owned()), "{line}");
        }
        assert!(ours("-port x", None).is_err() && ours("-seed x", None).is_err() && ours("", Some("loud")).is_err());
    }
}
