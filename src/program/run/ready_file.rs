//! A file that exists while everything listens.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::program::atomic_file::AtomicFile;
use crate::program::command::{ChildEnv, GIVEN};

/// The file; dropping this removes it. It has one line for each variable that a command would get, so that a shell can read
/// it.
#[derive(Debug)]
pub(crate) struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Removes one that an earlier run left, and makes sure that one can be written.
    pub(crate) fn prepare(path: &Path) -> anyhow::Result<()> {
        let prepare = || match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => fs::remove_file(path),
            Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "it exists and is not a file")),
            Err(_) => AtomicFile::create(path).map(drop),
        };
        prepare().with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Writes it. It appears complete.
    pub(crate) fn publish(path: &Path, child_env: &ChildEnv) -> anyhow::Result<Self> {
        let write = || {
            let mut file = AtomicFile::create(path)?;
            child_env.variables().iter().try_for_each(|(name, value)| writeln!(file, "{name}={value}"))?;
            writeln!(file, "{GIVEN}='{}'", child_env.list())?;
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
