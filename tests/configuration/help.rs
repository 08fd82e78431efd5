//! The help is grouped, short, and right.

use std::process::{Command, Stdio};

use crate::Start;

#[test]
fn the_help_is_grouped_and_fits() {
    let help = Start::args("--help").help();
    let headings = [
        "\nProxy:\n",
        "\nHandlers:\n",
        "\nConnection:\n",
        "\nCommand:\n",
        "\nHTTP API:\n",
        "\nstatsd:\n",
        "\nLogging:\n",
        "\nExamples:\n",
    ];
    let places: Vec<_> = headings.iter().map(|heading| help.find(heading).expect(heading)).collect();
    assert!(places.is_sorted(), "{help}");
    for line in help.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert_eq!(help[places[7]..].matches("    vaurien --").count(), 4);
    for flag in [
        "--proxy <HOST:PORT>",
        "--backend <HOST:PORT>",
        "--protocol <PROTOCOL>",
        "--seed <NUMBER>",
        "--handler <MIX>",
        "--handler-delay-sleep <SECONDS>",
        "--handler-delay-before [<BOOL>]",
        "--handler-error-inject [<BOOL>]",
        "--handler-error-warmup <CALLS>",
        "--buffer <BYTES>",
        "--keep-alive [<BOOL>]",
        "--reuse-socket [<BOOL>]",
        "--pool-size <CONNECTIONS>",
        "--pool-timeout <SECONDS>",
        "--connect-timeout <SECONDS>",
        "--log-level <LEVEL>",
        "--log-format <FORMAT>",
        "--http [<BOOL>]",
        "--http-host <HOST>",
        "--http-port <NUMBER>",
        "--statsd-enabled [<BOOL>]",
        "--statsd-host <HOST>",
        "--statsd-port <NUMBER>",
        "--statsd-prefix <PREFIX>",
    ] {
        // Where flags are long, their texts are below them.
        let mut lines = help.lines().skip_while(|line| !line.contains(flag));
        let line = lines.next().expect(flag);
        let text = if line.ends_with('>') || line.ends_with(']') { lines.next().unwrap_or(line) } else { line };
        assert!([line, text].iter().any(|text| text.contains("[default: ") || text.ends_with("required")), "{line}");
    }
    for flag in [
        "--wait-backend <SECONDS>",
        "--expect <EXPECTATION>",
        "--timeout <SECONDS>",
        "--repeat <TIMES>",
        "--report <FILE>",
        "--ready-file <FILE>",
        "--http-allow-host <HOSTS>",
        "--http-token <TOKEN>",
        "--http-token-file <FILE>",
        "--events <FILE>",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
    assert!(!help.contains("--enabled"), "of use in the file alone");
}

#[test]
fn the_short_help_is_one_screen() {
    let help = Start::args("--seed 1 -h").help();
    assert!(help.lines().count() <= 25, "{help}");
    for text in ["Usage: vaurien --backend", "--proxy <HOST:PORT>", "--handler <MIX>", "--expect", "--config", "--help"]
    {
        assert!(help.contains(text), "{text}\n{help}");
    }
    for text in ["--handler-delay-sleep <", "--pool-size", "--http-token", "statsd", "VAURIEN_"] {
        assert!(!help.contains(text), "{text}\n{help}");
    }
    assert_eq!(Start::args("-h --help").help(), help, "the first of them");
}

#[test]
fn paragraphs_fill_their_lines() {
    for width in [80, 100] {
        let output = Command::new(env!("CARGO_BIN_EXE_vaurien"))
            .arg("--help")
            .env("COLUMNS", width.to_string())
            .stdin(Stdio::null())
            .output();
        let help = String::from_utf8(output.unwrap().stdout).unwrap();
        let (_, paragraphs) = help.split_once("Print the version\n").unwrap();
        let lines: Vec<&str> = paragraphs.lines().collect();
        let mut within = 0;
        for two in lines.windows(2).filter(|two| two.iter().all(|line| !line.is_empty() && !line.starts_with(' '))) {
            let next = two[1].split(' ').next().unwrap_or_default();
            assert!(two[0].chars().count() <= width, "{help}");
            assert!(two[0].chars().count() + 1 + next.chars().count() > width, "{width}: {}\n{help}", two[0]);
            within += 1;
        }
        assert!(within > 5, "{help}");
    }
}

#[test]
fn the_examples_of_the_help_are_right() {
    let help = Start::args("--help").help();
    let examples = help.lines().filter_map(|line| line.trim().strip_prefix("vaurien --"));
    let runnable: Vec<_> = examples.filter(|line| !line.starts_with("config")).collect();
    assert_eq!(runnable.len(), 3);
    for line in runnable {
        Start::args(&format!("--{line}")).config();
    }
}

#[test]
fn the_version_is_the_packages() {
    for flag in ["--version", "-V"] {
        assert_eq!(Start::args(flag).help(), format!("vaurien {}\n", env!("CARGO_PKG_VERSION")));
    }
}
