//! `--demo`: vaurien in front of a small HTTP server of its own, with a client that shows what it gets.

mod server;
mod watch;

use std::collections::{BTreeSet, HashSet};
use std::future::pending;
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::spawn_blocking;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use crate::handler::DynHandler;
use crate::net::address::Address;
use crate::net::listener::reachable;
use crate::program::api::Readers;
use crate::proxy::config::ProxyConfig;
use watch::{Report, Watched, answered, unanswered};

/// How many calls are made.
const CALLS: u64 = 12;

/// How long more calls are made for handlers that were not drawn: other clients and other seeds change the draws.
const EXTRA: Duration = Duration::from_secs(5);

/// The pause before a call, so that a person can follow.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it makes a call while somebody looks at the page.
const BEAT: Duration = Duration::from_secs(1);

/// How long the client waits for a reply.
const PATIENCE: Duration = Duration::from_millis(500);

/// How many reports wait to be printed. More are dropped: nobody reads standard output.
const REPORTS: usize = 10_000;

/// The client, and the table that it prints.
pub(crate) struct Demo {
    reports: Receiver<Report>,
    /// Handlers that were not drawn yet.
    unseen: BTreeSet<String>,
    /// The connections that this client has made.
    own: HashSet<u64>,
    /// How many rows the table has.
    rows: u64,
    title: String,
    /// The live page, and who reads events there.
    page: Option<(SocketAddr, Readers)>,
}

impl Demo {
    /// Starts the server, and puts the proxy in front of it.
    pub(crate) async fn start(proxy: &mut ProxyConfig) -> io::Result<Self> {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let backend = server.local_addr()?;
        tokio::spawn(server::serve(server));
        let (sender, reports) = channel(REPORTS);
        let shares = proxy.mix.shares().iter().filter(|share| share.percent() > 0.0);
        let unseen = shares.map(|share| share.name().to_owned()).collect();
        let title = format!("in front of a small HTTP server, protocol {}, handler {}", proxy.protocol, proxy.mix);
        let sender = &sender;
        let watched =
            |name: &str, handler| -> Arc<dyn DynHandler> { Arc::new(Watched::new(name, handler, sender.clone())) };
        proxy.mix = proxy.mix.clone().map(watched);
        proxy.rules = std::mem::take(&mut proxy.rules).into_iter().map(|rule| rule.map(watched)).collect();
        proxy.backend = Address::new(backend.ip().to_string(), backend.port());
        // The API shows it, and can change the other keys.
        proxy.keys.set("backend", backend.to_string());
        Ok(Self { reports, unseen, own: HashSet::new(), rows: 0, title, page: None })
    }

    /// Names the page of the API on these addresses, and makes calls while somebody looks at it.
    pub(crate) fn watched_on(&mut self, addresses: &[SocketAddr], readers: Readers) {
        let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
        self.page = address.map(|address| (SocketAddr::new(reachable(address.ip()), address.port()), readers));
    }

    /// Makes calls to the proxy at `address`, then shows those of other clients, until `stop` resolves.
    pub(crate) async fn until(self, stop: impl Future<Output = ()>, address: SocketAddr) {
        let show = async {
            // Once standard output is closed, there is nothing to show.
            let _ = self.show(SocketAddr::new(reachable(address.ip()), address.port())).await;
            pending::<()>().await;
        };
        tokio::select! {
            () = stop => {}
            () = show => {}
        }
    }

    async fn show(mut self, address: SocketAddr) -> io::Result<()> {
        if let Some((page, _)) = &self.page {
            print(format!("open http://{page}/ to watch it and to steer it\n")).await?;
        }
        print(format!("http://{address}/ {}\n\n call  request  drawn for  the client saw\n", self.title)).await?;
        let (begun, mut calls) = (Instant::now(), 0);
        while calls < CALLS || (!self.unseen.is_empty() && begun.elapsed() < EXTRA) {
            calls += 1;
            sleep(PAUSE).await;
            self.call(address).await?;
        }
        let invitation =
            format!("\nNow yours: curl -i http://{address}/ or a browser. Ctrl-C stops and shows the counts.\n");
        print(invitation).await?;
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                report = self.reports.recv() => match report {
                    Some(report) => self.show_foreign(report).await?,
                    None => return Ok(()),
                },
                () = watched(&mut beats, || self.page.as_ref().is_some_and(|(_, readers)| readers.exist())) => {
                    tokio::spawn(beat(address, self.rows + 1));
                }
            }
        }
    }

    /// Makes one call, on a connection of its own, and shows it.
    async fn call(&mut self, address: SocketAddr) -> io::Result<()> {
        self.rows += 1;
        let row = self.rows;
        let begun = Instant::now();
        let mut client = TcpStream::connect(address).await?;
        let request = request(address, row);
        let mut reply = Vec::new();
        let exchange = async {
            client.write_all(request.as_bytes()).await?;
            client.read_to_end(&mut reply).await
        };
        let ended = timeout(PATIENCE, exchange).await;
        let saw = match (status(&reply), ended) {
            (Some(status), _) => answered(status, begun.elapsed()),
            (None, _) if !reply.is_empty() => format!("{} bytes that are not HTTP", reply.len()),
            (None, Ok(Ok(_))) => "connection closed".to_owned(),
            (None, Ok(Err(error))) if error.kind() == io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
            (None, Ok(Err(error))) => error.to_string(),
            (None, Err(_)) => unanswered(PATIENCE),
        };
        // The client stays connected until the report: the proxy cannot tell the address of one that has left.
        let own = client.local_addr()?;
        while let Some(report) = self.reports.recv().await {
            match report {
                Report::Drawn { connection, client, handler } if client == own => {
                    self.own.insert(connection);
                    self.unseen.remove(&*handler);
                    return print_row(row, &format!("GET /{row}"), &handler, &saw).await;
                }
                report => self.show_foreign(report).await?,
            }
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    /// Shows a call of another client.
    async fn show_foreign(&mut self, report: Report) -> io::Result<()> {
        match report {
            Report::Ended { connection, handler, request, saw } if !self.own.contains(&connection) => {
                self.rows += 1;
                print_row(self.rows, &request, &handler, &saw).await
            }
            _ => Ok(()),
        }
    }
}

/// Resolves at the next beat at which somebody watches.
async fn watched(beats: &mut Interval, is_watched: impl Fn() -> bool) {
    loop {
        beats.tick().await;
        if is_watched() {
            return;
        }
    }
}

/// Makes one call like any client's: the handlers report it, unless the API has replaced them. The proxy may be disabled.
async fn beat(address: SocketAddr, number: u64) -> io::Result<()> {
    let mut client = TcpStream::connect(address).await?;
    client.write_all(request(address, number).as_bytes()).await?;
    let _ = timeout(PATIENCE, client.read_to_end(&mut Vec::new())).await;
    Ok(())
}

fn request(address: SocketAddr, number: u64) -> String {
    format!("GET /{number} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
}

async fn print_row(row: u64, request: &str, handler: &str, saw: &str) -> io::Result<()> {
    print(format!("{row:5}  {request:7}  {}  {saw}\n", coloured(handler))).await
}

/// Standard output may be a pipe that is full: that must not keep the program from stopping.
async fn print(text: String) -> io::Result<()> {
    spawn_blocking(move || io::stdout().write_all(text.as_bytes())).await?
}

/// The status line without the version, if it is one.
fn status(reply: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(reply.split(|byte| *byte == b'\r').next()?).ok()?;
    line.strip_prefix("HTTP/1.1 ")
}

/// The handler's name, as wide as its column, and in colour on a terminal.
fn coloured(handler: &str) -> String {
    let colour = match handler {
        "dummy" => 32,
        "delay" => 33,
        _ => 31,
    };
    let plain = !io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
    if plain { format!("{handler:9}") } else { format!("\x1b[{colour}m{handler:9}\x1b[0m") }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::handler::Registry;
    use crate::program::config::Config;

    #[tokio::test(start_paused = true)]
    async fn calls_stop_when_nobody_watches_and_begin_again() {
        let watches = Cell::new(true);
        let mut beats = interval(BEAT);
        for _ in 0..3 {
            timeout(2 * BEAT, watched(&mut beats, || watches.get())).await.expect("no call");
        }
        watches.set(false);
        timeout(1000 * BEAT, watched(&mut beats, || watches.get())).await.expect_err("a call");
        watches.set(true);
        timeout(2 * BEAT, watched(&mut beats, || watches.get())).await.expect("no call");
    }

    #[test]
    fn the_demos_seed_shows_one_handler_after_the_other() {
        let args = ["vaurien", "--demo"].map(Into::into);
        let config = Config::from_args(args, [], &Registry::default()).unwrap();
        let proxy = &config.proxies[0];
        let first = |connection| proxy.mix.drawn(config.seed, &proxy.name, connection).next().unwrap().to_owned();
        let drawn: Vec<_> = (1..=5).map(first).collect();
        assert_eq!(drawn, ["dummy", "delay", "error", "blackout", "hang"]);
    }
}
