//! Connecting: to a Unix socket, or to a name, by any address that it resolves to. The next is tried before the first has been given
//! up ("Happy Eyeballs", RFC 8305).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::address::Address;
use super::bound::{self, BoundAddress};
use super::host_port::HostPort;
use super::listener::leads_to;
use super::socket::Socket;
use super::unix_path::UnixPath;
use super::unix_socket;

/// The next address is tried this long after the one before (RFC 8305, section 8).
const STAGGER: Duration = Duration::from_millis(250);

/// How long the address is tried first that answered in place of the first (RFC 6555, section 4.2).
const REMEMBERED: Duration = Duration::from_secs(600);

/// Dials a name once.
///
/// # Errors
///
/// The error of the last address, or of resolving the name.
pub(crate) async fn dial(address: &HostPort, deadline: Instant) -> io::Result<TcpStream> {
    Dialer::default().dial(address, &[], deadline).await
}

/// Connects once to find out whether somebody listens there.
///
/// # Errors
///
/// As [`dial`], or that of the Unix socket.
pub(crate) async fn reach(address: &Address, deadline: Instant) -> io::Result<()> {
    match address {
        Address::Tcp(address) => dial(address, deadline).await.map(drop),
        Address::Unix(path) => dial_unix(path, &[], deadline).await.map(drop),
    }
}

/// Connects to a Unix socket that is none of `own`.
pub(super) async fn dial_unix(path: &UnixPath, own: &[BoundAddress], deadline: Instant) -> io::Result<Socket> {
    if bound::leads_to(path, own) {
        return Err(itself());
    }
    unix_socket::dial(path, deadline).await.map(Socket::from)
}

fn itself() -> io::Error {
    io::Error::other("the backend is this proxy itself")
}

/// Dials one name, again and again.
#[derive(Debug, Default)]
pub(super) struct Dialer {
    /// The address that answered when the first did not, and when.
    winner: Mutex<Option<(SocketAddr, Instant)>>,
}

impl Dialer {
    /// Tries the addresses of `address` that do not lead to `own` listeners.
    ///
    /// # Errors
    ///
    /// The error of the last address, or of resolving the name.
    pub(super) async fn dial(
        &self,
        address: &HostPort,
        own: &[BoundAddress],
        deadline: Instant,
    ) -> io::Result<TcpStream> {
        let resolved = timeout_at(deadline, lookup_host((address.host.as_str(), address.port)));
        let addresses = resolved.await.map_err(|_| io::ErrorKind::TimedOut)??.collect();
        self.connect(addresses, own, deadline).await
    }

    async fn connect(
        &self,
        mut addresses: Vec<SocketAddr>,
        own: &[BoundAddress],
        deadline: Instant,
    ) -> io::Result<TcpStream> {
        let all = addresses.len();
        addresses.retain(|address| !leads_to(*address, own));
        let is_own = addresses.len() < all;
        self.race(alternate(addresses), deadline).await.map_err(|error| if is_own { itself() } else { error })
    }

    async fn race(&self, mut addresses: VecDeque<SocketAddr>, deadline: Instant) -> io::Result<TcpStream> {
        let winner = self.winner().filter(|(_, since)| since.elapsed() < REMEMBERED).map(|(winner, _)| winner);
        let first = addresses.front().copied();
        if let Some(place) = addresses.iter().position(|address| Some(*address) == winner)
            && let Some(winner) = addresses.remove(place)
        {
            addresses.push_front(winner);
        }
        let mut attempts = Attempts::default();
        let mut next = Instant::now();
        let mut last = None;
        loop {
            // Not by a timer, which would take until the next tick of the runtime.
            let now = Instant::now();
            if now >= next
                && let Some(address) = addresses.pop_front()
            {
                attempts.begin(address);
                // Each gets its turn, however short the time is.
                let share = u32::try_from(addresses.len()).map_or(u32::MAX, |left| left.saturating_add(1));
                next = now + STAGGER.min(deadline.saturating_duration_since(now) / share);
            }
            if attempts.0.is_empty() {
                let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                return Err(last.unwrap_or_else(no_address));
            }
            let wake = if addresses.is_empty() { deadline } else { next.min(deadline) };
            tokio::select! {
                biased;
                (address, connected) = attempts.done() => match connected {
                    Ok(stream) => {
                        if Some(address) != winner {
                            // The first address is not remembered: the order of a DNS round robin stays in force.
                            *self.winner() = (Some(address) != first).then(|| (address, Instant::now()));
                        }
                        return Ok(stream);
                    }
                    Err(error) => {
                        last = Some(error);
                        next = Instant::now();
                    }
                },
                () = later(wake) => if addresses.is_empty() {
                    return Err(io::ErrorKind::TimedOut.into());
                },
            }
        }
    }

    fn winner(&self) -> MutexGuard<'_, Option<(SocketAddr, Instant)>> {
        self.winner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until then. A backend on this machine has answered when the runtime looks next, so that no timer is set for it.
async fn later(then: Instant) {
    yield_now().await;
    sleep_until(then).await;
}

/// The addresses, those of either family in their order and the families in turn (RFC 8305, section 4).
fn alternate(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first = addresses.first().copied();
    let is_like = |address: &SocketAddr| first.is_some_and(|first| first.is_ipv4() == address.is_ipv4());
    if addresses.iter().all(is_like) {
        return addresses.into();
    }
    let (like, unlike): (Vec<_>, Vec<_>) = addresses.into_iter().partition(is_like);
    let (mut like, mut unlike) = (like.into_iter(), unlike.into_iter());
    let mut alternated = VecDeque::new();
    loop {
        let before = alternated.len();
        alternated.extend(like.next());
        alternated.extend(unlike.next());
        if alternated.len() == before {
            return alternated;
        }
    }
}

/// The addresses that are being tried. Those that are not needed any more end when this is dropped.
#[derive(Default)]
struct Attempts(Vec<(SocketAddr, Attempt)>);

/// A connection being made.
type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

impl Attempts {
    fn begin(&mut self, address: SocketAddr) {
        let attempt = async move {
            let stream = TcpStream::connect(address).await?;
            if leads_back(&stream, address.port()) { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(stream) }
        };
        self.0.push((address, Box::pin(attempt)));
    }

    /// Resolves when an attempt is done.
    async fn done(&mut self) -> (SocketAddr, io::Result<TcpStream>) {
        poll_fn(|cx| {
            for (place, (address, attempt)) in self.0.iter_mut().enumerate() {
                if let Poll::Ready(done) = attempt.as_mut().poll(cx) {
                    let address = *address;
                    drop(self.0.swap_remove(place));
                    return Poll::Ready((address, done));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Whether the connection leads back to itself: it reads what it writes. This happens when a port of this machine is dialled
/// on which nothing listens, and the system gives that very port to the dialling socket.
fn leads_back(stream: &TcpStream, dialled: u16) -> bool {
    // The address that was dialled does not answer it: 0.0.0.0 leads to 127.0.0.1.
    let here = stream.local_addr().ok().filter(|here| here.port() == dialled);
    here.is_some_and(|here| stream.peer_addr().is_ok_and(|there| here == there))
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::*;

    #[tokio::test]
    async fn a_connection_to_itself_is_recognised() {
        let socket = bound();
        let port = address(&socket).port();
        let everywhere = SocketAddr::from(([0, 0, 0, 0], port));
        socket.connect(&everywhere.into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        assert!(leads_back(&TcpStream::from_std(socket.into()).unwrap(), port));

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        assert!(!leads_back(&TcpStream::connect(there).await.unwrap(), there.port()));
    }

    fn bound() -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket
    }

    fn address(socket: &Socket) -> SocketAddr {
        socket.local_addr().unwrap().as_socket().unwrap()
    }

    /// An address that answers nothing, for as long as the sockets live: more clients wait there than may.
    fn black_hole() -> (SocketAddr, Vec<Socket>) {
        let listener = bound();
        listener.listen(0).unwrap();
        let there = address(&listener);
        let mut sockets = vec![listener];
        loop {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let connected = client.connect_timeout(&there.into(), Duration::from_millis(200));
            if connected.is_err() {
                return (there, sockets);
            }
            sockets.push(client);
        }
    }

    fn in_ten_seconds() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    #[cfg(target_os = "linux")] // elsewhere a full backlog may answer with a reset
    async fn an_address_that_does_not_answer_delays_the_first_connection_by_little_and_later_ones_not_at_all() {
        let (hole, _full) = black_hole();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let dialer = Dialer::default();
        let begun = Instant::now();
        let stream = dialer.connect(vec![hole, there], &[], in_ten_seconds()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), there);
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(250) && took < Duration::from_secs(2), "{took:?}");
        // Ten that wait 250 ms each would take longer.
        let begun = Instant::now();
        for _ in 0..10 {
            dialer.connect(vec![hole, there], &[], in_ten_seconds()).await.unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn an_address_that_answers_late_is_not_given_up_for_the_next() {
        let (hole, full) = black_hole();
        let refused = bound();
        let dialer = Dialer::default();
        let accept = async {
            // The system of the first address repeats its request after a second, and there is room by then.
            drop(full[0].accept().unwrap());
        };
        let (stream, ()) = tokio::join!(dialer.connect(vec![hole, address(&refused)], &[], in_ten_seconds()), accept);
        assert_eq!(stream.unwrap().peer_addr().unwrap(), hole);
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn every_address_is_tried_within_a_short_time_and_the_error_is_told() {
        let ((hole, _full), (other, _other)) = (black_hole(), black_hole());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = vec![hole, other, listener.local_addr().unwrap()];
        let soon = || Instant::now() + Duration::from_millis(300);
        Dialer::default().connect(addresses, &[], soon()).await.unwrap();
        let error = Dialer::default().connect(vec![hole, other], &[], soon()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (one, two) = (bound(), bound());
        let error = Dialer::default().connect(vec![address(&one), address(&two)], &[], in_ten_seconds()).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let error = Dialer::default().connect(Vec::new(), &[], in_ten_seconds()).await.unwrap_err();
        assert_eq!(error.to_string(), "the name has no address");
    }

    #[tokio::test]
    async fn a_proxy_does_not_dial_itself() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let everywhere = SocketAddr::from(([0, 0, 0, 0], own.port()));
        let mapped = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped(), own.port()));
        let nobody = address(&bound());
        for same in [vec![own], vec![everywhere], vec![mapped], vec![nobody, own]] {
            let error = Dialer::default().connect(same, &[own.into()], in_ten_seconds()).await.unwrap_err();
            assert_eq!(error.to_string(), "the backend is this proxy itself");
        }
        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = other.local_addr().unwrap();
        let stream = Dialer::default().connect(vec![own, there], &[own.into()], in_ten_seconds()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), there);
    }

    #[test]
    fn families_are_tried_in_turn() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        for (resolved, tried) in [
            (
                &["[::1]:1", "[::2]:1", "1.1.1.1:1", "1.1.1.2:1"][..],
                &["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1"][..],
            ),
            (&["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1", "[::1]:1"], &["1.1.1.1:1", "[::1]:1", "1.1.1.2:1", "1.1.1.3:1"]),
            (&["1.1.1.1:1"], &["1.1.1.1:1"]),
            (&[], &[]),
        ] {
            assert_eq!(alternate(parse(resolved)), parse(tried));
        }
    }
}
