//! Flags, variables and the file mean the same, the stronger wins, and every mistake is one line that says where, what,
//! and what would be right.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod file_mistakes;
mod help;
mod mistakes;
mod own_handler;
mod sections;
mod several;
mod tls;
mod values;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

use vaurien::handler::Registry;
use vaurien::program::cli::Exit;
use vaurien::program::config::Config;

/// A program about to start: its arguments, its environment, its file.
pub(crate) struct Start {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    env: HashMap<String, String>,
    pub(crate) registry: Registry,
    folder: Option<tempfile::TempDir>,
}

impl Default for Start {
    fn default() -> Self {
        let registry = Registry::default();
        Self { program: "vaurien".into(), args: Vec::new(), env: HashMap::new(), registry, folder: None }
    }
}

impl Start {
    pub(crate) fn args(line: &str) -> Self {
        Self { args: line.split_whitespace().map(OsString::from).collect(), ..Self::default() }
    }

    /// With a backend, so that the rest is what is tested.
    pub(crate) fn with(line: &str) -> Self {
        Self::args(&format!("--backend localhost:6379 {line}"))
    }

    pub(crate) fn file(text: &str) -> Self {
        Self::default().and_file(text)
    }

    pub(crate) fn and_file(mut self, text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vaurien.toml");
        std::fs::write(&path, text).expect("a file");
        self.args.extend(["--config".into(), path.into()]);
        self.folder = Some(folder);
        self
    }

    pub(crate) fn and_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn run(&self) -> Result<Config, Exit> {
        let args = std::iter::once(self.program.clone()).chain(self.args.clone());
        let environment = self.env.iter().map(|(name, value)| (name.into(), value.into()));
        Config::from_args(args, environment, &self.registry)
    }

    #[track_caller]
    pub(crate) fn config(&self) -> Config {
        self.run().unwrap_or_else(|exit| panic!("{exit}"))
    }

    /// The lines that it ends with; the file is `vaurien.toml`, wherever it is.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<String> {
        let mistakes = match self.run() {
            Err(Exit::Diagnostics(mistakes)) => mistakes,
            other => panic!("no mistakes: {other:?}"),
        };
        let folder = self.folder.as_ref().map_or(Path::new("?"), tempfile::TempDir::path);
        let folder = format!("{}/", folder.display());
        mistakes.iter().map(|mistake| mistake.to_string().replace(&folder, "")).collect()
    }

    pub(crate) fn help(&self) -> String {
        match self.run() {
            Err(Exit::Text(text)) => text,
            other => panic!("no help: {other:?}"),
        }
    }
}

/// No backend at all.
pub(crate) const MISSING: &str =
    "the backend is missing, give `--backend HOST:PORT`, or VAURIEN_BACKEND, or `backend` in the file";
/// The handlers that come with the program.
pub(crate) const KNOWN: &str = "(known: abort, blackout, corrupt, cut, delay, dummy, error, goaway, hang, miss, reply, reset, slow, tls, transient)";
