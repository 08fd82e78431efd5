//! Counters for a statsd server, named as in the original vaurien: `vaurien.redis.start:1|c`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;

use cadence::{BufferedUdpMetricSink, Counted as _, MetricError, StatsdClient};
use tokio::net::lookup_host;
use tokio::time::Interval;
use tracing::debug;

use crate::metrics::snapshot::{ConnectionTotals, ProxySnapshot};
use crate::protocol::Protocol;

/// What is counted of a proxy: connections that have begun and ended, reads from clients and from the backend.
const COUNTERS: [&str; 4] = ["start", "end", "to_backend", "to_client"];

/// The [`COUNTERS`] of a proxy since it started.
type Totals = [u64; COUNTERS.len()];

/// A proxy's name, its current protocol, and its totals.
pub(crate) type ProxyTotals = (Arc<str>, Protocol, Totals);

/// The totals that are sent to statsd.
pub(crate) fn totals(proxy: &ProxySnapshot) -> ProxyTotals {
    let ConnectionTotals { accepted, open, to_backend, to_client } = proxy.connections;
    (proxy.name.as_str().into(), proxy.protocol, [accepted, accepted - open, to_backend.reads, to_client.reads])
}

/// A statsd server, with the totals that it has received.
#[derive(Debug)]
pub(crate) struct Statsd {
    client: StatsdClient,
    sent: HashMap<Arc<str>, Totals>,
}

impl Statsd {
    /// For the server at `host` and `port`. Counter names begin with `prefix` and a dot, unless it is empty.
    pub(crate) async fn new(host: &str, port: u16, prefix: &str) -> io::Result<Self> {
        let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
        // Many statsd servers listen on IPv4 only, and UDP does not report that nobody listens.
        let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
        let address = *address.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address"))?;
        let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.set_nonblocking(true)?;
        let sink = BufferedUdpMetricSink::from(address, socket).map_err(io::Error::other)?;
        Ok(Self { client: StatsdClient::from_sink(prefix, sink), sent: HashMap::new() })
    }

    /// Sends the server what was added to the `totals` of each proxy, under its protocol's name: at every tick, and a last
    /// time when `stop` resolves.
    pub(crate) async fn run(
        mut self,
        mut ticks: Interval,
        totals: impl Fn() -> Vec<ProxyTotals>,
        stop: impl Future<Output = ()>,
    ) {
        tokio::pin!(stop);
        loop {
            let stopped = tokio::select! {
                _ = ticks.tick() => false,
                () = &mut stop => true,
            };
            if let Err(error) = self.send(totals()) {
                debug!("statsd: {error}");
            }
            if stopped {
                return;
            }
        }
    }

    fn send(&mut self, totals: Vec<ProxyTotals>) -> Result<(), MetricError> {
        let mut increments: BTreeMap<String, u64> = BTreeMap::new();
        let mut sent = HashMap::new();
        for (proxy, protocol, now) in totals {
            // A proxy with lower totals than before is a new one of the same name.
            let before = self.sent.remove(&proxy).filter(|before| before[0] <= now[0]).unwrap_or_default();
            for ((name, before), now) in
                COUNTERS.into_iter().zip(before).zip(now).filter(|((_, before), now)| now > before)
            {
                *increments.entry(format!("{protocol}.{name}")).or_default() += now - before;
            }
            sent.insert(proxy, now);
        }
        self.sent = sent;
        increments.into_iter().try_for_each(|(name, more)| self.client.count(&name, more).map(drop))?;
        self.client.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::{interval, timeout};

    use super::*;

    /// A server, and a client of it.
    async fn world(prefix: &str) -> (tokio::net::UdpSocket, Statsd) {
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        (server, Statsd::new("localhost", port, prefix).await.unwrap())
    }

    /// The counters of the next datagram, sorted.
    async fn received(server: &tokio::net::UdpSocket) -> Vec<String> {
        let mut datagram = [0; 2048];
        let length = timeout(Duration::from_secs(20), server.recv(&mut datagram)).await.unwrap().unwrap();
        let mut lines: Vec<_> = str::from_utf8(&datagram[..length]).unwrap().lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }

    fn proxy(name: &str, protocol: Protocol, totals: Totals) -> ProxyTotals {
        (name.into(), protocol, totals)
    }

    #[tokio::test]
    async fn what_was_added_is_told_and_nothing_else() {
        let (server, mut statsd) = world("vaurien").await;
        let cache = |totals| proxy("cache", Protocol::Redis, totals);
        statsd.send(vec![cache([2, 1, 0, 7])]).unwrap();
        assert_eq!(
            received(&server).await,
            ["vaurien.redis.end:1|c", "vaurien.redis.start:2|c", "vaurien.redis.to_client:7|c"]
        );
        statsd.send(vec![cache([2, 1, 0, 7])]).unwrap();
        statsd.send(vec![cache([2, 2, 5, 7]), proxy("api", Protocol::Http, [1, 0, 0, 0])]).unwrap();
        assert_eq!(
            received(&server).await,
            ["vaurien.http.start:1|c", "vaurien.redis.end:1|c", "vaurien.redis.to_backend:5|c"]
        );
    }

    #[tokio::test]
    async fn proxies_of_one_protocol_are_told_together() {
        let (server, mut statsd) = world("").await;
        let (a, b) =
            (|start| proxy("a", Protocol::Tcp, [start, 0, 0, 0]), |start| proxy("b", Protocol::Tcp, [start, 0, 0, 0]));
        statsd.send(vec![a(3), b(4)]).unwrap();
        assert_eq!(received(&server).await, ["tcp.start:7|c"]);
        statsd.send(vec![a(3)]).unwrap();
        statsd.send(vec![a(5)]).unwrap();
        assert_eq!(received(&server).await, ["tcp.start:2|c"], "after one of them is gone");
        statsd.send(vec![a(5), b(1)]).unwrap();
        assert_eq!(received(&server).await, ["tcp.start:1|c"], "and has come again");
    }

    #[tokio::test]
    async fn what_a_proxy_counted_stays_with_the_protocol_that_it_had() {
        let (server, mut statsd) = world("").await;
        statsd.send(vec![proxy("a", Protocol::Tcp, [3, 3, 0, 0])]).unwrap();
        assert_eq!(received(&server).await, ["tcp.end:3|c", "tcp.start:3|c"]);
        statsd.send(vec![proxy("a", Protocol::Http, [4, 3, 0, 0])]).unwrap();
        assert_eq!(received(&server).await, ["http.start:1|c"]);
    }

    #[tokio::test]
    async fn it_tells_at_every_tick_and_at_the_end() {
        let (server, statsd) = world("vaurien").await;
        let now = Mutex::new(proxy("a", Protocol::Tcp, [1, 0, 0, 0]));
        let (stop, stopped) = oneshot::channel::<()>();
        // The first tick is at once, and the next one never.
        let ticks = interval(Duration::from_secs(3600));
        let running = statsd.run(ticks, || vec![now.lock().unwrap().clone()], async {
            let _ = stopped.await;
        });
        let server_side = async {
            assert_eq!(received(&server).await, ["vaurien.tcp.start:1|c"]);
            *now.lock().unwrap() = proxy("a", Protocol::Tcp, [1, 1, 0, 0]);
            stop.send(()).unwrap();
            assert_eq!(received(&server).await, ["vaurien.tcp.end:1|c"]);
        };
        tokio::join!(running, server_side);
    }

    #[tokio::test]
    async fn a_host_that_is_not_there_is_an_error() {
        assert!(Statsd::new("no such host.invalid", 8125, "vaurien").await.is_err());
    }
}
