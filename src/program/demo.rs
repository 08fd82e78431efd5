//! `--demo`: the program at work in front of a small HTTP server of its own, with a client that shows what it meets.

use std::collections::BTreeSet;
use std::future::pending;
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};

use crate::call::{Accept, Call, Verdict};
use crate::error::Result;
use crate::handler::{DynHandler, Handler};
use crate::net::address::Address;
use crate::net::listener::reachable;
use crate::protocol::{Protocol, Step, http};
use crate::proxy::config::ProxyConfig;

/// How many calls are shown.
const CALLS: u64 = 12;

/// How long more calls are made for a handler that has had none: other clients and other seeds change what is drawn.
const SHOW: Duration = Duration::from_secs(5);

/// The pause before a call, so that a person can follow.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the client waits for a reply.
const PATIENCE: Duration = Duration::from_millis(500);

/// A handler's name and the client whose first call was drawn for it.
type SelectedHandler = (SocketAddr, Arc<str>);

/// The client that shows what it meets.
pub(crate) struct Demo {
    drawn: UnboundedReceiver<SelectedHandler>,
    /// Handlers that have had no call yet.
    unseen: BTreeSet<String>,
    /// What is shown first.
    title: String,
}

impl Demo {
    /// Starts the server, and puts the proxy in front of it.
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub(crate) async fn start(proxy: &mut ProxyConfig) -> io::Result<Self> {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let backend = server.local_addr()?;
        tokio::spawn(serve(server));
        let (tell, drawn) = unbounded_channel();
        let shares = proxy.mix.shares().iter().filter(|share| share.percent() > 0.0);
        let unseen = shares.map(|share| share.name().to_owned()).collect();
        let title = format!("in front of a small HTTP server, protocol {}, handler {}", proxy.protocol, proxy.mix);
        let watched = |name: &str, handler| -> Arc<dyn DynHandler> {
            Arc::new(Watched { name: name.into(), handler, tell: tell.clone() })
        };
        proxy.mix = proxy.mix.clone().map(watched);
        proxy.backend = Address::new(backend.ip().to_string(), backend.port());
        // The API is to show it, and to change the rest.
        proxy.keys.set("backend", backend.to_string());
        Ok(Self { drawn, unseen, title })
    }

    /// Shows calls to the proxy that listens on `address`, and then waits, until `stop` resolves.
    pub(crate) async fn until(self, stop: impl Future<Output = ()>, address: SocketAddr) {
        let show = async {
            // Whoever closes standard output has seen enough.
            let _ = self.show(SocketAddr::new(reachable(address.ip()), address.port())).await;
            pending::<()>().await;
        };
        tokio::select! {
            () = stop => {}
            () = show => {}
        }
    }

    async fn show(mut self, address: SocketAddr) -> io::Result<()> {
        let mut out = io::stdout();
        writeln!(out, "http://{address}/ {}\n\n call  request  drawn for  the client saw", self.title)?;
        let begun = Instant::now();
        let mut number = 0;
        while number < CALLS || (!self.unseen.is_empty() && begun.elapsed() < SHOW) {
            number += 1;
            sleep(PAUSE).await;
            let (handler, saw) = self.call(address, number).await?;
            self.unseen.remove(&*handler);
            writeln!(out, "{number:5}  {:7}  {}  {saw}", format!("GET /{number}"), painted(&handler))?;
        }
        writeln!(out, "\nNow yours: curl -i http://{address}/ or a browser. Ctrl-C stops and shows the counts.")
    }

    /// Makes a call on a connection of its own: the handler that it was drawn for, and what became of it.
    async fn call(&mut self, address: SocketAddr, number: u64) -> io::Result<(Arc<str>, String)> {
        let begun = Instant::now();
        let mut client = TcpStream::connect(address).await?;
        let request = format!("GET /{number} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let mut reply = Vec::new();
        let asked = async {
            client.write_all(request.as_bytes()).await?;
            client.read_to_end(&mut reply).await
        };
        let asked = timeout(PATIENCE, asked).await;
        let saw = match (status(&reply), asked) {
            (Some(status), _) => format!("{status} after {} ms", begun.elapsed().as_millis()),
            (None, _) if !reply.is_empty() => format!("{} bytes that are not HTTP", reply.len()),
            (None, Ok(Ok(_))) => "connection closed".to_owned(),
            (None, Ok(Err(error))) if error.kind() == io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
            (None, Ok(Err(error))) => error.to_string(),
            (None, Err(_)) => format!("no answer in {} ms, gave up", PATIENCE.as_millis()),
        };
        // The client stays until it is known whose it was: a proxy that finds it gone cannot tell.
        let client = client.local_addr()?;
        while let Some((drawn, handler)) = self.drawn.recv().await {
            if drawn == client {
                return Ok((handler, saw));
            }
        }
        Err(io::ErrorKind::NotConnected.into())
    }
}

/// The status line without the version, if it is one.
fn status(reply: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(reply.split(|byte| *byte == b'\r').next()?).ok()?;
    line.strip_prefix("HTTP/1.1 ")
}

/// The handler's name in a column of its own, and in colour where a person reads it.
fn painted(handler: &str) -> String {
    let colour = match handler {
        "dummy" => 32,
        "delay" => 33,
        _ => 31,
    };
    let plain = !io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
    if plain { format!("{handler:9}") } else { format!("\x1b[{colour}m{handler:9}\x1b[0m") }
}

/// A handler that tells whose first call was drawn for it.
struct Watched {
    name: Arc<str>,
    handler: Arc<dyn DynHandler>,
    tell: UnboundedSender<SelectedHandler>,
}

impl Handler for Watched {
    async fn accept(&self, client: &mut Accept<'_>) -> Result<Verdict> {
        if let Some(address) = client.client() {
            // Nobody listens any more once all is shown.
            let _ = self.tell.send((address, self.name.clone()));
        }
        self.handler.accept(client).await
    }

    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        self.handler.before(call).await
    }

    async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
        self.handler.after(call).await
    }
}

/// A server that finds every request all right.
async fn serve(server: TcpListener) {
    loop {
        match server.accept().await {
            Ok((client, _)) => drop(tokio::spawn(answer(client))),
            // Out of descriptors, which others have to give back.
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn answer(mut client: TcpStream) -> io::Result<()> {
    let mut requests = Protocol::Http.requests();
    let mut reply = None;
    let mut bytes = BytesMut::new();
    while client.read_buf(&mut bytes).await? > 0 {
        while !bytes.is_empty() {
            let (len, left) = match requests.step(&bytes, false) {
                Step::Call { len, head, left, .. } => {
                    reply = Some(http::answer(&bytes[..head], 200, SystemTime::now()));
                    if let (false, Some(interim)) = (left == Some(0), Protocol::Http.awaited(&bytes)) {
                        client.write_all(interim).await?;
                    }
                    (len, left)
                }
                Step::Part { len, left } => (len, left),
                Step::Pass(len) => (len, None),
                Step::More => break,
                Step::Wait | Step::Unanswered | Step::Opaque(_) => return Ok(()),
            };
            bytes.advance(len);
            if let (Some(0), Some(http::Answer { bytes, close })) = (left, reply.take_if(|_| left == Some(0))) {
                client.write_all(&bytes).await?;
                if close {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::handler::Registry;
    use crate::plan::Plan;
    use crate::program::config::Config;
    use crate::rng::Streams;

    #[test]
    fn the_demos_seed_shows_one_handler_after_the_other() {
        let args = ["vaurien", "--demo"].map(Into::into);
        let config = Config::from_args(args, |_| None, &Registry::default()).unwrap();
        let plan = Plan::new(&config.proxies[0].mix, |_| Arc::default());
        let first = |connection| {
            let streams = Streams::new(config.seed, &config.proxies[0].name, connection);
            plan.draw(streams, &mut None, 1).name.to_string()
        };
        let drawn: Vec<_> = (1..=5).map(first).collect();
        assert_eq!(drawn, ["dummy", "delay", "error", "blackout", "hang"]);
    }
}
