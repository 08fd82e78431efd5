//! How a command finds the proxies: variables in its environment, and placeholders in its arguments.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::net::bound::BoundAddress;
use crate::net::listener;

/// Lists the variables that the command was given, with their values: a `vaurien` within it does not take them for options.
pub(crate) const GIVEN: &str = "VAURIEN_GIVEN";

const SEED: &str = "VAURIEN_SEED";

const CA: &str = "VAURIEN_CA";

/// What the command's environment says about the proxies.
#[derive(Debug, Default, Clone)]
pub(crate) struct ChildEnv {
    /// The proxies that listen, with their addresses.
    pub(crate) proxies: Vec<(String, BoundAddress)>,
    /// Whether there is only one proxy: `VAURIEN_PROXY`.
    pub(crate) only_one: bool,
    /// Whether the file names the proxies: `VAURIEN_PROXY_NAME`.
    pub(crate) named: bool,
    /// Where the HTTP API listens.
    pub(crate) http: Option<SocketAddr>,
    /// Where Toxiproxy's API listens.
    pub(crate) toxiproxy: Option<SocketAddr>,
    pub(crate) seed: u64,
    /// The file with the authority of `--tls auto` and those of the system.
    pub(crate) ca: Option<PathBuf>,
    /// Variables of other programs, with the files of those that they should trust.
    pub(crate) trust: Vec<(&'static str, PathBuf)>,
    /// Variables that are options of this program alone and are removed.
    pub(crate) removed: Vec<String>,
}

impl ChildEnv {
    /// The variables, in order.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        for (variable, address) in self.proxy_variables() {
            variables.extend(with_parts(&variable).into_iter().zip(parts(address)));
        }
        for (variable, address) in [("VAURIEN_HTTP", self.http), ("VAURIEN_TOXIPROXY", self.toxiproxy)] {
            variables.extend(address.map(|address| (variable.to_owned(), reachable(address).to_string())));
        }
        variables.extend(self.ca.as_ref().map(|ca| (CA.to_owned(), ca.display().to_string())));
        variables.push((SEED.to_owned(), self.seed.to_string()));
        variables
    }

    /// The variables of the proxies' addresses.
    fn proxy_variables(&self) -> impl Iterator<Item = (String, &BoundAddress)> {
        self.proxies.iter().flat_map(|(name, address)| {
            let (only, named) = (self.only_one.then(|| PROXY.to_owned()), self.named.then(|| variable(name)));
            only.into_iter().chain(named).map(move |variable| (variable, address))
        })
    }

    /// The whole environment of the command: the program's own, with [`Self::variables`] and [`Self::trust`].
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        // An outer `vaurien` has set these about its own proxies.
        let outer = std::env::var(GIVEN).unwrap_or_default();
        let outer = outer.split(' ').filter_map(|assignment| Some(assignment.split_once('=')?.0));
        let variables = self.variables();
        // Those that a Unix socket does not have, too.
        let of_proxies: Vec<_> = self.proxy_variables().flat_map(|(variable, _)| with_parts(&variable)).collect();
        let removed = self.removed.iter().chain(&of_proxies).map(String::as_str).chain(outer).chain([GIVEN]);
        let removed = removed.chain(self.trust.iter().map(|(name, _)| *name));
        let removed: Vec<&str> = removed.chain(variables.iter().map(|(name, _)| name.as_str())).collect();
        let is_removed = |name: &OsStr| removed.iter().any(|removed| name == *removed);
        let mut all: Vec<_> = std::env::vars_os().filter(|(name, _)| !is_removed(name)).collect();
        all.push((GIVEN.into(), self.list().into()));
        all.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        all.extend(self.trust.iter().map(|(name, file)| (OsString::from(name), file.clone().into_os_string())));
        all
    }

    /// The value of [`GIVEN`].
    pub(crate) fn list(&self) -> String {
        // Not the seed: a `vaurien` within may use it too.
        let variables = self.variables().into_iter().filter(|(name, _)| name != SEED);
        variables.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    /// `argument` with its placeholders replaced. Those without a value are kept.
    pub(crate) fn fill(&self, argument: &OsStr) -> OsString {
        let mut filled = Vec::with_capacity(argument.len());
        for piece in pieces(argument.as_bytes()) {
            match piece {
                Piece::Text(text) => filled.extend_from_slice(text),
                Piece::Placeholder(placeholder) => match self.value_of(&placeholder) {
                    Some(value) => filled.extend_from_slice(value.as_bytes()),
                    None => filled.extend_from_slice(placeholder.text.as_bytes()),
                },
            }
        }
        OsString::from_vec(filled)
    }

    fn value_of(&self, placeholder: &Placeholder<'_>) -> Option<String> {
        let address = match placeholder.subject {
            Subject::OnlyProxy if self.only_one => &self.proxies.first()?.1,
            Subject::OnlyProxy => return None,
            Subject::Proxy(name) => &self.proxies.iter().find(|(known, _)| known == name)?.1,
            Subject::Http => return Some(reachable(self.http?).to_string()),
            Subject::Toxiproxy => return Some(reachable(self.toxiproxy?).to_string()),
            Subject::Seed => return Some(self.seed.to_string()),
            Subject::Ca => return Some(self.ca.as_ref()?.display().to_string()),
        };
        let part = ["proxy", "host", "port"].iter().position(|part| *part == placeholder.part)?;
        parts(address).nth(part)
    }
}

/// The variable of the only proxy.
const PROXY: &str = "VAURIEN_PROXY";

/// The variable of the proxy of this name: `VAURIEN_PROXY_CACHE`.
pub(crate) fn variable(proxy: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' };
    format!("{PROXY}_{}", proxy.chars().map(plain).collect::<String>())
}

/// The variables of a proxy: its address, host and port.
fn with_parts(variable: &str) -> [String; 3] {
    [variable.to_owned(), format!("{variable}_HOST"), format!("{variable}_PORT")]
}

/// The address at which the command reaches a proxy; then its host and its port, which a Unix socket does not have.
fn parts(address: &BoundAddress) -> impl Iterator<Item = String> + use<> {
    let (whole, address) = match address {
        BoundAddress::Ip(address) => {
            let address = reachable(*address);
            (address.to_string(), Some(address))
        }
        BoundAddress::Unix(path) => (path.to_string(), None),
    };
    let host_and_port = address.map(|address| [address.ip().to_string(), address.port().to_string()]);
    [whole].into_iter().chain(host_and_port.into_iter().flatten())
}

/// The first variable that two of these proxies, or two parts of one, would set.
pub(crate) fn conflict(proxies: &[&str]) -> Option<String> {
    let only = if proxies.len() == 1 { Some(PROXY.to_owned()) } else { None };
    let mut known = BTreeSet::new();
    let variables = only.into_iter().chain(proxies.iter().map(|name| variable(name)));
    variables.flat_map(|variable| with_parts(&variable)).find(|variable| !known.insert(variable.clone()))
}

/// A placeholder in an argument of the command: `{proxy}`, `{port.cache}`, `{http}`, `{toxiproxy}`, `{ca}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placeholder<'t> {
    /// With its braces.
    pub(crate) text: &'t str,
    /// `proxy`, `host` or `port`; `http`; `toxiproxy`; `seed`; `ca`.
    pub(crate) part: &'t str,
    pub(crate) subject: Subject<'t>,
}

/// What a placeholder refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject<'t> {
    OnlyProxy,
    Proxy(&'t str),
    Http,
    Toxiproxy,
    Seed,
    Ca,
}

impl<'t> Placeholder<'t> {
    /// `text` includes the braces. Other text in braces is no placeholder.
    fn parse(text: &'t str) -> Option<Self> {
        let inside = text.strip_prefix('{')?.strip_suffix('}')?;
        let (part, subject) = match inside.split_once('.') {
            Some((part, name)) => (part, Subject::Proxy(name)),
            None if inside == "http" => (inside, Subject::Http),
            None if inside == "toxiproxy" => (inside, Subject::Toxiproxy),
            None if inside == "seed" => (inside, Subject::Seed),
            None if inside == "ca" => (inside, Subject::Ca),
            None => (inside, Subject::OnlyProxy),
        };
        let is_proxy_part = matches!(part, "proxy" | "host" | "port");
        let known = match subject {
            Subject::OnlyProxy => is_proxy_part,
            Subject::Proxy(name) => is_proxy_part && !name.is_empty(),
            Subject::Http | Subject::Toxiproxy | Subject::Seed | Subject::Ca => true,
        };
        known.then_some(Self { text, part, subject })
    }

    /// The one that `text` begins with.
    fn at_start(text: &'t [u8]) -> Option<Self> {
        let end = memchr::memchr(b'}', text)?;
        Self::parse(std::str::from_utf8(&text[..=end]).ok()?)
    }

    /// Those in an argument.
    pub(crate) fn all(argument: &'t OsStr) -> impl Iterator<Item = Self> {
        pieces(argument.as_bytes()).filter_map(|piece| match piece {
            Piece::Placeholder(placeholder) => Some(placeholder),
            Piece::Text(_) => None,
        })
    }
}

/// A part of an argument.
enum Piece<'t> {
    Text(&'t [u8]),
    Placeholder(Placeholder<'t>),
}

/// The parts of an argument. A placeholder behind `$` is text, as a shell's variables are written so; one in two pairs of
/// braces is text without the outer ones.
fn pieces(argument: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let (mut rest, mut is_behind_dollar) = (argument, false);
    std::iter::from_fn(move || {
        let brace = memchr::memchr(b'{', rest);
        let (piece, len) = match brace {
            None if rest.is_empty() => return None,
            None => (Piece::Text(rest), rest.len()),
            Some(0) => brace_at_start(rest, is_behind_dollar),
            Some(at) => (Piece::Text(&rest[..at]), at),
        };
        is_behind_dollar = rest[len - 1] == b'$';
        rest = &rest[len..];
        Some(piece)
    })
}

/// The part that `rest` begins with, which is a brace, and how much of `rest` it takes.
fn brace_at_start(rest: &[u8], is_behind_dollar: bool) -> (Piece<'_>, usize) {
    let single = Placeholder::at_start(rest).map(|placeholder| (placeholder, placeholder.text.len()));
    let inner = Placeholder::at_start(&rest[1..]).map(|placeholder| placeholder.text.len());
    let double = inner.filter(|len| rest.get(1 + len) == Some(&b'}'));
    match (single, double) {
        (Some((_, len)), _) if is_behind_dollar => (Piece::Text(&rest[..len]), len),
        (_, Some(len)) if is_behind_dollar => (Piece::Text(&rest[..len + 2]), len + 2),
        (Some((placeholder, len)), _) => (Piece::Placeholder(placeholder), len),
        (None, Some(len)) => (Piece::Text(&rest[1..=len]), len + 2),
        // The next placeholder may begin behind it.
        (None, None) => (Piece::Text(&rest[..1]), 1),
    }
}

/// The address at which the command reaches it: a wildcard address becomes a loopback one.
fn reachable(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(listener::reachable(address.ip()), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> ChildEnv {
        let proxies = vec![("default".to_owned(), BoundAddress::Ip("0.0.0.0:4000".parse().unwrap()))];
        ChildEnv {
            proxies,
            only_one: true,
            http: Some("[::1]:80".parse().unwrap()),
            toxiproxy: Some("[::]:81".parse().unwrap()),
            seed: 42,
            ..ChildEnv::default()
        }
    }

    fn two() -> ChildEnv {
        let proxy = |name: &str, address: &str| (name.to_owned(), BoundAddress::Ip(address.parse().unwrap()));
        let proxies = vec![proxy("cache", "127.0.0.1:1"), proxy("the-api", "[::]:2")];
        ChildEnv { proxies, named: true, ..ChildEnv::default() }
    }

    fn assignments(env: &ChildEnv) -> String {
        env.variables().into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    fn fill(env: &ChildEnv, argument: &str) -> String {
        env.fill(OsStr::new(argument)).into_string().unwrap()
    }

    #[test]
    fn the_only_proxy_needs_no_name() {
        assert_eq!(
            assignments(&one()),
            "VAURIEN_PROXY=127.0.0.1:4000 VAURIEN_PROXY_HOST=127.0.0.1 VAURIEN_PROXY_PORT=4000 VAURIEN_HTTP=[::1]:80 \
             VAURIEN_TOXIPROXY=[::1]:81 VAURIEN_SEED=42"
        );
        assert_eq!(
            fill(&one(), "redis://{proxy}/0?{host}:{port} {http} {toxiproxy} {seed}"),
            "redis://127.0.0.1:4000/0?127.0.0.1:4000 [::1]:80 [::1]:81 42"
        );
        assert_eq!(fill(&one(), "{proxy.default}"), "127.0.0.1:4000");
    }

    #[test]
    fn several_proxies_have_their_names() {
        assert_eq!(
            assignments(&two()),
            "VAURIEN_PROXY_CACHE=127.0.0.1:1 VAURIEN_PROXY_CACHE_HOST=127.0.0.1 VAURIEN_PROXY_CACHE_PORT=1 \
             VAURIEN_PROXY_THE_API=[::1]:2 VAURIEN_PROXY_THE_API_HOST=::1 VAURIEN_PROXY_THE_API_PORT=2 VAURIEN_SEED=0"
        );
        assert_eq!(fill(&two(), "{proxy.cache},{host.the-api},{port.the-api}"), "127.0.0.1:1,::1,2");
    }

    #[test]
    fn a_unix_socket_has_no_host_and_no_port() {
        let proxies = vec![("cache".to_owned(), BoundAddress::Unix("/run/x".parse().unwrap()))];
        let env = ChildEnv { proxies, only_one: true, named: true, ..ChildEnv::default() };
        assert_eq!(assignments(&env), "VAURIEN_PROXY=unix:/run/x VAURIEN_PROXY_CACHE=unix:/run/x VAURIEN_SEED=0");
        assert_eq!(fill(&env, "{proxy} {proxy.cache} {host}:{port}"), "unix:/run/x unix:/run/x {host}:{port}");
    }

    #[test]
    fn two_proxies_do_not_set_one_variable() {
        assert_eq!(conflict(&["default"]), None);
        assert_eq!(conflict(&["cache", "api"]), None);
        assert_eq!(conflict(&["host", "port"]), None, "VAURIEN_PROXY is not set for two");
        for (proxies, variable) in [
            (&["a-b", "a_b"][..], "VAURIEN_PROXY_A_B"),
            (&["a", "A"], "VAURIEN_PROXY_A"),
            (&["a", "a_host"], "VAURIEN_PROXY_A_HOST"),
            (&["port"], "VAURIEN_PROXY_PORT"),
        ] {
            assert_eq!(conflict(proxies).as_deref(), Some(variable));
        }
    }

    #[test]
    fn other_text_in_braces_is_kept() {
        let all =
            r#"|{}|{|}{|{a:{proxy|{"host": 1}|${port|%{remote_port}|{proxy.}|{http.x}|{ proxy }|{{ port }}|{{a}}"#;
        for argument in all.split('|') {
            assert_eq!(fill(&one(), argument), argument);
        }
        assert_eq!(fill(&one(), "{a{port}"), "{a4000");
        assert_eq!(fill(&one(), r#"{"at":{port}} {{port}, {port}}"#), r#"{"at":4000} {4000, 4000}"#);
        assert_eq!(fill(&two(), "{proxy} {http}"), "{proxy} {http}");
        let bytes = OsStr::from_bytes(b"\xff{port}\xff{\xff}");
        assert_eq!(one().fill(bytes).as_bytes(), b"\xff4000\xff{\xff}");
    }

    const NAMES: [&str; 7] = ["port", "proxy", "host", "http", "seed", "port.default", "host.none"];

    #[test]
    fn nothing_is_replaced_behind_a_dollar_sign() {
        for name in NAMES {
            for kept in [format!("${{{name}}}"), format!("a$${{{name}}}"), format!("${{{{{name}}}}}")] {
                assert_eq!(fill(&one(), &kept), kept);
            }
        }
        assert_eq!(fill(&one(), "$a{port}${x:-{port}} $ {port}"), "$a4000${x:-4000} $ 4000");
    }

    #[test]
    fn two_braces_keep_one() {
        for name in NAMES {
            assert_eq!(fill(&one(), &format!("<{{{{{name}}}}}>")), format!("<{{{name}}}>"));
        }
        assert_eq!(fill(&one(), "{{{port}}} {{host}}:{{port}}"), "{{port}} {host}:{port}");
        assert_eq!(fill(&one(), r"#{{port}} {{port}}{port}"), "#{port} {port}4000");
    }

    #[test]
    fn placeholders_are_found() {
        let text = "{a} {port} {{proxy.cache}} ${port} ${{host}} {{proxy.cache} {http";
        let found: Vec<_> = Placeholder::all(OsStr::new(text)).map(|found| found.text).collect();
        assert_eq!(found, ["{port}", "{proxy.cache}"]);
    }
}
