//! A file that is replaced as a whole.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempPath};

use crate::program::output;

/// The permissions of a new file, before the umask.
const PERMISSIONS: u32 = 0o666;

/// A file that is written beside its path and moved there when it is published. Until then an earlier file is kept; dropping
/// this leaves it.
///
/// Devices and pipes are written to directly.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    out: File,
    /// Where it is, and the path that it is moved to; none for a device or a pipe.
    beside: Option<(TempPath, PathBuf)>,
}

impl AtomicFile {
    /// Fails if `path` cannot be written.
    /// Panics if the path is a pipe and there is no runtime.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return output::open(path).map(|out| Self { out, beside: None });
        }
        // A symbolic link is kept: its target is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        // A hidden name, so that nobody mistakes it for the file.
        let prefix = format!(".{}.", name.to_string_lossy());
        let permissions = Permissions::from_mode(PERMISSIONS);
        let file = Builder::new().prefix(&prefix).permissions(permissions).tempfile_in(folder)?;
        let (out, at) = file.into_parts();
        Ok(Self { out, beside: Some((at, path)) })
    }

    /// Moves it to its path.
    pub(crate) fn publish(self) -> io::Result<()> {
        self.beside.map_or(Ok(()), |(at, path)| at.persist(path).map_err(|error| error.error))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
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
    fn it_appears_when_it_is_published() {
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
    fn an_earlier_file_is_kept_until_then() {
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
    fn dropping_it_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(&folder.path().join("never")).unwrap();
        file.write_all(b"some").unwrap();
        assert_eq!(entries(folder.path()).len(), 1);
        drop(file);
        assert_eq!(entries(folder.path()), [""; 0]);
    }

    #[test]
    fn it_has_the_permissions_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("file"), folder.path().join("other"));
        AtomicFile::create(&path).unwrap().publish().unwrap();
        File::create(&other).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&other));
    }

    #[test]
    fn a_symbolic_link_is_kept() {
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
    fn a_path_that_cannot_be_written_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| AtomicFile::create(path).unwrap_err().kind();
        assert_eq!(error(&folder.path().join("nowhere/file")), io::ErrorKind::NotFound);
        assert_eq!(error(folder.path()), io::ErrorKind::IsADirectory);
        assert_eq!(error(Path::new("")), io::ErrorKind::IsADirectory);
    }

    #[tokio::test]
    async fn a_pipe_with_a_reader_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = make_pipe(folder.path());
        let error = AtomicFile::create(&path).unwrap_err();
        assert_eq!(error.to_string(), "it is a pipe without a reader");
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
