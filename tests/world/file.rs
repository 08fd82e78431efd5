//! A configuration file, for a program with several proxies or one that reads it again.

use std::path::Path;

use tempfile::NamedTempFile;

use super::Program;

#[derive(Debug)]
pub(crate) struct File(NamedTempFile);

impl File {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        let file = Self(NamedTempFile::with_suffix(".toml").unwrap());
        file.write(text);
        file
    }

    /// Has this text from now on.
    pub(crate) fn write(&self, text: impl AsRef<str>) {
        std::fs::write(self.path(), text.as_ref()).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The program with this file, an API and these arguments, ready.
    pub(crate) fn start(&self, arguments: &str) -> Program {
        let mut command = Program::command(arguments);
        Program::spawn(command.arg("--config").arg(self.path()).args(["--http", "--http-port", "0"]))
    }
}
