//! Which daemon is asked, and which of its proxies.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{foreign, granted, understood};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::net::host_port::HostPort;
use crate::program::config::{Http, Token, token_of_file};
use crate::program::health;
use crate::program::http_client::{Failure, PATIENCE, Server};
use crate::program::report::text::visible_line;

const USER_AGENT: &str = concat!("vaurien-ctl/", env!("CARGO_PKG_VERSION"));

/// What to check if nothing listens.
const HINT: &str = ": does it run with --http?";

/// The daemon that the command line, or else the variables name.
pub(super) fn server(matches: &ArgMatches, variable: impl Fn(&str) -> Option<OsString>) -> Result<Server, Failure> {
    let variable = |name: &str| match variable(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(Failure::Use(format!("{name} is not UTF-8"))),
    };
    let set = |name: &str| variable(name).map(|text| text.filter(|text| !text.is_empty()));
    let read = |place: &str, text: &str| health::read(text).map_err(|why| Failure::Use(format!("{place}: {why}")));
    // For a daemon the variable may also say that the API is on or off.
    let address = if let Some(text) = matches.get_one::<String>("http") {
        read("--http", text)?
    } else if let Some(text) = set("VAURIEN_HTTP")?.filter(|text| text.contains(':')) {
        read("VAURIEN_HTTP", &text)?
    } else {
        let Http { host, port, .. } = Http::default();
        let host = set("VAURIEN_HTTP_HOST")?.unwrap_or(host);
        let port = set("VAURIEN_HTTP_PORT")?.map_or(Ok(port), |text| {
            let port = text.parse().ok().filter(|port| *port > 0);
            port.ok_or_else(|| Failure::Use(format!("VAURIEN_HTTP_PORT: `{text}` is not a port from 1 to 65535")))
        })?;
        HostPort::new(host, port)
    };
    let wrong = |diagnostic: Diagnostic| Failure::Use(diagnostic.to_string());
    let of_text = |place: &str, text: &str| Token::read(text).map_err(|what| wrong(Diagnostic::new(place, what)));
    let of_file = |place: &str, path: &Path| token_of_file(place, path).map_err(wrong);
    let token = if let Some(text) = matches.get_one::<String>("http-token") {
        Some(of_text("--http-token", text)?)
    } else if let Some(path) = matches.get_one::<PathBuf>("http-token-file") {
        Some(of_file("--http-token-file", path)?)
    } else if let Some(text) = variable("VAURIEN_HTTP_TOKEN")? {
        Some(of_text("VAURIEN_HTTP_TOKEN", &text)?)
    } else if let Some(path) = variable("VAURIEN_HTTP_TOKEN_FILE")? {
        Some(of_file("VAURIEN_HTTP_TOKEN_FILE", Path::new(&path))?)
    } else {
        None
    };
    let token = token.map(|token| token.secret().to_owned());
    let address = health::reachable(address);
    Ok(Server { address, user_agent: USER_AGENT, token, hint: HINT, patience: PATIENCE })
}

/// The path of what has these names.
pub(super) fn path(names: &[&str]) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    names.iter().fold("/v1".to_owned(), |path, name| format!("{path}/{}", utf8_percent_encode(name, ESCAPED)))
}

/// The proxy that the command line names, or the only one of the daemon. `what` is the other word of the command, if it has one.
pub(super) fn chosen(server: &Server, matches: &ArgMatches, what: Option<&str>) -> Result<String, Failure> {
    let all = understood(&granted(server.ask("GET", &path(&["proxies"]), None)?)?)?;
    let names: Vec<&str> = all["proxies"].as_object().ok_or_else(foreign)?.keys().map(String::as_str).collect();
    let there_are = visible_line(&names.join(", "));
    if let Some(proxy) = matches.get_one::<String>("proxy").map(String::as_str) {
        let hint = did_you_mean(proxy, names.iter().copied());
        let unknown =
            || Failure::Server(format!("there is no proxy `{proxy}` (there are: {there_are}){}", visible_line(&hint)));
        return if names.contains(&proxy) { Ok(proxy.to_owned()) } else { Err(unknown()) };
    }
    match names[..] {
        [only] => Ok(only.to_owned()),
        [] => Err(Failure::Server("the daemon has no proxies".to_owned())),
        _ => Err(Failure::Use(match what.filter(|word| names.contains(word)) {
            Some(proxy) => format!("`{proxy}` is a proxy: what is it to get? see --help"),
            None => format!("which proxy? the daemon has several: {there_are}"),
        })),
    }
}
