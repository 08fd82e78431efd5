//! A daemon embedded in another program stops when told to, whatever that program's handlers do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use vaurien::Mix;
use vaurien::ProxyConfig;
use vaurien::call::{Accept, Answer, Call, Verdict};
use vaurien::daemon::Daemon;
use vaurien::error::Result;
use vaurien::handler::Handler;

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits forever, and not through its call.
struct Stubborn(Arc<Notify>);

impl Handler for Stubborn {
    async fn accept(&self, _: &mut Accept<'_>) -> Result<Verdict> {
        self.0.notify_one();
        std::future::pending().await
    }
}

/// Sends a longer answer than fits into the buffers of a client that does not read.
struct Verbose(Arc<Notify>);

impl Handler for Verbose {
    async fn accept(&self, _: &mut Accept<'_>) -> Result<Verdict> {
        self.0.notify_one();
        Ok(Verdict::Answer(Answer::new(vec![b'x'; 64 << 20])))
    }

    async fn before(&self, _: &mut Call<'_>) -> Result<Verdict> {
        unreachable!("the connection ended before")
    }
}

/// How long a daemon takes to stop while its only client's first call is in `handler`, which notifies when it is.
async fn time_to_stop<H: Handler>(handler: fn(Arc<Notify>) -> H) -> Duration {
    let called = Arc::new(Notify::new());
    let handler = handler(called.clone());
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let config = ProxyConfig::new("127.0.0.1:0", nobody).unwrap().handler(Mix::of("own", handler));
    let daemon = Daemon::bind(&config, 1).await.unwrap();
    let address = daemon.addresses()[0];
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(daemon.serve(async { stopped.await.unwrap() }));
    let mut client = TcpStream::connect(address).await.unwrap();
    called.notified().await;
    let begun = Instant::now();
    stop.send(()).unwrap();
    let summary = tokio::time::timeout(PATIENCE, serving).await.expect("the daemon must stop").unwrap();
    assert_eq!(summary.connections, 1);
    let took = begun.elapsed();
    let end = client.read_to_end(&mut Vec::new()).await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn no_handler_delays_the_stop_beyond_the_grace_period() {
    let (stubborn, verbose) = tokio::join!(time_to_stop(Stubborn), time_to_stop(Verbose));
    for took in [stubborn, verbose] {
        assert!((4..8).contains(&took.as_secs()), "{took:?}");
    }
}
