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
mod tls;
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
use crate::program::tls::{Folder, Kept};
use layout::Layout;
use schema::{PROXY_TABLES, ProgramOptions};
use tls::{Files, Source};
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
    /// Where the authority of `tls.auto` is kept.
    pub(crate) authority: Folder,
    /// Whether the proxies have names of their own.
    pub(crate) names_proxies: bool,
    /// The command line that does the same again.
    pub(crate) again: Again,
    /// Whether a file was read that a reload reads again: that of the options, or one with certificates.
    pub(crate) reads_files: bool,
    /// Whether the seed was given.
    pub(crate) seed_is_given: bool,
}

/// What a configuration depends on beside its values.
pub(crate) struct Outside<'a> {
    /// Where the values were read, with the option that names it.
    pub(crate) file: Option<(&'a str, &'a Path)>,
    /// Whether that file cannot be read.
    pub(crate) file_is_unread: bool,
    /// The proxies of a file that is Toxiproxy's.
    pub(crate) listed: Option<Vec<ProxyConfig>>,
    /// Where the authority of `--tls auto` is kept by default.
    pub(crate) authority: Folder,
    /// Whether nothing is to be written: nothing will run.
    pub(crate) is_dry: bool,
}

/// The authority that `--tls-ca` shows, and what is doubtful about it. Mistakes in other options do not matter.
pub(crate) fn authority(values: &Values<'_>, default: Folder, diagnostics: Diagnostics) -> Result<Kept, Diagnostics> {
    let ProgramOptions { tls_dir, .. } = values.build("")?;
    let given = values.place("tls_dir");
    diagnostics.none_or(())?;
    let kept = tls_dir.map_or(default, Folder::at).authority();
    kept.map_err(|what| Diagnostic::new(given.unwrap_or_default(), what).into())
}

impl Config {
    /// The configuration that `values` say, with what was found `outside` of them. Fails with all mistakes, those in
    /// `diagnostics` first.
    pub(crate) fn build(
        values: &Values<'_>,
        demo: bool,
        command: Vec<OsString>,
        outside: Outside<'_>,
        mut diagnostics: Diagnostics,
    ) -> Result<Self, Diagnostics> {
        let Outside { file, file_is_unread, listed, authority, is_dry } = outside;
        let http = Http::of(values, &mut diagnostics)?;
        let ProgramOptions { seed, workers, tls_dir, toxiproxy, log_level, log_format, events } = values.build("")?;
        let authority = tls_dir.map_or(authority, Folder::at);
        // What is not used is not made.
        let authority = if is_dry || values.is_wrong("tls_dir") { authority.read_only() } else { authority };
        let files = Files::new(authority.clone());
        let may_lack_one = toxiproxy.0.is_some() || values.is_wrong("toxiproxy") || listed.is_some();
        let mut proxies = if may_lack_one && !demo && proxy::none_was_asked_for(values) {
            Vec::new()
        } else {
            proxy::all(values, demo || file_is_unread, Source::Files(&files), &mut diagnostics)?
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
        let mut warnings = warnings::all(values, &proxies, http.is_some(), !run.command.is_empty());
        warnings.extend(files.warnings());
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
            authority,
            names_proxies,
            again: Again::default(),
            reads_files: file.is_some() || names_a_certificate(values),
            seed_is_given: seed.is_some(),
        })
    }
}

/// Whether a proxy has certificates from a file, as those of an authority are.
fn names_a_certificate(values: &Values<'_>) -> bool {
    let proxies = values.layout.proxies();
    let mut tables = proxies.iter().flat_map(|(_, within)| PROXY_TABLES.map(|table| format!("{within}{table}.")));
    tables.any(|table| ["auto", "cert", "ca"].iter().any(|key| values.get(&format!("{table}{key}")).is_some()))
}

/// 32 bits, so that it is easy to type again.
fn random_seed() -> Result<u64, Diagnostics> {
    let none = |error| Diagnostic::new("--seed", format_args!("no random seed from the system ({error}), give a seed"));
    Ok(SysRng.try_next_u32().map(u64::from).map_err(none)?)
}
