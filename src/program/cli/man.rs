//! `--man`: the manual page.

use std::io::{self, Write};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::help::{COMMAND, EXAMPLES, MIX, VALUES, VARIABLES, takers};
use crate::handler::Registry;
use crate::program::ctl;

const DESCRIPTION: &str = "\
vaurien listens on --proxy and connects each client to --backend. A call is a request and its reply, which vaurien finds by \
--protocol. For each call it draws a handler from the mix, which passes the call on or injects a fault: the same seed and the same \
calls draw the same handlers.

vaurien runs until SIGINT or SIGTERM; on SIGHUP it reads its file again. It logs to standard error: one line once everything \
listens, and a summary when it stops. With a COMMAND, it runs until the command ends.";

const EXIT_STATUS: [(&str, &str); 4] = [
    ("0", "vaurien was stopped, or did what it was asked for instead of running."),
    ("1", "vaurien failed while running. With --health: the daemon is unhealthy or cannot be reached."),
    ("2", "The command line or the file is wrong."),
    ("3", "An expectation was not met, or no call could meet the faults that were asked for."),
];

const WITH_A_COMMAND: &str = "\
With a COMMAND, the exit code is that of the command, or 128 plus the number of the signal that ended it; 3 only in place of 0. There \
are also:";

/// Exit codes beside those of the command.
const BESIDE: [(&str, &str); 4] = [
    ("124", "The command took longer than --timeout."),
    ("125", "vaurien itself failed, or its command line or file is wrong."),
    ("126", "The command cannot be executed."),
    ("127", "There is no such command."),
];

const ENVIRONMENT: [(&str, &str); 7] = [
    ("VAURIEN_CONFIG", "The file, as --config."),
    (
        "VAURIEN_GIVEN",
        "The variables that vaurien sets for its command, with their values. A vaurien within the command does not read these as \
         options; its --health asks the daemon that VAURIEN_HTTP names.",
    ),
    ("NOTIFY_SOCKET", "The socket on which systemd is told that vaurien is ready, reloads or stops."),
    (
        "GITHUB_ACTIONS, GITHUB_STEP_SUMMARY",
        "On GitHub Actions, failures become annotations, and the table of a run is added to the summary of the job.",
    ),
    ("NO_COLOR", "If set, --demo prints its calls without colors."),
    (
        "XDG_DATA_HOME, HOME",
        "Where --tls-dir is by default: the folder vaurien in the first, or .local/share/vaurien in the second.",
    ),
    ("SSL_CERT_FILE, SSL_CERT_DIR", "The authorities that count as those of the system."),
];

/// The variables of a command.
const GIVEN: [(&str, &str); 7] = [
    ("VAURIEN_PROXY, VAURIEN_PROXY_HOST, VAURIEN_PROXY_PORT", "The address of the proxy, if there is one."),
    (
        "VAURIEN_PROXY_NAME, with _HOST and _PORT",
        "The address of the proxy of this name in the file: VAURIEN_PROXY_CACHE.",
    ),
    ("VAURIEN_HTTP", "The address of the HTTP API, if it is on."),
    ("VAURIEN_SEED", "The seed of this run."),
    ("VAURIEN_CA", "With --tls auto, a file with its authority and those of the system."),
    (
        "SSL_CERT_FILE, CURL_CA_BUNDLE, REQUESTS_CA_BUNDLE, NODE_EXTRA_CA_CERTS, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
        "With --tls auto, files with its authority and those that these variables, or the system, have named so far.",
    ),
    ("VAURIEN_GIVEN", "All of these that begin with VAURIEN_ but the seed, with their values."),
];

const FILES: &str = "\
vaurien reads the files that --config and --http-token-file name, and writes those that --events, --report and --ready-file name. \
The file of --config is TOML. Its keys are the flags, with underscores; settings of handlers are in tables such as [handlers.delay], \
those of TLS in [tls] and [backend_tls], those of --http and --statsd in [http] and [statsd], those of a COMMAND in [run], and each of \
several proxies has a table [proxies.NAME]. --print-config prints such a file.";

const TLS_FILES: &str = "\
The files of --tls-cert, --tls-key, --backend-ca, --backend-cert and --backend-key are PEM; SIGHUP has vaurien read them again. With \
--tls auto, the folder of --tls-dir has the authority: ca.pem, its certificate, and ca-key.pem, its private key.";

const CTL: &str = "\
vaurien ctl [--http HOST:PORT] COMMAND speaks to the HTTP API of a running daemon. PROXY can be left out if there is one. vaurien ctl \
--help has the options. The exit code is 1 if the daemon refuses or cannot be reached. Its commands are:";

/// The page for `command` with the handlers of `registry`, as roff.
pub(crate) fn page(command: Command, registry: &Registry) -> String {
    let mut page = Vec::new();
    // Memory takes all that is written to it.
    let _ = write(&mut page, command, registry);
    String::from_utf8_lossy(&page).into_owned()
}

fn write(page: &mut Vec<u8>, command: Command, registry: &Registry) -> io::Result<()> {
    // Pages are listed by this line, which is not a sentence.
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
    terms(&mut roff, registry.entries().iter().map(|entry| (&*entry.name, &*entry.help)));
    roff.control("PP", []).text([roman(MIX)]);
    roff.control("PP", []).text([roman(takers(registry))]);
    roff.control("SH", ["CTL"]).text([roman(CTL)]);
    let commands = ctl::commands();
    terms(&mut roff, commands.iter().map(|(usage, about)| (&**usage, &**about)));
    roff.control("SH", ["EXIT STATUS"]);
    terms(&mut roff, EXIT_STATUS);
    roff.control("PP", []).text([roman(WITH_A_COMMAND)]);
    terms(&mut roff, BESIDE);
    roff.control("SH", ["ENVIRONMENT"]).text([roman(VARIABLES)]);
    terms(&mut roff, ENVIRONMENT);
    roff.control("PP", []).text([roman("The environment of a COMMAND has:")]);
    terms(&mut roff, GIVEN);
    roff.control("SH", ["FILES"]).text([roman(FILES)]);
    roff.control("PP", []).text([roman(TLS_FILES)]);
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
