//! The contenders between client and backend: nothing, `vaurien`, or HAProxy.

use std::env;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, anyhow};
use tempfile::NamedTempFile;

use crate::backend::listen;
use crate::process::Process;
use crate::tls::{self, Tls};

/// The threads of each proxy.
const THREADS: &str = "2";

#[derive(Debug)]
pub(crate) enum Contender {
    Direct,
    Vaurien,
    Haproxy(PathBuf),
}

impl Contender {
    /// The contenders installed on this machine.
    pub(crate) fn all() -> Vec<Self> {
        let haproxy = find("haproxy").map(Self::Haproxy);
        [Some(Self::Direct), Some(Self::Vaurien), haproxy].into_iter().flatten().collect()
    }

    /// Starts the contender in front of `backend`, with `tls` towards clients. HAProxy reads HTTP/2 if it `reads_http2`, else nothing;
    /// `arguments` are for vaurien.
    pub(crate) fn start(
        &self,
        backend: SocketAddr,
        arguments: &[String],
        tls: Option<&Tls>,
        reads_http2: bool,
    ) -> anyhow::Result<Running> {
        let certificate = tls.map(Tls::file).transpose().context("cannot write the certificate")?;
        match self {
            Self::Direct => Ok(Running { address: backend, child: None, _files: Vec::new() }),
            Self::Vaurien => vaurien(backend, arguments, certificate).context("cannot start vaurien"),
            Self::Haproxy(program) => {
                haproxy(program, backend, certificate, reads_http2).context("cannot start HAProxy")
            }
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::Vaurien => "vaurien",
            Self::Haproxy(_) => "HAProxy",
        })
    }
}

/// A running contender. Its process ends when this is dropped.
pub(crate) struct Running {
    address: SocketAddr,
    child: Option<Child>,
    /// Kept for as long as the process may read them.
    _files: Vec<NamedTempFile>,
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process of the proxy, if there is one.
    pub(crate) fn process(&self) -> Option<Process> {
        self.child.as_ref().map(|child| Process::new(child.id()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn vaurien(backend: SocketAddr, arguments: &[String], certificate: Option<NamedTempFile>) -> anyhow::Result<Running> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vaurien"));
    command.args(["--proxy", "127.0.0.1:0", "--backend", &backend.to_string()]).args(arguments);
    if let Some(file) = &certificate {
        command.arg("--tls-cert").arg(file.path()).arg("--tls-key").arg(file.path());
    }
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("VAURIEN_")) {
        command.env_remove(name);
    }
    command.env("TOKIO_WORKER_THREADS", THREADS).env("NO_COLOR", "1");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let said = child.stderr.take();
    // From here on, `running` ends the process on any error.
    let mut running = Running { address: backend, child: Some(child), _files: certificate.into_iter().collect() };
    let mut lines = BufReader::new(said.context("no standard error")?).lines();
    let ready = lines.next().context("it said nothing")??;
    let address = ready.split_once("ready: ").and_then(|(_, rest)| rest.split_once(' '));
    let (address, _) = address.ok_or_else(|| anyhow!("it said {ready:?}"))?;
    running.address = address.parse()?;
    // Later lines are warnings.
    thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("vaurien: {line}")));
    Ok(running)
}

/// The listener is bound here and passed as standard input: no other program can take the port meanwhile, and clients
/// that connect before HAProxy has started wait.
fn haproxy(
    program: &PathBuf,
    backend: SocketAddr,
    certificate: Option<NamedTempFile>,
    reads_http2: bool,
) -> anyhow::Result<Running> {
    let (mode, proto) = if reads_http2 { ("http", " proto h2") } else { ("tcp", "") };
    let listener = listen()?;
    let address = listener.local_addr()?;
    let ssl = certificate.as_ref().map_or_else(String::new, |file| {
        format!(" ssl crt \"{}\" ciphersuites {}", file.path().display(), tls::CIPHER)
    });
    let mut config = NamedTempFile::new()?;
    write!(
        config,
        "global
    maxconn {}
    nbthread {THREADS}
defaults
    mode {mode}
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen proxy
    bind fd@0{ssl}{proto}
    server backend {backend}{proto}
",
        // One more for the connection that shows that it has started.
        connections() + 1
    )?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(config.path()).stdin(OwnedFd::from(listener)).stdout(Stdio::null());
    let child = command.spawn()?;
    Ok(Running { address, child: Some(child), _files: certificate.into_iter().chain([config]).collect() })
}

/// For how many connections a process has descriptors: two for each, and some for itself.
pub(crate) fn connections() -> usize {
    let limit = rlimit::Resource::NOFILE.get_soft().unwrap_or(1024);
    usize::try_from((limit - (limit / 4).min(1200)) / 2).unwrap_or(usize::MAX)
}

/// The path of a program. Servers may be outside the PATH; an empty PATH finds nothing.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").filter(|path| !path.is_empty())?;
    env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
