//! Where something is written to while nobody may be reading: a file, a device, a pipe.

use std::fs::File;
use std::io;
use std::path::Path;

use tokio::net::unix::pipe;

/// `ENXIO`.
const NO_READER: i32 = 6;

/// Opens a file, which is made where there is none and keeps what is in it, or a pipe that somebody reads: opening one that
/// nobody does would wait for a reader.
///
/// # Panics
///
/// The path is a pipe, and there is no runtime.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    match pipe::OpenOptions::new().open_sender(path) {
        Ok(pipe) => pipe.into_blocking_fd().map(File::from),
        Err(error) if error.raw_os_error() == Some(NO_READER) => {
            Err(io::Error::new(error.kind(), "it is a pipe that nobody reads"))
        }
        Err(_) => File::options().write(true).create(true).truncate(false).open(path),
    }
}
