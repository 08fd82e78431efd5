//! A proxy inside a Rust test: it starts on a free port, and stops when the test ends.
//!
//! ```sh
//! cargo test --example embedded
//! ```
//!
//! The client under test asks a server for a line, gives up if that takes too long, and retries once if the connection breaks.
//! vaurien makes the server slow, or closes the connection, at the right moment.

#![cfg_attr(not(test), allow(dead_code, reason = "only the tests use the client"))]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The client under test.
async fn ask(server: SocketAddr, patience: Duration) -> io::Result<String> {
    match timeout(patience, ask_once(server)).await? {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => timeout(patience, ask_once(server)).await?,
        answer => answer,
    }
}

async fn ask_once(server: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut line = String::new();
    match BufReader::new(stream).read_line(&mut line).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use tokio::net::TcpListener;
    use vaurien::handler::Delay;
    use vaurien::{Daemon, Mix, Protocol, ProxyConfig, Seconds};

    use super::*;

    type Tested = Result<(), Box<dyn Error>>;

    /// A server that answers every line with PONG. In your test this is your own, or a real Redis.
    async fn server() -> io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (from, mut to) = stream.split();
                    let mut lines = BufReader::new(from).lines();
                    while let Ok(Some(_)) = lines.next_line().await {
                        to.write_all(b"+PONG\r\n").await?;
                    }
                    io::Result::Ok(())
                });
            }
        });
        Ok(address)
    }

    #[tokio::test]
    async fn it_gives_up_on_a_server_that_is_too_slow() -> Tested {
        let slow = Delay { sleep: Seconds::from_secs(60).into(), before: true };
        let config =
            ProxyConfig::new("127.0.0.1:0", server().await?)?.protocol(Protocol::Redis).handler(Mix::of("delay", slow));
        let daemon = Daemon::bind(&config, 1).await?;
        let address = daemon.addresses()[0];

        // The proxy serves for as long as this takes.
        let summary = daemon
            .serve(async {
                let error = ask(address, Duration::from_millis(100)).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            })
            .await;

        // The call was delayed, and no second call was made.
        assert_eq!(summary.calls_of("delay"), 1);
        Ok(())
    }

    #[tokio::test]
    async fn it_tries_once_more_when_the_connection_breaks() -> Tested {
        let config =
            ProxyConfig::new("127.0.0.1:0", server().await?)?.protocol(Protocol::Redis).rule("times=1 => blackout")?;
        let daemon = Daemon::bind(&config, 1).await?;
        let address = daemon.addresses()[0];

        let summary = daemon
            .serve(async {
                let answer = ask(address, Duration::from_secs(30)).await;
                assert_eq!(answer.ok().as_deref(), Some("+PONG"));
            })
            .await;

        assert_eq!((summary.faults_of("blackout"), summary.calls_of("dummy")), (1, 1));
        Ok(())
    }
}

#[cfg(not(test))]
fn main() {
    eprintln!("This example is a test: cargo test --example embedded");
}
