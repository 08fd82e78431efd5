//! Both sides within TLS.

use super::*;
use crate::net::stream::{End, Stream};
use crate::net::tls::tests::secured;

/// A connection whose pipes hold `capacity` bytes: its client, its backend, and how it ends.
async fn connect(options: Options, mix: &Mix, toxics: &[&str]) -> (Stream, Stream, tokio::task::JoinHandle<Outcome>) {
    let (client, near_client) = secured(options.capacity, &[]).await;
    let (near_backend, backend) = secured(options.capacity, &[]).await;
    let (shutdown, proxy) = proxy(mix);
    set_toxics(&proxy, toxics);
    let pumps = options.pump(&proxy, near_client, near_backend);
    std::mem::forget(shutdown);
    (client, backend, pumps)
}

/// Exchanges a lot both ways at once, and ends it on both sides in this way.
async fn exchange(client: &mut Stream, backend: &mut Stream, sent: &[u8], how: End) {
    {
        let ((mut from_proxy, mut to_proxy), (mut from_client, mut to_client)) = (client.split(), backend.split());
        let forth = async {
            to_proxy.write_all(sent).await.unwrap();
            to_proxy.flush().await.unwrap();
            to_proxy.end(how).await.unwrap();
        };
        let back = async {
            to_client.write_all(sent).await.unwrap();
            to_client.flush().await.unwrap();
            to_client.end(how).await.unwrap();
        };
        let (mut there, mut here) = (Vec::new(), Vec::new());
        let all =
            async { tokio::join!(forth, back, from_client.read_to_end(&mut there), from_proxy.read_to_end(&mut here)) };
        // A paused clock runs dry when nothing moves any more.
        let all = timeout(Duration::from_secs(3600), all).await.expect("it is stuck");
        all.2.unwrap();
        all.3.unwrap();
        assert!(there == sent && here == sent);
    }
    assert_eq!(backend.peer().how_ended(), how, "as the client has ended");
}

#[tokio::test(start_paused = true)]
async fn bytes_pass_and_ends_are_kept() {
    let sent: Vec<u8> = (0..60_007_u32).map(|at| (at % 251) as u8).collect();
    for how in [End::Orderly, End::Truncated] {
        for capacity in [1, 7, 64, 5000, 100_000] {
            let (mut client, mut backend, pumps) =
                connect(Options::new(Protocol::Tcp, capacity), &Mix::default(), &[]).await;
            exchange(&mut client, &mut backend, &sent, how).await;
            assert!(matches!(pumps.await.unwrap(), Outcome::Done), "{how:?} {capacity}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_pass_through_toxics() {
    let sent: Vec<u8> = (0..60_007_u32).map(|at| (at % 251) as u8).collect();
    for capacity in [7, 5000, 100_000] {
        let toxics = ["both:latency(latency=20ms)", "both:bandwidth(rate=1MB/s)"];
        let (mut client, mut backend, pumps) =
            connect(Options::new(Protocol::Tcp, capacity), &Mix::default(), &toxics).await;
        exchange(&mut client, &mut backend, &sent, End::Orderly).await;
        let outcome = pumps.await.unwrap();
        assert!(matches!(outcome, Outcome::Done), "{capacity} {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_found_and_answered() {
    let requests = [get("a"), get("answer"), get("inject"), get("b")].concat();
    for capacity in [1, 7, 64, 5000] {
        let (mut client, mut backend, pumps) = connect(Options::new(Protocol::Redis, capacity), &obey(), &[]).await;
        {
            let ((mut from_proxy, mut to_proxy), (mut from_client, mut to_client)) = (client.split(), backend.split());
            let ask = async {
                to_proxy.write_all(requests.as_bytes()).await.unwrap();
                to_proxy.flush().await.unwrap();
            };
            let answer = async {
                for request in [get("a"), get("inject"), get("b")] {
                    let mut got = vec![0; request.len()];
                    from_client.read_exact(&mut got).await.unwrap();
                    assert_eq!(got, request.as_bytes());
                    to_client.write_all(b"$3\r\nabc\r\n").await.unwrap();
                    to_client.flush().await.unwrap();
                }
            };
            let expected = "$3\r\nabc\r\n+ours\r\n$3\r\na!bc\r\n$3\r\nabc\r\n";
            let mut got = vec![0; expected.len()];
            let all = async { tokio::join!(ask, answer, from_proxy.read_exact(&mut got)) };
            let all = timeout(Duration::from_secs(3600), all).await.expect("it is stuck");
            all.2.unwrap();
            assert_eq!(String::from_utf8_lossy(&got).len(), expected.len(), "{capacity}");
            assert!(got.starts_with(b"$3\r\nabc\r\n+ours\r\n"), "{capacity}");
        }
        exchange(&mut client, &mut backend, b"", End::Orderly).await;
        let outcome = pumps.await.unwrap();
        assert!(matches!(outcome, Outcome::Done), "{capacity} {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_passed_on() {
    let (client, mut backend, pumps) = connect(Options::new(Protocol::Tcp, 64), &Mix::default(), &[]).await;
    client.reset_on_drop();
    drop(client);
    assert!(matches!(pumps.await.unwrap(), Outcome::ClientReset(_)));
    // The lifecycle would reset the backend; here it ends in order.
    let _ = backend.split().0.read_to_end(&mut Vec::new()).await;
}
