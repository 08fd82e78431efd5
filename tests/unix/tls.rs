//! TLS over Unix sockets: the bytes of a socket are those of any other.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use vaurien::{Authority, BackendTls, ClientTls, Daemon, ProxyConfig, Trust};

use super::Folder;
use super::world::{Client, noise};

/// Sends `bytes` through a proxy that speaks TLS to the one behind it, whose backend echoes: what comes back.
async fn echoed(folder: &Folder, authority: &Authority, trusted: &Authority, bytes: &[u8]) -> Vec<u8> {
    let (from, to) = (folder.at("from"), folder.at("to"));
    let mut first = ProxyConfig::new(from, &to).unwrap();
    let ca = Some(trusted.certificate_pem().into());
    first.backend_tls = Some(BackendTls::new(Trust { ca, ..Trust::default() }).unwrap());
    let mut second = ProxyConfig::new(&to, folder.at("backend")).unwrap();
    second.tls = Some(ClientTls::with_authority(authority.clone()));
    (first.name, second.name) = ("first".to_owned(), "second".to_owned());
    let daemon = Daemon::bind_all([&first, &second], 1).await.unwrap();
    let mut got = Vec::new();
    let talk = async {
        let (mut read, mut write) = UnixStream::connect(folder.path("from")).await.unwrap().into_split();
        let send = async {
            // One whose backend is not to be trusted takes none of it.
            let _ = write.write_all(bytes).await;
            let _ = write.shutdown().await;
        };
        tokio::join!(send, async { drop(read.read_to_end(&mut got).await) });
    };
    daemon.serve(talk).await;
    got
}

#[tokio::test]
async fn both_sides_may_be_within_it() {
    let folder = Folder::new();
    folder.serve("backend", |client: Client| _ = std::io::copy(&mut client.stream(), &mut client.stream()));
    let (authority, other) = (Authority::generate(), Authority::generate());
    let bytes = noise(1, 4 << 20);
    assert!(echoed(&folder, &authority, &authority, &bytes).await == bytes);
    assert!(echoed(&folder, &authority, &other, &bytes).await.is_empty(), "nobody vouches for it");
}

#[tokio::test]
async fn a_backend_on_a_unix_socket_is_localhost_unless_it_has_another_name() {
    for (name, asked) in [(None, "localhost"), (Some("db.example"), "db.example")] {
        let folder = Folder::new();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        folder.serve("backend", move |mut client| {
            // The record of the ClientHello (RFC 8446, section 5.1): its length is behind its type and its version.
            let len = client.read(5)[3..].iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
            tell.send(client.read(len)).unwrap();
        });
        let mut config = ProxyConfig::new(folder.at("proxy"), folder.at("backend")).unwrap();
        let trust = Trust { insecure: true, name: name.map(str::to_owned), ..Trust::default() };
        config.backend_tls = Some(BackendTls::new(trust).unwrap());
        let daemon = Daemon::bind(&config, 1).await.unwrap();
        daemon
            .serve(async {
                let _client = UnixStream::connect(folder.path("proxy")).await.unwrap();
                let hello = told.recv().await.unwrap();
                assert!(hello.windows(asked.len()).any(|part| part == asked.as_bytes()), "{asked}");
            })
            .await;
    }
}
