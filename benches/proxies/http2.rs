//! Streams of HTTP/2: `h2load` asks, nginx answers.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, anyhow};
use tempfile::TempDir;

use crate::cases::Case;
use crate::contenders::{Contender, find};
use crate::measure::Sample;
use crate::process::Process;

/// How long nginx may take to listen.
const START: Duration = Duration::from_secs(5);

/// Whether everything that is needed is installed.
pub(crate) fn is_possible() -> bool {
    ["h2load", "nginx"].into_iter().all(|program| find(program).is_some())
}

/// Measures requests of `at_once` streams on each of so many connections.
pub(crate) fn measure(
    contender: &Contender,
    case: &Case,
    (connections, at_once): (usize, usize),
    window: Duration,
) -> anyhow::Result<Sample> {
    let nginx = Nginx::start()?;
    let proxy = contender.start(nginx.address, &case.arguments, None, true)?;
    let load = |time: Duration| -> anyhow::Result<f64> {
        let mut h2load = Command::new("h2load");
        h2load.args([
            "--threads=1",
            &format!("--clients={connections}"),
            &format!("--max-concurrent-streams={at_once}"),
        ]);
        h2load.arg(format!("--duration={}", time.as_secs_f64().ceil())).arg(format!("http://{}/", proxy.address()));
        let printed = h2load.output().context("cannot run h2load")?;
        let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
        calls_of(&printed).ok_or_else(|| anyhow!("h2load printed {printed:?}"))
    };
    let processor = || proxy.process().map(Process::processor_time).transpose();
    let (before, begun) = (processor()?, Instant::now());
    let calls = load(window)?;
    let seconds = begun.elapsed().as_secs_f64();
    let processor = processor()?.zip(before).map(|(after, before)| after.saturating_sub(before).as_secs_f64());
    let (bytes, exchange, due) = (0.0, 0.0, 0.0);
    Ok(Sample { seconds, calls, bytes, exchange, due, times: Vec::new(), processor, memory: None })
}

/// How many requests succeeded: `requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, …`; none if one failed.
fn calls_of(printed: &str) -> Option<f64> {
    let line = printed.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let count = |what: &str| line.split(", ").find_map(|part| part.strip_suffix(what))?.trim().parse().ok();
    count(" succeeded").filter(|_| count(" failed") == Some(0.0))
}

/// An nginx that answers 6 bytes to every request of HTTP/2 without TLS. It ends when this is dropped.
struct Nginx {
    address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Nginx {
    fn start() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let at = folder.path().display();
        let config = format!(
            "daemon off; worker_processes 1; pid {at}/pid; error_log {at}/errors;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path {at}/1; proxy_temp_path {at}/2; fastcgi_temp_path {at}/3; uwsgi_temp_path {at}/4;
    scgi_temp_path {at}/5;
    server {{ listen {address} http2; location / {{ return 200 \"hello\\n\"; }} }}
}}
"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config)?;
        let program = find("nginx").context("nginx is not installed")?;
        let child = Command::new(program).arg("-c").arg(file).stderr(Stdio::null()).spawn()?;
        let nginx = Self { address, child, _folder: folder };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begun.elapsed() > START {
                return Err(anyhow!("nginx does not listen"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
