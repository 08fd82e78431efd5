//! What no handler touches passes byte for byte, in order, in both directions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use sha2::{Digest, Sha256};
use world::{Backend, Client, Program, noise};

/// Every way in which `dummy` moves bytes, and handlers that pass everything.
const WAYS: [&str; 5] = [
    "--handler dummy",
    "--handler dummy --buffer 1000",
    "--handler delay --handler-delay-sleep 0",
    "--handler error --handler-error-warmup 1000000000",
    "--protocol redis",
];

fn digest_of(mut stream: impl Read) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => return digest.finalize().into(),
            len => digest.update(&buffer[..len]),
        }
    }
}

/// Sends `len` random bytes in pieces of odd sizes and half-closes; returns their digest.
fn send_noise(mut stream: &TcpStream, seed: u64, len: usize) -> [u8; 32] {
    let block = noise(seed, 1 << 20);
    let mut digest = Sha256::new();
    let mut left = len;
    for size in [1, 7, 1000, 65_537, 1 << 20].into_iter().cycle() {
        let piece = &block[..left.min(size)];
        stream.write_all(piece).unwrap();
        digest.update(piece);
        left -= piece.len();
        if left == 0 {
            break;
        }
    }
    stream.shutdown(Shutdown::Write).unwrap();
    digest.finalize().into()
}

#[test]
fn noise_passes_unaltered_in_both_directions_at_once() {
    const LEN: usize = 24 << 20;
    for way in WAYS {
        let (tell, told) = std::sync::mpsc::channel();
        let backend = Backend::new(move |stream| {
            let sent = thread::scope(|scope| {
                let sent = scope.spawn(|| send_noise(&stream, 2, LEN));
                (digest_of(&stream), sent.join().unwrap())
            });
            tell.send(sent).unwrap();
        });
        let vaurien = Program::start(&backend, way);
        let client = vaurien.connect();
        let (sent, got) = thread::scope(|scope| {
            let sent = scope.spawn(|| send_noise(client.stream(), 1, LEN));
            let got = digest_of(client.stream());
            (sent.join().unwrap(), got)
        });
        let (backend_got, backend_sent) = told.recv().unwrap();
        assert_eq!((got, backend_got), (backend_sent, sent), "{way}");
        assert_eq!(vaurien.stop().of("bytes from clients"), LEN as u64, "{way}");
    }
}

#[test]
fn a_greeting_passes_before_the_client_has_sent_anything() {
    for way in ["--handler dummy", "--handler delay --handler-delay-sleep 0", "--protocol redis"] {
        let backend = Backend::new(|stream| {
            let mut stream = Client::from(stream);
            stream.send("220 hello\r\n");
            stream.read(4);
            stream.send("221 bye\r\n");
        });
        let vaurien = Program::start(&backend, way);
        vaurien.connect().expect("220 hello\r\n").send("QUIT").expect("221 bye\r\n");
    }
}

#[test]
fn a_long_pipeline_is_written_before_anything_is_read() {
    let count = 200_000;
    let vaurien = Program::start(&Backend::lines(), "--protocol redis");
    let client = vaurien.connect();
    let line = |number: usize| format!("{number:06}\r\n");
    thread::scope(|scope| {
        scope.spawn(|| {
            let pipeline: String = (0..count).map(line).collect();
            client.stream().write_all(pipeline.as_bytes()).unwrap();
        });
        let expected: String = (0..count).flat_map(|number| ["+".to_owned(), line(number)]).collect();
        let mut got = vec![0; expected.len()];
        client.stream().read_exact(&mut got).unwrap();
        assert!(got == expected.as_bytes());
    });
    drop(client);
    assert_eq!(vaurien.stop().calls("dummy"), count as u64);
}

#[test]
fn bytes_that_are_read_together_are_written_together() {
    // The reply is a byte longer than it says.
    let reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!";
    let backend = Backend::new(move |stream| {
        let mut client = Client::from(stream);
        client.read_until("\r\n\r\n");
        client.send(reply);
        client.ending();
    });
    for options in ["--protocol http", "--protocol http --handler 0.0001:delay"] {
        let vaurien = Program::start(&backend, options);
        for _ in 0..100 {
            let client = vaurien.connect();
            let mut stream = client.stream();
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            let mut read = [0; 1000];
            assert_eq!(stream.read(&mut read).unwrap(), reply.len(), "{options}: one write is one read");
        }
    }
}
