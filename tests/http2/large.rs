//! Streams that are larger than any memory, with a slow side.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Method, Response};

use super::peer::{Backend, Client, patient, request, send};
use super::world::{Program, noise};

/// How much passes in a stream.
const SIZE: u64 = 256 << 20;

/// How much the proxy may grow meanwhile, in KiB.
const GROWTH: u64 = 8 * 1024;

const PIECE: usize = 64 << 10;

/// Sends it all, and counts.
async fn fill(mut to: h2::SendStream<Bytes>, sent: Arc<AtomicU64>) {
    let piece = Bytes::from(noise(7, PIECE));
    while sent.load(Ordering::Relaxed) < SIZE {
        send(&mut to, piece.clone()).await.unwrap();
        sent.fetch_add(PIECE as u64, Ordering::Relaxed);
    }
    to.send_data(Bytes::new(), true).unwrap();
}

/// Reads it all; nothing but what was sent.
async fn empty(mut from: h2::RecvStream) -> u64 {
    let (piece, mut len) = (noise(7, PIECE), 0_u64);
    while let Some(data) = from.data().await {
        let data = data.unwrap();
        let mut rest = &data[..];
        while !rest.is_empty() {
            let at = usize::try_from(len).unwrap() % PIECE;
            let same = rest.len().min(PIECE - at);
            assert!(rest[..same] == piece[at..at + same]);
            (rest, len) = (&rest[same..], len + same as u64);
        }
        from.flow_control().release_capacity(data.len()).unwrap();
    }
    len
}

/// Sees that other streams of the connection are served while one waits, and others connections as well.
async fn others_go_on(client: &Client, vaurien: &Program, sent: &AtomicU64) {
    // It begins, and then waits for its reader.
    let mut before = 0;
    while before == 0 || before != sent.load(Ordering::Relaxed) {
        before = sent.load(Ordering::Relaxed);
        for _ in 0..20 {
            assert_eq!(client.ask(request(Method::HEAD, "/"), Bytes::new(), None).await.unwrap().status, 200);
        }
        let other = Client::connect(vaurien.address()).await;
        assert_eq!(other.ask(request(Method::HEAD, "/"), Bytes::new(), None).await.unwrap().status, 200);
    }
    assert!(before < SIZE / 4, "nothing has waited");
}

#[tokio::test]
async fn a_download_waits_for_its_reader() {
    for options in ["", "--handler delay(sleep=0)"] {
        let sent = Arc::<AtomicU64>::default();
        let count = sent.clone();
        let backend = Backend::new(move |request, mut respond| {
            let count = count.clone();
            async move {
                let is_over = request.method() == Method::HEAD;
                let to = respond.send_response(Response::new(()), is_over).unwrap();
                if !is_over {
                    fill(to, count).await;
                }
            }
        });
        let vaurien = Program::start_at(&backend.address(), &format!("--protocol http {options}"));
        let client = Client::connect(vaurien.address()).await;
        client.ask(request(Method::HEAD, "/"), Bytes::new(), None).await.unwrap();
        let before = vaurien.peak_memory();
        let (response, _) = client.begin(request(Method::GET, "/"), true).await;
        let body = patient(response).await.unwrap().into_body();
        others_go_on(&client, &vaurien, &sent).await;
        assert_eq!(empty(body).await, SIZE);
        let grown = vaurien.peak_memory().saturating_sub(before);
        assert!(grown < GROWTH, "by {grown} KiB");
    }
}

#[tokio::test]
async fn an_upload_waits_for_its_reader() {
    for options in ["", "--handler delay(sleep=0)"] {
        let (start, started) = tokio::sync::watch::channel(false);
        let backend = Backend::new(move |request, mut respond| {
            let mut started = started.clone();
            async move {
                let is_over = request.method() == Method::HEAD;
                let mut to = respond.send_response(Response::new(()), is_over).unwrap();
                if !is_over {
                    started.wait_for(|started| *started).await.unwrap();
                    let len = empty(request.into_body()).await;
                    to.send_data(len.to_string().into(), true).unwrap();
                }
            }
        });
        let vaurien = Program::start_at(&backend.address(), &format!("--protocol http {options}"));
        let client = Client::connect(vaurien.address()).await;
        client.ask(request(Method::HEAD, "/"), Bytes::new(), None).await.unwrap();
        let before = vaurien.peak_memory();
        let (response, to) = client.begin(request(Method::POST, "/"), false).await;
        let sent = Arc::<AtomicU64>::default();
        let filling = tokio::spawn(fill(to, sent.clone()));
        let mut body = patient(response).await.unwrap().into_body();
        others_go_on(&client, &vaurien, &sent).await;
        start.send(true).unwrap();
        let (len, _) = super::peer::read(&mut body).await.unwrap();
        assert_eq!(len, SIZE.to_string().as_bytes());
        filling.await.unwrap();
        let grown = vaurien.peak_memory().saturating_sub(before);
        assert!(grown < GROWTH, "by {grown} KiB");
    }
}
