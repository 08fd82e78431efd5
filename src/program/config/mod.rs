//! What a program runs with: the entries of file, variables and command line, merged and checked together.
//!
//! Every source gives entries (`entry`): path, value, origin. `values` merges them, the strongest last (presets, file, variables,
//! command line), checks all of them, and reports every [`Diagnostic`] at once, each with its origin. Then serde makes the
//! structs. `schema`, read off these structs, says which options there are.

pub(crate) mod entry;
#[cfg(test)]
mod example;
pub(crate) mod file;
pub(crate) mod hints;
mod host;
mod http;
pub(crate) mod layout;
mod list;
mod outputs;
pub(crate) mod presets;
pub(crate) mod print;
mod proxy;
mod run;
pub(crate) mod schema;
pub(crate) mod spec;
mod statsd;
mod toxiproxy;
pub(crate) mod toxiproxy_file;
pub(crate) mod values;
pub(crate) mod variables;
mod warnings;

use std::ffi::OsString;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::program::command::Again;
use layout::Layout;
use schema::ProgramOptions;
use values::Values;

pub use crate::net::address::Address;
pub use crate::net::host_port::HostPort;
pub use crate::program::logging::{Format, Level, Log};
pub use crate::proxy::config::ProxyConfig;
pub use host::Host;
pub use http::{Http, Token};
pub(crate) use http::{health_address, token_of_file};
use run::Apis;
pub use run::Run;
pub use statsd::Statsd;
pub use toxiproxy::Toxiproxy;

/// All that a program runs with.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Config {
    /// The proxies, in the file's order; at least one, unless Toxiproxy's API is to make them.
    pub proxies: Vec<ProxyConfig>,
    /// Where all choices come from: the same seed and the same calls make the same choices. Random unless given.
    pub seed: u64,
    /// How many threads serve connections; without a number one for each core that the process may use.
    pub workers: Option<NonZero<usize>>,
    /// The command that is run in front of the proxies, and what else happens around them.
    pub run: Run,
    /// What is logged, and how.
    pub log: Log,
    /// The HTTP API, if it was asked for.
    pub http: Option<Http>,
    /// Toxiproxy's API, if it was asked for.
    pub toxiproxy: Option<Toxiproxy>,
    /// Where counters are sent, if anywhere.
    pub statsd: Option<Statsd>,
    /// The file that each event is written to, one JSON object per line, if any.
    pub events: Option<PathBuf>,
    /// Whether to show the program at work in front of a built-in backend, which takes the place of the one proxy's. The
    /// protocol is then `http`, the mix one of all handlers and the seed fixed, unless given.
    pub demo: bool,
    /// What was given and is probably not what was meant, a line for each.
    pub warnings: Vec<String>,
    /// Whether there is one proxy, whose address was not given.
    pub(crate) listens_anywhere: bool,
    /// Whether the port of the API was not given.
    pub(crate) serves_api_anywhere: bool,
    /// Whether the proxies have names of their own.
    pub(crate) names_proxies: bool,
    /// The command line that does the same again.
    pub(crate) again: Again,
    /// Whether a file was read.
    pub(crate) reads_a_file: bool,
    /// Whether the seed was given.
    pub(crate) seed_is_given: bool,
}

impl Config {
    /// The configuration that `values` say. `file` is where they were read, with the option that names it.
    /// `listed` are the proxies of a file that is Toxiproxy's. Fails with all mistakes, those in `diagnostics` first.
    pub(crate) fn build(
        values: &Values<'_>,
        demo: bool,
        listed: Option<Vec<ProxyConfig>>,
        command: Vec<OsString>,
        file: Option<(&str, &Path)>,
        file_is_unread: bool,
        mut diagnostics: Diagnostics,
    ) -> Result<Self, Diagnostics> {
        let http = Http::of(values, &mut diagnostics)?;
        let ProgramOptions { seed, workers, toxiproxy, log_level, log_format, events } = values.build("")?;
        let may_lack_one = toxiproxy.0.is_some() || values.is_wrong("toxiproxy") || listed.is_some();
        let mut proxies = if may_lack_one && !demo && proxy::none_was_asked_for(values) {
            Vec::new()
        } else {
            proxy::all(values, demo || file_is_unread, &mut diagnostics)?
        };
        let names_proxies =
            matches!(values.layout, Layout::Several(_)) || listed.as_ref().is_some_and(|all| !all.is_empty());
        proxy::add_listed(&mut proxies, listed.unwrap_or_default(), &mut diagnostics);
        let run = Run { command, ..values.build("run.")? };
        let apis = Apis { http: http.is_some(), toxiproxy: toxiproxy.0.is_some() };
        if let Some(path) = proxies.first().map(|proxy| &proxy.listen).filter(|at| demo && at.tcp().is_none()) {
            let place = values.place("proxy").unwrap_or_default();
            let what = format!("`{path}` is a Unix socket, the demo needs `HOST:PORT`");
            diagnostics.push(Diagnostic::new(place, what));
        }
        run.check(&proxies, apis, values, &mut diagnostics);
        if let (Some(http), Some(theirs)) = (&http, &toxiproxy.0)
            && http.port != 0
            && http.port == theirs.port
            && http.host.eq_ignore_ascii_case(&theirs.host)
        {
            let place = values.place("toxiproxy").unwrap_or_default();
            let what = format!("the HTTP API listens on `{theirs}` as well, give one another port");
            diagnostics.push(Diagnostic::new(place, what));
        }
        diagnostics.extend(outputs::check(values, file, events.as_deref(), &run));
        diagnostics.none_or(())?;
        let warnings = warnings::all(values, &proxies, http.is_some(), !run.command.is_empty());
        Ok(Self {
            proxies,
            seed: seed.map_or_else(random_seed, Ok)?,
            workers,
            log: Log { level: log_level, format: log_format },
            statsd: Some(values.build::<Statsd>("statsd.")?).filter(|statsd| statsd.enabled),
            events,
            demo,
            warnings,
            http,
            toxiproxy: toxiproxy.0.map(Toxiproxy::new),
            run,
            listens_anywhere: proxy::listens_anywhere(values),
            serves_api_anywhere: http::serves_anywhere(values),
            names_proxies,
            again: Again::default(),
            reads_a_file: false,
            seed_is_given: seed.is_some(),
        })
    }
}

/// 32 bits, so that it is easy to type again.
fn random_seed() -> Result<u64, Diagnostics> {
    let none = |error| Diagnostic::new("--seed", format_args!("no random seed from the system ({error}), give a seed"));
    Ok(SysRng.try_next_u32().map(u64::from).map_err(none)?)
}
