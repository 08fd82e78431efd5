//! The demo's backend: an HTTP server that answers every request with 200.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::protocol::{Protocol, Step, http};

/// The pause after a failed accept.
const RETRY: Duration = Duration::from_millis(100);

pub(super) const STATUS: &str = "200 OK";

pub(super) async fn serve(server: TcpListener) {
    loop {
        match server.accept().await {
            Ok((client, _)) => drop(tokio::spawn(answer(client))),
            // Out of descriptors: retry once connections close.
            Err(_) => sleep(RETRY).await,
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
