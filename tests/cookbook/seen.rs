//! Compares an output with the one that a page quotes.

use regex_lite::Regex;

/// Stands for any number of lines.
const LEFT_OUT: &str = "…";

/// What differs from run to run, and what replaces it.
const VARIES: [(&str, &str); 12] = [
    (r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "TIME"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r#"port "?\d+"?"#, "PORT"),
    (r#"time="[\d.]+""#, "DURATION"),
    (r"\d+(\.\d+)? ?(ms|µs|s)\b", "DURATION"),
    (r"\d+ milliseconds", "DURATION"),
    (r"\d+ bytes", "BYTES"),
    (r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", "TIME"),
    (r": met, [1-9]\d*", "MET"),
    (r"\d+\.\d+\.\d+", "VERSION"),
    // Rulers and columns.
    (r"==+", "="),
    (r"[ \t]+", " "),
];

/// Whether `came` equals `said`, except for what varies and what is left out. Otherwise, the part that is missing.
///
/// A thread of its own writes the log, so that a line of it may come anywhere: those that are not in `said` are left out.
pub(crate) fn compare(said: &str, came: &str) -> Result<(), String> {
    let (said, came) = (stable(said), stable(came));
    let said: Vec<&str> = said.lines().collect();
    let came: Vec<&str> = came.lines().filter(|line| !line.starts_with("TIME ") || said.contains(line)).collect();
    let parts: Vec<&[&str]> = said.split(|line| *line == LEFT_OUT).collect();
    let mut at = 0;
    for (number, part) in parts.iter().enumerate() {
        let rest = &came[at..];
        let found = match (number, number + 1 == parts.len()) {
            (0, true) => (rest == *part).then_some(0),
            (0, false) => rest.starts_with(part).then_some(0),
            (_, true) => rest.ends_with(part).then(|| rest.len() - part.len()),
            (_, false) if part.is_empty() => Some(0),
            (_, false) => rest.windows(part.len()).position(|window| window == *part),
        };
        at += found.ok_or_else(|| format!("not seen: {part:#?}"))? + part.len();
    }
    Ok(())
}

fn stable(text: &str) -> String {
    VARIES.iter().fold(text.to_owned(), |text, (varies, shown)| {
        Regex::new(varies).unwrap().replace_all(&text, *shown).into_owned()
    })
}

#[test]
fn lines_may_be_left_out_where_it_is_said() {
    let came = "ready: 127.0.0.1:40123\nPONG\nPONG\nerror  1\nexit code 0 after 19.1 ms\n";
    let is_said = |said: &str| compare(said, came).is_ok();
    assert!(is_said(came) && is_said("…\n") && is_said("…\nPONG\n…\nexit code 0 after 2 s\n"));
    assert!(is_said("…\nPONG\nerror 1\n…\n") && is_said("ready: 127.0.0.1:1\n…\n"));
    let logged = came.replace("PONG\n", "PONG\n2026-11-28T18:45:10.126894Z  INFO now\n");
    assert!(compare(came, &logged).is_ok() && compare(&logged, came).is_err());
    assert!(!is_said("ready: 127.0.0.1:1\n") && !is_said("…\nPONG\n") && !is_said("…\nPONG\nexit code 0 after 2 s\n"));
    assert!(!is_said("…\nexit code 1 after 2 s\n") && !is_said("…\nerror 2\n…\n") && !is_said("PONG\n…\n"));
}
