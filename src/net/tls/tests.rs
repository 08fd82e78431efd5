//! Both sides of TLS over streams in memory, whose pipes are so small that every read and every write is partial.

use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::net::memory_stream::{MemoryStream, pair};
use crate::net::stream::{End, Stream};

/// Both ends of a connection within TLS. Each direction of the pipe holds `capacity` bytes.
pub(crate) async fn secured(capacity: usize, alpn: &[&str]) -> (Stream, Stream) {
    let authority = Authority::generate();
    let tls = ClientTls::with_authority(authority.clone());
    let (client, server) = handshake(capacity, &tls, &trusting(&authority), "localhost", alpn, None).await;
    (client.unwrap().into(), server.unwrap().into())
}

fn trusting(authority: &Authority) -> BackendTls {
    BackendTls::new(Trust { ca: Some(authority.certificate_pem().into()), ..Trust::default() }).unwrap()
}

type Done = (io::Result<TlsStream>, io::Result<TlsStream>);

/// What becomes of a handshake on either side; the server agrees to the first protocol that it is asked for.
async fn handshake(
    capacity: usize,
    tls: &ClientTls,
    trust: &BackendTls,
    host: &str,
    alpn: &[&str],
    fault: Option<TlsFault>,
) -> Done {
    let (near, far) = pair(capacity);
    let alpn: Vec<Alpn> = alpn.iter().map(|alpn| alpn.as_bytes().to_vec()).collect();
    tokio::join!(trust.connect(near.into(), host, &alpn), accept(far, tls, fault))
}

async fn accept(far: MemoryStream, tls: &ClientTls, fault: Option<TlsFault>) -> io::Result<TlsStream> {
    let server = TlsStream::of_client(far.into());
    let hello = match server.hello().await {
        Ok(hello) => hello,
        Err(error) => {
            let _ = std::future::poll_fn(|cx| server.poll_end(cx, End::Orderly)).await;
            return Err(error);
        }
    };
    let alpn = hello.alpn.first().cloned();
    match fault {
        None => tls.answer(&server, hello, alpn).await?,
        Some(fault) => tls.answer_wrongly(&server, hello, alpn, fault).await?,
    }
    Ok(server)
}

#[tokio::test(start_paused = true)]
async fn bytes_pass_both_ways_at_once() {
    for capacity in [1, 7, 1000, 100_000] {
        let (mut client, mut server) = secured(capacity, &[]).await;
        let sent: Vec<u8> = (0..30_003_u32).map(|at| (at % 251) as u8).collect();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        {
            let ((mut from_server, mut to_server), (mut from_client, mut to_client)) = (client.split(), server.split());
            let forth = async {
                to_server.write_all(&sent).await.unwrap();
                to_server.shutdown().await.unwrap();
            };
            let back = async {
                to_client.write_all(&sent).await.unwrap();
                to_client.shutdown().await.unwrap();
            };
            let all = async {
                tokio::join!(forth, back, from_client.read_to_end(&mut first), from_server.read_to_end(&mut second))
            };
            // A paused clock runs dry when nothing moves any more.
            let ((), (), forth, back) = timeout(Duration::from_secs(3600), all).await.expect("it is stuck");
            forth.unwrap();
            back.unwrap();
        }
        assert!(first == sent && second == sent, "{capacity}");
        assert_eq!((client.peer().how_ended(), server.peer().how_ended()), (End::Orderly, End::Orderly));
    }
}

#[tokio::test]
async fn the_end_of_a_stream_says_whether_it_was_meant() {
    for how in [End::Orderly, End::Truncated] {
        let (mut client, mut server) = secured(64, &[]).await;
        client.write_all(b"last words").await.unwrap();
        client.split().1.end(how).await.unwrap();
        let mut read = Vec::new();
        server.split().0.read_to_end(&mut read).await.unwrap();
        assert_eq!((read.as_slice(), server.peer().how_ended()), (&b"last words"[..], how));
        // The other direction is still open.
        let (mut answer, (mut from, _)) = ([0; 13], client.split());
        let (sent, got) = tokio::join!(server.write_all(b"and an answer"), from.read_exact(&mut answer));
        sent.and(got).unwrap();
        assert_eq!(&answer, b"and an answer");
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_says_that_it_ends() {
    for (how, ends) in [(None, End::Orderly), (Some(End::Truncated), End::Truncated)] {
        let (mut client, mut server) = secured(10_000, &[]).await;
        if let Some(how) = how {
            client.split().1.ends_when_dropped(how);
        }
        drop(client);
        assert_eq!(server.split().0.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        assert_eq!(server.peer().how_ended(), ends);
    }
}

#[tokio::test]
async fn tickets_are_no_data() {
    let (client, mut server) = secured(10_000, &[]).await;
    assert!(client.is_silent(), "the server has sent tickets");
    let mut more = pin!(client.has_more());
    tokio::select! {
        biased;
        _ = &mut more => panic!("there is no data yet"),
        () = std::future::ready(()) => {}
    }
    server.write_all(b"data").await.unwrap();
    assert!(more.await.unwrap() && !client.is_silent());
    drop(server);
    assert!(client.has_more().await.unwrap(), "it was not read");
}

#[tokio::test]
async fn the_certificate_is_for_the_name_that_a_client_asks_for() {
    let authority = Authority::generate();
    let (tls, trust) = (ClientTls::with_authority(authority.clone()), trusting(&authority));
    for host in ["localhost", "127.0.0.1", "::1", "api.example.com", "xn--bcher-kva.example"] {
        let (client, server) = handshake(10_000, &tls, &trust, host, &[], None).await;
        assert!(client.is_ok() && server.is_ok(), "{host}: {client:?} {server:?}");
    }
    let (client, _) = handshake(10_000, &tls, &trust, "10.0.0.1", &[], None).await;
    let why = client.unwrap_err().to_string();
    assert!(why.starts_with("its certificate is for ") && why.contains("not for `10.0.0.1`"), "{why}");
}

#[tokio::test]
async fn a_certificate_that_has_signed_itself_is_trusted_where_it_is_named() {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    for is_ca in [rcgen::IsCa::NoCa, rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)] {
        params.is_ca = is_ca;
        let certificate = params.self_signed(&key).unwrap().pem();
        let tls = ClientTls::with_identity(
            Identity::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes()).unwrap(),
        );
        let named = BackendTls::new(Trust { ca: Some(certificate.into()), ..Trust::default() }).unwrap();
        let (client, server) = handshake(10_000, &tls, &named, "localhost", &[], None).await;
        assert!(client.is_ok() && server.is_ok(), "{client:?} {server:?}");
        let (client, _) = handshake(10_000, &tls, &named, "other.example", &[], None).await;
        let why = client.unwrap_err().to_string();
        assert!(why.contains("not for `other.example`"), "{why}");
        let (client, _) = handshake(10_000, &tls, &trusting(&Authority::generate()), "localhost", &[], None).await;
        assert!(client.is_err());
    }
}

#[tokio::test]
async fn both_sides_learn_the_protocol() {
    let (client, server) = secured(10_000, &["h2", "http/1.1"]).await;
    assert_eq!((client.alpn(), server.alpn()), (Some(b"h2".to_vec()), Some(b"h2".to_vec())));
    let (client, server) = secured(10_000, &[]).await;
    assert_eq!((client.alpn(), server.alpn()), (None, None));
}

#[tokio::test]
async fn a_client_sees_each_fault_as_what_it_is() {
    let authority = Authority::generate();
    let (tls, trust) = (ClientTls::with_authority(authority.clone()), trusting(&authority));
    for (fault, seen) in [
        (TlsFault::Expired, "its certificate has expired"),
        (
            TlsFault::WrongName,
            "its certificate is for other.invalid, not for `localhost`: name it in `backend_tls.name`",
        ),
        (
            TlsFault::SelfSigned,
            "its certificate is signed by an authority that is not trusted: name that in `backend_tls.ca`",
        ),
        (
            TlsFault::UnknownCa,
            "its certificate is signed by an authority that is not trusted: name that in `backend_tls.ca`",
        ),
        (TlsFault::OldVersion, "the TLS handshake failed: peer is incompatible: "),
    ] {
        let (client, server) = handshake(10_000, &tls, &trust, "localhost", &[], Some(fault)).await;
        let why = client.unwrap_err().to_string();
        assert!(why.starts_with(seen), "{fault:?}: {why}");
        assert!(server.is_err());
        // A client that checks nothing goes on.
        if fault != TlsFault::OldVersion {
            let anybody = BackendTls::new(Trust { insecure: true, ..Trust::default() }).unwrap();
            let (client, server) = handshake(10_000, &tls, &anybody, "localhost", &[], Some(fault)).await;
            assert!(client.is_ok() && server.is_ok(), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_client_without_trust_is_told_of() {
    let tls = ClientTls::with_authority(Authority::generate());
    let (client, server) = handshake(10_000, &tls, &trusting(&Authority::generate()), "localhost", &[], None).await;
    assert!(client.is_err());
    assert_eq!(
        server.unwrap_err().to_string(),
        "the client does not go on: it does not trust the authority of the certificate (alert unknown_ca)"
    );
}

#[tokio::test]
async fn a_client_that_does_not_speak_tls_is_told_of() {
    let tls = ClientTls::with_authority(Authority::generate());
    for (sent, why) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "the client sent HTTP without TLS"),
        ("*1\r\n$4\r\nPING\r\n", "the client sent Redis without TLS"),
        ("hello world, how are you", "the client sent something else than TLS"),
    ] {
        let (near, far) = pair(10_000);
        (&near).write_all(sent.as_bytes()).await.unwrap();
        assert_eq!(accept(far, &tls, None).await.unwrap_err().to_string(), why);
        let mut told = Vec::new();
        (&near).read_to_end(&mut told).await.unwrap();
        assert_eq!(told.starts_with(b"HTTP/1.1 400 "), sent.starts_with("GET"), "{}", told.escape_ascii());
        assert_eq!(told.ends_with(b" in the URL\n"), sent.starts_with("GET"));
    }
    // One that has only connected says nothing.
    let (near, far) = pair(10_000);
    drop(near);
    let error = accept(far, &tls, None).await.unwrap_err();
    assert!(error.kind() == ErrorKind::UnexpectedEof && error.get_ref().is_none());
}

#[test]
fn an_authority_is_kept_as_pem() {
    let authority = Authority::generate();
    let same = Authority::from_pem(authority.certificate_pem(), &authority.key_pem()).unwrap();
    assert_eq!(same, authority);
    let other = Authority::generate();
    assert_eq!(Authority::from_pem(authority.certificate_pem(), &other.key_pem()), Err(BadIdentity::OtherKey));
    assert_eq!(Authority::from_pem("", &other.key_pem()), Err(BadIdentity::NoCertificate));
    assert_eq!(Authority::from_pem(authority.certificate_pem(), "no key"), Err(BadIdentity::NoKey));
}
