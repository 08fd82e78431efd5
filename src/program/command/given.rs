//! What a command is told of the proxies in front of which it runs: variables, and words of its arguments.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::net::listener;

/// Names the variables that a command was given, with their values: a `vaurien` that it runs does not take them for options.
pub(crate) const GIVEN: &str = "VAURIEN_GIVEN";

const SEED: &str = "VAURIEN_SEED";

/// What there is to tell.
#[derive(Debug, Default, Clone)]
pub(crate) struct Given {
    /// Where each proxy listens, those that listen.
    pub(crate) proxies: Vec<(String, SocketAddr)>,
    /// Whether there is one proxy, which needs no name.
    pub(crate) only_one: bool,
    /// Whether the proxies have names in the file.
    pub(crate) named: bool,
    /// Where the HTTP API listens.
    pub(crate) http: Option<SocketAddr>,
    pub(crate) seed: u64,
    /// Variables that are about this command alone, and that it does not get.
    pub(crate) withheld: Vec<String>,
}

impl Given {
    /// The variables, in order.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        let mut tell = |variable: &str, address: SocketAddr| {
            let told = [address.to_string(), address.ip().to_string(), address.port().to_string()];
            variables.extend(with_parts(variable).into_iter().zip(told));
        };
        for (name, address) in &self.proxies {
            if self.only_one {
                tell(PROXY, reachable(*address));
            }
            if self.named {
                tell(&variable(name), reachable(*address));
            }
        }
        if let Some(http) = self.http {
            variables.push(("VAURIEN_HTTP".to_owned(), reachable(http).to_string()));
        }
        variables.push((SEED.to_owned(), self.seed.to_string()));
        variables
    }

    /// The program's own variables, with those that tell of its proxies.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        // What an outer one told of its proxies is not about these.
        let outer = std::env::var(GIVEN).unwrap_or_default();
        let outer = outer.split(' ').filter_map(|told| Some(told.split_once('=')?.0));
        let told = self.variables();
        let withheld = self.withheld.iter().map(String::as_str).chain(outer).chain([GIVEN]);
        let withheld: Vec<&str> = withheld.chain(told.iter().map(|(name, _)| name.as_str())).collect();
        let is_withheld = |name: &OsStr| withheld.iter().any(|withheld| name == *withheld);
        let mut all: Vec<_> = std::env::vars_os().filter(|(name, _)| !is_withheld(name)).collect();
        all.push((GIVEN.into(), self.mark().into()));
        all.extend(told.into_iter().map(|(name, value)| (name.into(), value.into())));
        all
    }

    /// The value of [`GIVEN`].
    pub(crate) fn mark(&self) -> String {
        let told = self.variables().into_iter();
        // The seed may as well be that of another one within.
        let told = told.filter(|(name, _)| name != SEED).map(|(name, value)| format!("{name}={value}"));
        told.collect::<Vec<_>>().join(" ")
    }

    /// `argument` with what its words stand for. A word that stands for nothing stays as it is.
    pub(crate) fn fill(&self, argument: &OsStr) -> OsString {
        let bytes = argument.as_bytes();
        let mut filled = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'{', rest) {
            let (before, from) = rest.split_at(at);
            filled.extend_from_slice(before);
            let end = memchr::memchr(b'}', from).map(|end| &from[..=end]);
            let word = end.and_then(|word| Word::read(std::str::from_utf8(word).ok()?));
            // Of what is no word only the brace: behind it there may be one.
            let (value, len) = word
                .and_then(|word| Some((self.stands_for(&word)?, word.text.len())))
                .unwrap_or_else(|| ("{".to_owned(), 1));
            filled.extend_from_slice(value.as_bytes());
            rest = &from[len..];
        }
        filled.extend_from_slice(rest);
        OsString::from_vec(filled)
    }

    fn stands_for(&self, word: &Word<'_>) -> Option<String> {
        let address = match word.about {
            About::OnlyProxy if self.only_one => self.proxies.first()?.1,
            About::OnlyProxy => return None,
            About::Proxy(name) => self.proxies.iter().find(|(known, _)| known == name)?.1,
            About::Http => self.http?,
            About::Seed => return Some(self.seed.to_string()),
        };
        let address = reachable(address);
        Some(match word.part {
            "host" => address.ip().to_string(),
            "port" => address.port().to_string(),
            _ => address.to_string(),
        })
    }
}

/// The variable of the only proxy.
const PROXY: &str = "VAURIEN_PROXY";

/// The variable of the proxy of this name: `VAURIEN_PROXY_CACHE`.
pub(crate) fn variable(proxy: &str) -> String {
    format!("{PROXY}_{}", proxy.replace('-', "_").to_uppercase())
}

/// What a proxy's variable tells, and those of its parts.
fn with_parts(variable: &str) -> [String; 3] {
    [variable.to_owned(), format!("{variable}_HOST"), format!("{variable}_PORT")]
}

/// The first variable that would tell of two proxies, or of two parts of one.
pub(crate) fn told_twice(proxies: &[&str]) -> Option<String> {
    let only = if proxies.len() == 1 { Some(PROXY.to_owned()) } else { None };
    let mut told = BTreeSet::new();
    let variables = only.into_iter().chain(proxies.iter().map(|name| variable(name)));
    variables.flat_map(|variable| with_parts(&variable)).find(|variable| !told.insert(variable.clone()))
}

/// A word in braces, in an argument of the command: `{proxy}`, `{port.cache}`, `{http}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<'t> {
    /// With its braces.
    pub(crate) text: &'t str,
    /// `proxy`, `host` or `port`; `http`; `seed`.
    pub(crate) part: &'t str,
    pub(crate) about: About<'t>,
}

/// What a word is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About<'t> {
    OnlyProxy,
    Proxy(&'t str),
    Http,
    Seed,
}

impl<'t> Word<'t> {
    /// `text` is all of it, braces included. Anything else in braces is no word.
    fn read(text: &'t str) -> Option<Self> {
        let inside = text.strip_prefix('{')?.strip_suffix('}')?;
        let (part, about) = match inside.split_once('.') {
            Some((part, name)) => (part, About::Proxy(name)),
            None if inside == "http" => (inside, About::Http),
            None if inside == "seed" => (inside, About::Seed),
            None => (inside, About::OnlyProxy),
        };
        let is_of_a_proxy = matches!(part, "proxy" | "host" | "port");
        let known = match about {
            About::OnlyProxy => is_of_a_proxy,
            About::Proxy(name) => is_of_a_proxy && !name.is_empty(),
            About::Http | About::Seed => true,
        };
        known.then_some(Self { text, part, about })
    }

    /// The words of an argument.
    pub(crate) fn all(argument: &'t str) -> impl Iterator<Item = Self> {
        argument.match_indices('{').filter_map(|(at, _)| {
            let end = argument[at..].find('}')?;
            Self::read(&argument[at..=at + end])
        })
    }
}

/// Where the command reaches what listens there.
fn reachable(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(listener::reachable(address.ip()), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Given {
        let proxies = vec![("default".to_owned(), "0.0.0.0:4000".parse().unwrap())];
        Given { proxies, only_one: true, http: Some("[::1]:80".parse().unwrap()), seed: 42, ..Given::default() }
    }

    fn two() -> Given {
        let proxy = |name: &str, address: &str| (name.to_owned(), address.parse().unwrap());
        let proxies = vec![proxy("cache", "127.0.0.1:1"), proxy("the-api", "[::]:2")];
        Given { proxies, named: true, ..Given::default() }
    }

    fn fill(given: &Given, argument: &str) -> String {
        given.fill(OsStr::new(argument)).into_string().unwrap()
    }

    #[test]
    fn the_only_proxy_needs_no_name() {
        let variables: Vec<_> = one().variables().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            variables,
            [
                "VAURIEN_PROXY=127.0.0.1:4000",
                "VAURIEN_PROXY_HOST=127.0.0.1",
                "VAURIEN_PROXY_PORT=4000",
                "VAURIEN_HTTP=[::1]:80",
                "VAURIEN_SEED=42"
            ]
        );
        assert_eq!(
            fill(&one(), "redis://{proxy}/0?{host}:{port} {http} {seed}"),
            "redis://127.0.0.1:4000/0?127.0.0.1:4000 [::1]:80 42"
        );
        assert_eq!(fill(&one(), "{proxy.default}"), "127.0.0.1:4000");
    }

    #[test]
    fn several_proxies_have_their_names() {
        let variables: Vec<_> = two().variables().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            variables,
            [
                "VAURIEN_PROXY_CACHE=127.0.0.1:1",
                "VAURIEN_PROXY_CACHE_HOST=127.0.0.1",
                "VAURIEN_PROXY_CACHE_PORT=1",
                "VAURIEN_PROXY_THE_API=[::1]:2",
                "VAURIEN_PROXY_THE_API_HOST=::1",
                "VAURIEN_PROXY_THE_API_PORT=2",
                "VAURIEN_SEED=0"
            ]
        );
        assert_eq!(fill(&two(), "{proxy.cache},{host.the-api},{port.the-api}"), "127.0.0.1:1,::1,2");
    }

    #[test]
    fn no_variable_tells_of_two_things() {
        assert_eq!(told_twice(&["default"]), None);
        assert_eq!(told_twice(&["cache", "api"]), None);
        assert_eq!(told_twice(&["host", "port"]), None, "nothing is told of an only one");
        for (proxies, variable) in [
            (&["a-b", "a_b"][..], "VAURIEN_PROXY_A_B"),
            (&["a", "A"], "VAURIEN_PROXY_A"),
            (&["a", "a_host"], "VAURIEN_PROXY_A_HOST"),
            (&["port"], "VAURIEN_PROXY_PORT"),
        ] {
            assert_eq!(told_twice(proxies).as_deref(), Some(variable));
        }
    }

    #[test]
    fn what_is_no_word_stays_as_it_is() {
        for argument in [
            "",
            "{}",
            "{",
            "}{",
            "{a:{proxy",
            "{\"host\": 1}",
            "${port",
            "%{remote_port}",
            "{proxy.}",
            "{http.x}",
            "{ proxy }",
        ] {
            assert_eq!(fill(&one(), argument), argument);
        }
        assert_eq!(fill(&one(), "{{port}}"), "{4000}");
        assert_eq!(fill(&one(), "{a{port}"), "{a4000");
        assert_eq!(fill(&two(), "{proxy} {http}"), "{proxy} {http}");
        let bytes = OsStr::from_bytes(b"\xff{port}\xff{\xff}");
        assert_eq!(one().fill(bytes).as_bytes(), b"\xff4000\xff{\xff}");
    }

    #[test]
    fn words_are_found() {
        let words: Vec<_> = Word::all("{a} {port} {{proxy.cache}} {http").map(|word| word.text).collect();
        assert_eq!(words, ["{port}", "{proxy.cache}"]);
    }
}
