//! The command line.

use std::time::Duration;

use crate::{cases, curves};

/// The argument that `cargo bench` passes and `cargo test` does not.
pub(crate) const BENCH: &str = "--bench";

const KNOWN: &str = "`--rounds N`, `--seconds S`, `--cases PART,...` and `--curves`";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    /// How long one measurement takes.
    pub(crate) seconds: f64,
    /// Parts of the names of the selected cases; empty for all.
    parts: Vec<String>,
    pub(crate) curves: bool,
}

impl Options {
    /// # Errors
    ///
    /// What is wrong and what would be right, in one line.
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { rounds: 5, seconds: 0.7, parts: Vec::new(), curves: false };
        while let Some(argument) = arguments.next() {
            let mut value = |what: &str| arguments.next().ok_or(format!("`{argument}` wants {what} after it"));
            match argument.as_str() {
                BENCH => {}
                "--curves" => options.curves = true,
                "--rounds" => options.rounds = rounds(&value("a number")?)?,
                "--seconds" => options.seconds = seconds(&value("a number")?)?,
                "--cases" => {
                    options.parts =
                        value("parts of names")?.split(',').map(|part| part.trim().to_lowercase()).collect();
                }
                _ => return Err(format!("unknown argument `{argument}` (known: {KNOWN})")),
            }
        }
        options.all_known()?;
        Ok(options)
    }

    /// Whether a case or curve of this name is selected.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| name.to_lowercase().contains(part))
    }

    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Checks that every part occurs in a name.
    fn all_known(&self) -> Result<(), String> {
        let mut names: Vec<String> = cases::all().into_iter().map(|case| case.name).collect();
        if self.curves {
            names.extend(curves::NAMES.map(str::to_owned));
        }
        let unknown = |part: &&String| part.is_empty() || !names.iter().any(|name| name.to_lowercase().contains(*part));
        match self.parts.iter().find(unknown) {
            Some(part) => Err(format!("no case has `{part}` in its name (there are: {})", names.join("; "))),
            None => Ok(()),
        }
    }
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds @ 1..) => Ok(rounds),
        _ => Err(format!("`--rounds` is a whole number from 1 on, not `{text}`")),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err(format!("`--seconds` is a number from 0.05 to 3600, not `{text}`")),
    }
}
