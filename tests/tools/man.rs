//! `--man` prints the manual page.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::printed;

/// Roff without its escapes.
fn plain(page: &str) -> String {
    ["\\fB", "\\fI", "\\fR"]
        .iter()
        .fold(page.replace("\\-", "-"), |page, font| page.replace(font, ""))
        .replace("\\*(Aq", "'")
}

#[test]
fn its_sections_are_in_the_usual_order() {
    let page = printed("--man");
    let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
    let usual = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "COMMAND",
        "HANDLERS",
        "CTL",
        "\"EXIT STATUS\"",
        "ENVIRONMENT",
        "FILES",
        "EXAMPLES",
    ];
    assert_eq!(sections, usual);
}

#[test]
fn it_has_all_that_the_help_has() {
    let (page, help) = (plain(&printed("--man")), printed("--help"));
    let (flags, handlers) = help.split_once("What handlers do:\n").unwrap();
    let flags: Vec<_> = flags.lines().map(str::trim).filter(|line| line.starts_with('-')).collect();
    assert!(flags.len() > 30);
    for flag in flags.iter().filter_map(|line| line.split("  ").next()) {
        assert!(page.lines().any(|line| line == flag), "{flag}\n{page}");
    }
    for example in help.lines().map(str::trim).filter(|line| line.starts_with("vaurien --")) {
        assert!(page.lines().any(|line| line == example), "{example}\n{page}");
    }
    for handler in handlers.lines().take_while(|line| line.starts_with("  ")) {
        let (name, what) = handler.trim().split_once(' ').unwrap();
        assert!(page.contains(&format!("\n{name}\n{}\n", what.trim())), "{handler}\n{page}");
    }
}

/// What stands under this heading.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let (_, rest) = page.split_once(&format!(".SH {heading}\n")).expect(heading);
    rest.split("\n.SH ").next().unwrap()
}

/// The terms that are explained there.
fn terms(section: &str) -> Vec<&str> {
    let lines: Vec<_> = section.lines().collect();
    lines.windows(2).filter(|two| two[0].starts_with(".TP")).map(|two| two[1]).collect()
}

#[test]
fn it_names_all_files_variables_and_exit_codes() {
    let (page, help) = (plain(&printed("--man")), printed("--help"));
    let files = section(&page, "FILES");
    let flags: Vec<_> = help.lines().filter(|line| line.contains(" <FILE>")).collect();
    assert!(flags.len() >= 5, "{flags:?}");
    for flag in flags.iter().filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--"))) {
        assert!(files.split([' ', ',', '.', '\n']).any(|word| word == flag), "{flag}\n{files}");
    }
    let variables = terms(section(&page, "ENVIRONMENT"));
    for variable in [
        "VAURIEN_CONFIG",
        "VAURIEN_GIVEN",
        "NOTIFY_SOCKET",
        "GITHUB_ACTIONS",
        "GITHUB_STEP_SUMMARY",
        "NO_COLOR",
        "VAURIEN_PROXY",
        "VAURIEN_PROXY_HOST",
        "VAURIEN_HTTP",
        "VAURIEN_SEED",
        "VAURIEN_CA",
        "SSL_CERT_FILE",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
        "XDG_DATA_HOME",
    ] {
        assert!(
            variables.iter().any(|term| term.split(", ").any(|name| name == variable)),
            "{variable}\n{variables:?}"
        );
    }
    let codes: Vec<u8> = terms(section(&page, "\"EXIT STATUS\"")).iter().map(|term| term.parse().unwrap()).collect();
    assert_eq!(codes, [0, 1, 2, 3, 124, 125, 126, 127]);
}

#[test]
#[ignore = "needs man"]
fn man_shows_it_without_a_warning() {
    let mut man = Command::new("man");
    man.args(["--warnings", "-l", "-"]).env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
    let mut man = man.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    man.stdin.take().unwrap().write_all(printed("--man").as_bytes()).unwrap();
    let output = man.wait_with_output().unwrap();
    let (shown, complaints) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    assert!(shown.contains("--handler-delay-sleep"), "{shown}");
}
