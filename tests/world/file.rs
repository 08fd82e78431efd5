//! A configuration file, for several proxies or for reloads.

use std::path::Path;

use tempfile::NamedTempFile;

use super::{Api, Backend, Client, Program};

#[derive(Debug)]
pub(crate) struct File(NamedTempFile);

impl File {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        let file = Self(NamedTempFile::with_suffix(".toml").unwrap());
        file.write(text);
        file
    }

    /// Replaces the text.
    pub(crate) fn write(&self, text: impl AsRef<str>) {
        std::fs::write(self.path(), text.as_ref()).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Starts the program with this file, an API and these arguments, and waits until it is ready.
    pub(crate) fn start(&self, arguments: &str) -> Program {
        let mut command = Program::command(arguments);
        Program::spawn(command.arg("--config").arg(self.path()).args(["--http", "--http-port", "0"]))
    }
}

/// The text of a proxy on a free port, with these further keys.
pub(crate) fn proxy(name: &str, backend: &Backend, keys: &str) -> String {
    let backend = backend.address();
    format!("[proxies.{name}]\nproxy = \"127.0.0.1:0\"\nbackend = \"{backend}\"\nprotocol = \"redis\"\n{keys}\n")
}

/// Makes a call and checks its reply.
pub(crate) fn call(client: &mut Client) {
    client.send("a\r\n").expect("+a\r\n");
}

/// A client of this proxy whose first call has been answered.
pub(crate) fn settled(api: Api, name: &str) -> Client {
    let mut client = api.client(name);
    call(&mut client);
    client
}
