//! A file that is there while everything listens.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::program::atomic_file::AtomicFile;
use crate::program::command::{GIVEN, Given};

/// The file, until this is dropped. It has a line for each variable that a command would be given: a shell can read it.
#[derive(Debug)]
pub(crate) struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Makes sure that none is there which says what is not true yet, and that one can be written.
    ///
    /// # Errors
    ///
    /// There is one that cannot be removed, or something else.
    pub(crate) fn prepare(path: &Path) -> anyhow::Result<()> {
        let prepare = || match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => fs::remove_file(path),
            Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is there is no file")),
            Err(_) => AtomicFile::create(path).map(drop),
        };
        prepare().with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Lets it appear, complete.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(crate) fn publish(path: &Path, given: &Given) -> anyhow::Result<Self> {
        let write = || {
            let mut file = AtomicFile::create(path)?;
            given.variables().iter().try_for_each(|(name, value)| writeln!(file, "{name}={value}"))?;
            writeln!(file, "{GIVEN}='{}'", given.mark())?;
            file.publish()
        };
        write().with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
