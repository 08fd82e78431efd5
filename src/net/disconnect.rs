//! Whether a client has left.
//!
//! A reset tells at once. An end of file does not: a client that closed its socket and one that has only sent its last
//! byte and waits for the reply look the same on the wire. Where both ends are on this machine, the kernel's socket table
//! tells them apart; elsewhere, keep-alive probes are answered by a reset when the client's system has forgotten the
//! socket (on Linux 60 seconds after it was closed).

use std::time::Duration;

#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// The interval of keep-alive probes to a client that sent an end of file.
const PROBE: Duration = Duration::from_secs(10);

/// Where the system has to be asked again and again whether a client has left, it is asked after this time, then each time after
/// twice the pause.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const MAX_LOOK: Duration = Duration::from_secs(1);

/// Resolves when the client has left: it reset the connection, or closed both directions. A half-close is not enough.
pub(crate) async fn left(client: &TcpStream) {
    ended(client).await;
    // Setting it fails only if the client is gone, and then the next line returns at once.
    let _ = SockRef::from(client).set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE).with_interval(PROBE));
    // Boxed, because few connections get here.
    Box::pin(async {
        tokio::select! {
            () = reset(client) => {}
            () = closed(client) => {}
        }
    })
    .await;
}

/// Resolves when the connection was reset. Unread bytes do not hide it.
async fn reset(peer: &TcpStream) {
    // The only error is the end of the runtime.
    let _ = peer.ready(Interest::ERROR).await;
}

/// [`left`] for a Unix socket.
#[cfg(unix)]
pub(crate) async fn left_unix(client: &UnixStream) {
    ended_unix(client).await;
    // The runtime does not tell a half-close from this one: the system is asked, again and again.
    let mut pause = FIRST_LOOK;
    while !is_hung_up(client) {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_LOOK);
    }
}

/// Whether both directions are closed.
#[cfg(unix)]
fn is_hung_up(client: &UnixStream) -> bool {
    let mut asked = [PollFd::new(client, PollFlags::empty())];
    let over = PollFlags::HUP | PollFlags::ERR;
    poll(&mut asked, Some(&Timespec::default())).is_ok() && asked[0].revents().intersects(over)
}

#[cfg(target_os = "linux")]
async fn ended_unix(peer: &UnixStream) {
    let _ = peer.ready(Interest::PRIORITY).await;
}

#[cfg(all(unix, not(target_os = "linux")))]
async fn ended_unix(_: &UnixStream) {}

/// Resolves when the peer has sent its last byte, or reset. Unread bytes do not hide it.
#[cfg(target_os = "linux")]
async fn ended(peer: &TcpStream) {
    // Without urgent data this reports only EPOLLRDHUP.
    let _ = peer.ready(Interest::PRIORITY).await;
}

#[cfg(not(target_os = "linux"))]
async fn ended(peer: &TcpStream) {
    reset(peer).await;
}

/// Resolves when the client's socket, on this machine, belongs to no process.
#[cfg(target_os = "linux")]
async fn closed(client: &TcpStream) {
    let (Ok(here), Ok(there)) = (client.local_addr(), client.peer_addr()) else { return };
    table::orphaned(there, here).await;
}

#[cfg(not(target_os = "linux"))]
async fn closed(_: &TcpStream) {
    std::future::pending().await
}

#[cfg(target_os = "linux")]
mod table {
    //! The kernel's socket table, read once for all waiting connections.

    use std::collections::HashSet;
    use std::fs::File;
    use std::io::{self, BufRead, BufReader, ErrorKind};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::thread;
    use std::time::{Duration, Instant};

    use tokio::sync::oneshot;

    use super::{FIRST_LOOK, MAX_LOOK};

    /// The longest pause if the table is so large that reading it takes long.
    const MAX_PAUSE: Duration = Duration::from_secs(4);

    /// The read buffer for the table, in bytes: on a busy machine the table has many mebibytes.
    const HELD: usize = 32 * 1024;

    /// Local and remote address of a socket.
    type Pair = (SocketAddr, SocketAddr);

    /// The waiting connections. A thread reads the table while there are any.
    struct Waiting {
        looking: bool,
        pause: Duration,
        asked: Vec<(Pair, oneshot::Sender<()>)>,
    }

    static WAITING: Mutex<Waiting> = Mutex::new(Waiting { looking: false, pause: FIRST_LOOK, asked: Vec::new() });

    fn waiting() -> MutexGuard<'static, Waiting> {
        WAITING.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when the socket from `local` to `remote` is in this machine's table and belongs to no process.
    pub(super) async fn orphaned(local: SocketAddr, remote: SocketAddr) {
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = waiting();
            waiting.asked.push(((plain(local), plain(remote)), tell));
            waiting.pause = FIRST_LOOK;
            if !waiting.looking {
                waiting.looking = thread::Builder::new().name("departures".into()).spawn(look).is_ok();
            }
        }
        if told.await.is_err() {
            // The table cannot be read: keep-alive probes have to find out.
            std::future::pending::<()>().await;
        }
    }

    /// Reads the table until no connection waits.
    fn look() {
        let mut cost = Duration::ZERO;
        loop {
            let pause = {
                let mut waiting = waiting();
                let pause = waiting.pause;
                waiting.pause = (pause * 2).min(MAX_LOOK);
                pause
            };
            // A large table is read less often, so that this takes little of a core.
            thread::sleep(pause.max((cost * 20).min(MAX_PAUSE)));
            let asked: HashSet<Pair> = {
                let mut waiting = waiting();
                waiting.asked.retain(|(_, tell)| !tell.is_closed());
                waiting.asked.iter().map(|(pair, _)| *pair).collect()
            };
            let begun = Instant::now();
            let orphans = if asked.is_empty() { Ok(asked) } else { orphans(&asked) };
            cost = begun.elapsed();
            let mut waiting = waiting();
            match orphans {
                Ok(orphans) => {
                    for (_, tell) in waiting.asked.extract_if(.., |(pair, _)| orphans.contains(pair)) {
                        let _ = tell.send(());
                    }
                }
                // Out of descriptors: retry once connections close.
                Err(error) if is_passing(&error) => {}
                Err(_) => waiting.asked.clear(),
            }
            if waiting.asked.is_empty() {
                waiting.looking = false;
                return;
            }
        }
    }

    /// The `asked` sockets that belong to no process.
    ///
    /// # Errors
    ///
    /// The table cannot be read.
    fn orphans(asked: &HashSet<Pair>) -> io::Result<HashSet<Pair>> {
        let mut orphans = HashSet::new();
        read("/proc/net/tcp", asked, &mut orphans)?;
        match read("/proc/net/tcp6", asked, &mut orphans) {
            Err(error) if is_passing(&error) => Err(error),
            // A machine without IPv6 has no second table.
            _ => Ok(orphans),
        }
    }

    fn read(path: &str, asked: &HashSet<Pair>, orphans: &mut HashSet<Pair>) -> io::Result<()> {
        let mut table = BufReader::with_capacity(HELD, File::open(path)?);
        let mut line = String::new();
        while table.read_line(&mut line)? > 0 {
            orphans.extend(orphan(&line).filter(|pair| asked.contains(pair)));
            line.clear();
        }
        Ok(())
    }

    /// Whether reading may work later: there was no descriptor or no memory.
    fn is_passing(error: &io::Error) -> bool {
        let lasting = [ErrorKind::NotFound, ErrorKind::PermissionDenied];
        !lasting.contains(&error.kind())
    }

    /// The state of a socket that both sides have closed. A busy machine has very many.
    const TIME_WAIT: &str = "06";

    /// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`: the inode of an orphan is 0.
    fn orphan(line: &str) -> Option<Pair> {
        let mut fields = line.split_ascii_whitespace();
        let (local, remote, state) = (fields.nth(1)?, fields.next()?, fields.next()?);
        let is_orphan = state != TIME_WAIT && fields.nth(5)? == "0";
        is_orphan.then_some((address(local)?, address(remote)?))
    }

    /// An address of the table: hexadecimal 32-bit words in the byte order of the machine, then the port.
    fn address(text: &str) -> Option<SocketAddr> {
        let (host, port) = text.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let mut words = [0; 4];
        let count = host.len() / 8;
        for (at, word) in words.iter_mut().enumerate().take(count) {
            *word = u32::from_str_radix(host.get(at * 8..at * 8 + 8)?, 16).ok()?;
        }
        let bytes = words.map(u32::to_ne_bytes);
        let ip = match count {
            1 => IpAddr::V4(Ipv4Addr::from(bytes[0])),
            4 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.concat()).ok()?)),
            _ => return None,
        };
        Some(plain(SocketAddr::new(ip, port)))
    }

    /// The address in one form: IPv4 as such even on a socket of both families, and without a scope.
    fn plain(address: SocketAddr) -> SocketAddr {
        SocketAddr::new(address.ip().to_canonical(), address.port())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        #[cfg(target_endian = "little")]
        fn reads_a_line_of_each_family() {
            let line = "   1: 0100007F:1F90 0200007F:C350 05 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1";
            assert_eq!(orphan(line), Some(("127.0.0.1:8080".parse().unwrap(), "127.0.0.2:50000".parse().unwrap())));
            let owned = line.replace(" 0 1 0", " 4711 1 0");
            assert_eq!(orphan(&owned), None);
            assert_eq!(orphan(&line.replace(" 05 ", " 06 ")), None);
            assert_eq!(address("00000000000000000000000001000000:0050"), Some("[::1]:80".parse().unwrap()));
            assert_eq!(address("0000000000000000FFFF00000100007F:0050"), Some("127.0.0.1:80".parse().unwrap()));
        }
    }
}
