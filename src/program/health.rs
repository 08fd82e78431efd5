//! `--health`: asks a running daemon whether it is healthy.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::error::plain;
use crate::net::address::BadAddress;
use crate::net::dial::dial;
use crate::net::host_port::HostPort;
use crate::net::listener;

/// How long the check may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a daemon is not healthy, or cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unhealthy {
    #[error("{}{}", plain(.0), hint(.0))]
    Unreachable(#[from] io::Error),
    #[error("answers {0}")]
    Answers(StatusCode),
    #[error("no HTTP answer: {0}")]
    NotHttp(#[from] hyper::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
}

/// Checks the daemon whose API is at `address`.
pub(crate) fn check(address: &HostPort) -> Result<(), Unhealthy> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let checked = runtime.block_on(answer(address));
    // Looking up a name cannot be cancelled: do not wait for it.
    runtime.shutdown_background();
    checked
}

/// The URL of the check.
pub(crate) fn url(address: &HostPort) -> String {
    format!("http://{address}/healthz")
}

/// Reads `host:port`, or a URL like that of [`url`].
pub(crate) fn read(text: &str) -> Result<HostPort, String> {
    let address = text.strip_prefix("http://").map_or(text, |rest| {
        let rest = rest.trim_end_matches('/');
        rest.strip_suffix("/healthz").unwrap_or(rest)
    });
    let address: HostPort = address.parse().map_err(|error: BadAddress| error.to_string())?;
    if address.port == 0 {
        return Err(format!("`{address}` has the port 0, give the daemon's port"));
    }
    Ok(address)
}

/// The address at which a client on this machine reaches a daemon: a wildcard address becomes a loopback one.
pub(crate) fn reachable(address: HostPort) -> HostPort {
    match address.host.parse::<IpAddr>() {
        Ok(ip) => HostPort::new(listener::reachable(ip).to_string(), address.port),
        Err(_) => address,
    }
}

async fn answer(address: &HostPort) -> Result<(), Unhealthy> {
    let status = timeout(PATIENCE, async {
        // It tries every address of the host, and leaves time for each.
        let stream = dial(address, Instant::now() + PATIENCE).await?;
        status(stream).await
    });
    match status.await {
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(other)) => Err(Unhealthy::Answers(other)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Unhealthy::Silent),
    }
}

async fn status(stream: TcpStream) -> Result<StatusCode, Unhealthy> {
    let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // A daemon accepts this host, whatever name and port it was reached by.
    let request = Request::get("/healthz").header("Host", "localhost").body(Empty::<Bytes>::new());
    let request = request.map_err(io::Error::other)?;
    let answer = send.send_request(request);
    tokio::pin!(answer, connection);
    tokio::select! {
        answer = &mut answer => Ok(answer?.status()),
        ended = &mut connection => {
            ended?;
            Ok(answer.await?.status())
        }
    }
}

/// What to check if nothing listens.
fn hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::ConnectionRefused { ": does it run with --http?" } else { "" }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// The result for a server that sends `reply` to every client, and nothing more.
    async fn result_for(reply: &'static str) -> Result<(), String> {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = HostPort::new("localhost", server.local_addr().unwrap().port());
        let serve = async {
            let (mut client, _) = server.accept().await.unwrap();
            client.write_all(reply.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = serve => unreachable!("it never ends"),
            checked = answer(&address) => checked.map_err(|error| error.to_string()),
        }
    }

    #[tokio::test]
    async fn only_200_is_healthy() {
        assert_eq!(result_for("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await, Ok(()));
        // The rest of the answer is not waited for.
        assert_eq!(result_for("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").await, Ok(()));
        let error = result_for("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(error, Err("answers 503 Service Unavailable".to_owned()));
        let error = result_for("+OK\r\n\r\n").await.unwrap_err();
        assert!(error.starts_with("no HTTP answer: "), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends() {
        assert_eq!(result_for("HTTP/1.1 200 ").await, Err("no answer within 5 s".to_owned()));
    }

    #[test]
    fn a_wildcard_address_becomes_a_loopback_one() {
        for (there, here) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("http://[::]:2/", "[::1]:2"),
            ("10.0.0.1:3", "10.0.0.1:3"),
            ("http://db:4", "db:4"),
            ("http://db:4/healthz", "db:4"),
        ] {
            assert_eq!(reachable(read(there).unwrap()).to_string(), here);
        }
    }
}
