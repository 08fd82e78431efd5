//! Files, devices and pipes that the program writes to.

use std::fs::File;
use std::io;
use std::path::Path;

use tokio::net::unix::pipe;

/// `ENXIO`: a pipe without a reader.
const NO_READER: i32 = 6;

/// Opens a file for writing. It is created if it does not exist, and not truncated. A pipe without a reader is an error:
/// opening it as a file would wait for one.
/// Panics if the path is a pipe and there is no runtime.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    match pipe::OpenOptions::new().open_sender(path) {
        Ok(pipe) => pipe.into_blocking_fd().map(File::from),
        Err(error) if error.raw_os_error() == Some(NO_READER) => {
            Err(io::Error::new(error.kind(), "it is a pipe without a reader"))
        }
        Err(_) => File::options().write(true).create(true).truncate(false).open(path),
    }
}
