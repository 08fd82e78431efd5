//! A file that appears complete.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::program::output;

/// What a new file may be, before the umask takes from it.
const PERMISSIONS: u32 = 0o666;

/// A file that is written now and seen once it is published: until then, what was in its place stays there.
///
/// If it is dropped before, it never was. What is no file, a device or a pipe, is written to as it goes.
#[derive(Debug)]
pub(crate) enum AtomicFile {
    /// Is renamed to `path`.
    Beside { file: NamedTempFile, path: PathBuf },
    /// Is no file.
    There(File),
}

impl AtomicFile {
    /// Begins to write to `path`, and fails if that will not be possible.
    ///
    /// # Panics
    ///
    /// The path is a pipe, and there is no runtime.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return output::open(path).map(Self::There);
        }
        // A link goes on leading to the file.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        // A hidden name, which nobody takes for the file.
        let prefix = format!(".{}.", name.to_string_lossy());
        let permissions = Permissions::from_mode(PERMISSIONS);
        let file = Builder::new().prefix(&prefix).permissions(permissions).tempfile_in(folder)?;
        Ok(Self::Beside { file, path })
    }

    /// Lets it be seen.
    pub(crate) fn publish(self) -> io::Result<()> {
        match self {
            Self::Beside { file, path } => file.persist(path).map(drop).map_err(|error| error.error),
            Self::There(_) => Ok(()),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Beside { file, .. } => file.write(bytes),
            Self::There(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Beside { file, .. } => file.flush(),
            Self::There(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use tokio::io::AsyncReadExt;
    use tokio::net::unix::pipe;

    use super::*;

    fn entries(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.collect()
    }

    fn make_pipe(folder: &Path) -> PathBuf {
        let path = folder.join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    #[test]
    fn it_is_not_there_before_it_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"all").unwrap();
        assert!(!path.exists());
        file.publish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"all");
        assert_eq!(entries(folder.path()), ["new"]);
    }

    #[test]
    fn what_was_there_stays_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old");
        fs::write(&path, "old and long").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old and long");
        file.publish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn what_is_not_published_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(&folder.path().join("never")).unwrap();
        file.write_all(b"some").unwrap();
        assert_eq!(entries(folder.path()).len(), 1);
        drop(file);
        assert_eq!(entries(folder.path()), [""; 0]);
    }

    #[test]
    fn it_may_be_read_by_those_who_may_read_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("file"), folder.path().join("other"));
        AtomicFile::create(&path).unwrap().publish().unwrap();
        File::create(&other).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&other));
    }

    #[test]
    fn a_link_goes_on_leading_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&path, "old").unwrap();
        symlink(&path, &link).unwrap();
        let mut file = AtomicFile::create(&link).unwrap();
        file.write_all(b"new").unwrap();
        file.publish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn what_cannot_be_written_is_known_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| AtomicFile::create(path).unwrap_err().kind();
        assert_eq!(error(&folder.path().join("nowhere/file")), io::ErrorKind::NotFound);
        assert_eq!(error(folder.path()), io::ErrorKind::IsADirectory);
        assert_eq!(error(Path::new("")), io::ErrorKind::IsADirectory);
    }

    #[tokio::test]
    async fn a_pipe_is_written_to_while_somebody_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = make_pipe(folder.path());
        let error = AtomicFile::create(&path).unwrap_err();
        assert_eq!(error.to_string(), "it is a pipe that nobody reads");
        let mut reader = pipe::OpenOptions::new().open_receiver(&path).unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"all").unwrap();
        file.publish().unwrap();
        let mut read = String::new();
        reader.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "all");
        assert_eq!(entries(folder.path()), ["pipe"]);
    }

    #[test]
    fn a_device_is_written_to() {
        let mut file = AtomicFile::create(Path::new("/dev/full")).unwrap();
        assert_eq!(file.write_all(b"all").unwrap_err().kind(), io::ErrorKind::StorageFull);
        AtomicFile::create(Path::new("/dev/null")).unwrap().publish().unwrap();
    }
}
