//! Changes a proxy in the middle of a Rust test, and changes it back when a guard goes out of scope.
//!
//! ```sh
//! cargo test --example live
//! ```
//!
//! The client under test keeps its connection: a change applies to the next call, not only to the next connection.

#![cfg_attr(not(test), allow(dead_code, reason = "only the tests use it"))]

use vaurien::{Control, Mix};

/// Faults, until this is dropped.
struct Faults {
    proxy: Control,
    before: Mix,
}

impl Faults {
    /// Sets the mix of `proxy`, until this is dropped.
    fn begin(proxy: &Control, mix: Mix) -> Self {
        let before = proxy.handler();
        proxy.set_handler(mix);
        Self { proxy: proxy.clone(), before }
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.proxy.set_handler(self.before.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io;
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};
    use vaurien::handler::{Blackout, Delay};
    use vaurien::{Daemon, Protocol, ProxyConfig, Seconds};

    use super::*;

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
                    Ok::<(), io::Error>(())
                });
            }
        });
        Ok(address)
    }

    /// The client under test, with a connection that it keeps.
    struct Client(BufReader<TcpStream>);

    impl Client {
        async fn ping(&mut self) -> io::Result<String> {
            self.0.write_all(b"PING\r\n").await?;
            let mut line = String::new();
            match self.0.read_line(&mut line).await? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(line),
            }
        }
    }

    #[tokio::test]
    async fn faults_come_and_go() -> Result<(), Box<dyn Error>> {
        let config = ProxyConfig::new("127.0.0.1:0", server().await?)?.protocol(Protocol::Redis);
        let daemon = Daemon::bind(&config, 1).await?;
        let proxy = daemon.proxy("default").ok_or("it is called default")?;
        let address = daemon.addresses()[0];
        let summary = daemon
            .serve(async {
                let mut client = Client(BufReader::new(TcpStream::connect(address).await.unwrap()));
                assert_eq!(client.ping().await.unwrap(), "+PONG\r\n");
                {
                    let slow = Delay { sleep: Seconds::from_millis(100).into(), before: true };
                    let _slow = Faults::begin(&proxy, Mix::of("delay", slow));
                    let begun = Instant::now();
                    assert_eq!(client.ping().await.unwrap(), "+PONG\r\n");
                    assert!(begun.elapsed() >= Duration::from_millis(100));
                }
                assert_eq!(client.ping().await.unwrap(), "+PONG\r\n");
                let _dead = Faults::begin(&proxy, Mix::of("blackout", Blackout::default()));
                assert_eq!(client.ping().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            })
            .await;
        assert_eq!((summary.calls_of("dummy"), summary.faults_of("delay"), summary.faults_of("blackout")), (2, 1, 1));
        Ok(())
    }
}

#[cfg(not(test))]
fn main() {
    eprintln!("This example is a test: cargo test --example live");
}
