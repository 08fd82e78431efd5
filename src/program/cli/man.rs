//! `--man`: the manual page.

use std::io::{self, Write};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::handler::Registry;
use crate::program::cli::{COMMAND, EXAMPLES, MIX, VALUES, VARIABLES, takers};

const DESCRIPTION: &str = "\
Listens where --proxy says, and passes on what clients and the backend have for each other. A call is a request and its reply, as \
--protocol finds them. For each call one handler of the mix is drawn, which lets it pass or makes trouble: the same seed and the \
same calls make the same choices.

It runs until it is told to stop, by SIGINT or SIGTERM; SIGHUP makes it read its file again. What it has to say it says on \
standard error: one line when everything listens, and what it has done when it stops. With a COMMAND it runs for as long as that does.";

const EXIT_STATUS: [(&str, &str); 4] = [
    ("0", "It was asked to stop, or has done what it was asked for instead of running."),
    ("1", "It failed while it ran. With --health: the daemon is not well, or not there."),
    ("2", "The command line or the file is wrong."),
    ("3", "What --expect asked for did not happen."),
];

/// What the codes of a command are.
const WITH_A_COMMAND: &str = "\
With a COMMAND it is that of the command, or 128 and the number of the signal that ended it; 3 only where it is 0. Beside these:";

const BESIDE: [(&str, &str); 4] = [
    ("124", "It took longer than --timeout."),
    ("125", "vaurien itself failed, or its command line or file is wrong."),
    ("126", "The command cannot be executed."),
    ("127", "There is no such command."),
];

const ENVIRONMENT: [(&str, &str); 5] = [
    ("VAURIEN_CONFIG", "The file, as --config."),
    (
        "VAURIEN_GIVEN",
        "Names the variables with which an outer vaurien told its command of its proxies: these are no options of one within. \
         --health asks the daemon that VAURIEN_HTTP tells of.",
    ),
    ("NOTIFY_SOCKET", "Where systemd is told that it is ready, reloads or stops."),
    (
        "GITHUB_ACTIONS, GITHUB_STEP_SUMMARY",
        "On GitHub Actions what went wrong is an annotation, and the table of a run is written to the summary of the job.",
    ),
    ("NO_COLOR", "Where it is set, --demo prints its calls without colors."),
];

/// What a command is given.
const GIVEN: [(&str, &str); 5] = [
    ("VAURIEN_PROXY, VAURIEN_PROXY_HOST, VAURIEN_PROXY_PORT", "Where the proxy listens, if there is one."),
    (
        "VAURIEN_PROXY_NAME, with _HOST and _PORT",
        "Where the proxy of this name in the file listens: VAURIEN_PROXY_CACHE.",
    ),
    ("VAURIEN_HTTP", "Where the HTTP API listens, if there is one."),
    ("VAURIEN_SEED", "The seed of this run."),
    ("VAURIEN_GIVEN", "All of these but the seed, with their values."),
];

const FILES: &str = "\
What it reads is the file that --config names, and the one of --http-token-file. What it writes it writes where --events, --report \
and --ready-file say. The file of --config is TOML: flags are keys with underscores, settings of handlers are in \
tables such as [handlers.delay], those of --http and --statsd in [http] and [statsd], those of a COMMAND in [run], and several proxies have a table each, \
[proxies.NAME]. --print-config prints such a file.";

/// The page for `command` with the handlers of `registry`, as roff.
pub(crate) fn page(command: Command, registry: &Registry) -> String {
    let mut page = Vec::new();
    // Memory takes all that is written to it.
    let _ = write(&mut page, command, registry);
    String::from_utf8_lossy(&page).into_owned()
}

fn write(page: &mut Vec<u8>, command: Command, registry: &Registry) -> io::Result<()> {
    // The first line of the help, as pages are listed by it: no sentence.
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let (first, rest) = about.split_at(about.chars().next().map_or(0, char::len_utf8));
    let about = first.to_lowercase() + rest.trim_end_matches('.');
    let man = Man::new(command.about(about).long_about(DESCRIPTION));
    // Without a date, for which `Man` has no place.
    let version = env!("CARGO_PKG_VERSION");
    writeln!(page, ".TH VAURIEN 1 \"\" \"vaurien {version}\" \"User Commands\"")?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    // Each heading is a section of its own; no line of a text begins like this.
    let options = String::from_utf8_lossy(&options).replace("\n.SH ", "\n.SS ");
    writeln!(page, ".SH OPTIONS\n{}", options.trim_end())?;
    rest_of(registry).to_writer(page)
}

fn rest_of(registry: &Registry) -> Roff {
    let mut roff = Roff::new();
    roff.control("PP", []).text([roman(VALUES)]);
    roff.control("SH", ["COMMAND"]).text([roman(COMMAND)]);
    roff.control("SH", ["HANDLERS"]);
    terms(&mut roff, registry.entries().iter().map(|entry| (entry.name(), entry.help())));
    roff.control("PP", []).text([roman(MIX)]);
    roff.control("PP", []).text([roman(takers(registry))]);
    roff.control("SH", ["EXIT STATUS"]);
    terms(&mut roff, EXIT_STATUS);
    roff.control("PP", []).text([roman(WITH_A_COMMAND)]);
    terms(&mut roff, BESIDE);
    roff.control("SH", ["ENVIRONMENT"]).text([roman(VARIABLES)]);
    terms(&mut roff, ENVIRONMENT);
    roff.control("PP", []).text([roman("What a COMMAND is given:")]);
    terms(&mut roff, GIVEN);
    roff.control("SH", ["FILES"]).text([roman(FILES)]);
    roff.control("SH", ["EXAMPLES"]);
    for (what, line) in EXAMPLES {
        roff.control("PP", []).text([roman(what)]);
        roff.control("PP", [])
            .control("RS", ["4"])
            .control("nf", [])
            .text([bold(line)])
            .control("fi", [])
            .control("RE", []);
    }
    roff
}

fn terms<'a>(roff: &mut Roff, terms: impl IntoIterator<Item = (&'a str, &'a str)>) {
    for (term, what) in terms {
        roff.control("TP", []).text([bold(term)]).text([roman(what)]);
    }
}
