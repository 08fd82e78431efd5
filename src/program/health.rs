//! `--health`: whether a daemon that runs is well.

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
use crate::net::address::{Address, BadAddress};
use crate::net::dial::dial;
use crate::net::listener;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a daemon is not well, or not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ill {
    #[error("{}{}", plain(.0), hint(.0))]
    Unreachable(#[from] io::Error),
    #[error("answers {0}")]
    Answers(StatusCode),
    #[error("no HTTP answer: {0}")]
    NotHttp(#[from] hyper::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
}

/// Asks the daemon whose API is on `address`.
///
/// # Errors
///
/// It is not well, or does not say that it is.
pub(crate) fn ask(address: &Address) -> Result<(), Ill> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(answer(address));
    // Resolving a name cannot be broken off. It is not waited for.
    runtime.shutdown_background();
    asked
}

/// Where it is asked.
pub(crate) fn url(address: &Address) -> String {
    format!("http://{address}/healthz")
}

/// Reads `host:port`, or the same as a URL, such as [`url`] has it.
///
/// # Errors
///
/// It is no such address.
pub(crate) fn read(text: &str) -> Result<Address, String> {
    let address = text.strip_prefix("http://").map_or(text, |rest| {
        let rest = rest.trim_end_matches('/');
        rest.strip_suffix("/healthz").unwrap_or(rest)
    });
    let address: Address = address.parse().map_err(|error: BadAddress| error.to_string())?;
    if address.port == 0 {
        return Err(format!("`{address}` has the port 0, say which the daemon has"));
    }
    Ok(address)
}

/// Where a client on this machine reaches what listens there: a daemon may listen on every address, but nobody can call them all.
pub(crate) fn reachable(address: Address) -> Address {
    match address.host.parse::<IpAddr>() {
        Ok(ip) => Address::new(listener::reachable(ip).to_string(), address.port),
        Err(_) => address,
    }
}

async fn answer(address: &Address) -> Result<(), Ill> {
    let status = timeout(PATIENCE, async {
        // It tries every address, and leaves time for those after it.
        let stream = dial(address, Instant::now() + PATIENCE).await?;
        status(stream).await
    });
    match status.await {
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(other)) => Err(Ill::Answers(other)),
        Ok(Err(ill)) => Err(ill),
        Err(_) => Err(Ill::Silent),
    }
}

async fn status(stream: TcpStream) -> Result<StatusCode, Ill> {
    let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Under whatever name and port it was reached, this is one that a daemon answers to.
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

/// What one may have forgotten where nothing listens.
fn hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::ConnectionRefused { ", does it run with --http?" } else { "" }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// What is said of a server that says `reply` to whoever connects, and nothing more.
    async fn said_of(reply: &'static str) -> Result<(), String> {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::new("localhost", server.local_addr().unwrap().port());
        let serve = async {
            let (mut client, _) = server.accept().await.unwrap();
            client.write_all(reply.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = serve => unreachable!("it never ends"),
            asked = answer(&address) => asked.map_err(|ill| ill.to_string()),
        }
    }

    #[tokio::test]
    async fn only_200_is_well() {
        assert_eq!(said_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await, Ok(()));
        // The rest of the answer is not waited for.
        assert_eq!(said_of("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").await, Ok(()));
        let ill = said_of("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(ill, Err("answers 503 Service Unavailable".to_owned()));
        let ill = said_of("+OK\r\n\r\n").await.unwrap_err();
        assert!(ill.starts_with("no HTTP answer: "), "{ill}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends() {
        assert_eq!(said_of("HTTP/1.1 200 ").await, Err("no answer within 5 s".to_owned()));
    }

    #[test]
    fn what_listens_everywhere_is_called_here() {
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
