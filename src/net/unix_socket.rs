//! Connecting to a Unix socket, and listening on one: what stands where its file is to be.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::listener::BACKLOG;
use super::unix_path::UnixPath;

/// How often a file is looked at that changes while it is looked at.
const LOOKS: usize = 8;

/// A listener whose queue is full is tried again after this time, then each time after twice the pause.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// Connects. The system refuses at once where the listener's queue is full: it is tried again until `deadline`.
pub(super) async fn dial(path: &UnixPath, deadline: Instant) -> io::Result<UnixStream> {
    let mut pause = FIRST_PAUSE;
    loop {
        match connect(path) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            connected => return UnixStream::from_std(connected?.into()),
        }
        let now = Instant::now();
        if now >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
        sleep(pause.min(deadline - now)).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Connects, which never waits. `WouldBlock`: the listener's queue is full.
fn connect(path: &UnixPath) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&path.to_system()?)?;
    Ok(socket)
}

/// Listens, in place of a socket on which nobody listens any more. An abstract name has no file.
///
/// # Errors
///
/// `AddrInUse` if somebody listens there, `AlreadyExists` if it is another file.
pub(super) fn bind(path: &UnixPath) -> io::Result<(UnixListener, Option<SocketFile>)> {
    let Some(file) = path.file() else { return listen(path) };
    for _ in 0..LOOKS {
        match listen(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => clear(path, file)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(no_directory(file)),
            listens => return listens,
        }
    }
    Err(ErrorKind::AddrInUse.into())
}

fn listen(path: &UnixPath) -> io::Result<(UnixListener, Option<SocketFile>)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&path.to_system()?)?;
    let file = path.file().map(SocketFile::at).transpose()?;
    socket.listen(BACKLOG)?;
    Ok((socket.into(), file))
}

fn no_directory(file: &Path) -> io::Error {
    let directory = file.parent().unwrap_or(file).display();
    io::Error::new(ErrorKind::NotFound, format!("there is no directory `{directory}`"))
}

/// Removes a socket on which nobody listens, and nothing else.
fn clear(path: &UnixPath, file: &Path) -> io::Result<()> {
    let there = match fs::symlink_metadata(file) {
        // It has gone meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        there => there?,
    };
    let kind = there.file_type();
    if !kind.is_socket() {
        let what = match () {
            () if kind.is_dir() => "a directory",
            () if kind.is_symlink() => "a symbolic link",
            () if kind.is_file() => "a file",
            () => "something else",
        };
        return Err(io::Error::new(ErrorKind::AlreadyExists, format!("{what} is there")));
    }
    match connect(path) {
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock => Err(ErrorKind::AddrInUse.into()),
            ErrorKind::ConnectionRefused => SocketFile::new(file, &there)?.remove(),
            ErrorKind::NotFound => Ok(()),
            // It is another's, or of another type.
            _ => Err(io::Error::new(ErrorKind::AlreadyExists, format!("a socket is there ({error})"))),
        },
    }
}

/// The file of a socket. Dropping this removes it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Self::new(path, &fs::symlink_metadata(path)?)
    }

    fn new(path: &Path, metadata: &fs::Metadata) -> io::Result<Self> {
        // Wherever the working directory is when it is removed.
        Ok(Self { path: std::path::absolute(path)?, device: metadata.dev(), inode: metadata.ino() })
    }

    /// Removes it, unless another file has taken its place.
    fn remove(&self) -> io::Result<()> {
        let is_it = |there: &fs::Metadata| (there.dev(), there.ino()) == (self.device, self.inode);
        match fs::symlink_metadata(&self.path) {
            Ok(there) if is_it(&there) => fs::remove_file(&self.path),
            _ => Ok(()),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have made the directory read-only. The next start replaces what is left.
        let _ = self.remove();
    }
}
