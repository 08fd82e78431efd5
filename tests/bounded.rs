//! Nothing that a peer sends or does not read accumulates: memory stays bounded.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;

use world::{Backend, Client, Program, eventually};

const GIB: usize = 1 << 30;

/// How much the daemon's memory may grow, in KiB.
const GROWTH: u64 = 8 * 1024;

/// Sends `len` bytes, each of which depends on its position.
fn send(stream: &mut impl Write, len: usize) {
    let block = block();
    for at in (0..len).step_by(block.len()) {
        stream.write_all(&block[..block.len().min(len - at)]).unwrap();
    }
}

/// Reads and checks what [`send`] sends.
fn check(stream: &mut impl Read, len: usize) {
    let block = block();
    let mut got = vec![0; block.len()];
    for at in (0..len).step_by(block.len()) {
        let size = block.len().min(len - at);
        stream.read_exact(&mut got[..size]).unwrap();
        assert!(got[..size] == block[..size], "altered after byte {at}");
    }
}

fn block() -> Vec<u8> {
    world::noise(9, 1 << 20)
}

#[test]
fn a_gibibyte_in_a_redis_value_passes_in_bounded_memory_and_is_one_call() {
    let backend = Backend::new(|mut stream| {
        let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${GIB}\r\n");
        let mut got = vec![0; head.len()];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(got, head.as_bytes());
        check(&mut stream, GIB);
        stream.read_exact(&mut [0; 2]).unwrap();
        stream.write_all(b"+OK\r\n").unwrap();
        stream.read_exact(&mut [0; 7]).unwrap();
        stream.write_all(format!("${GIB}\r\n").as_bytes()).unwrap();
        send(&mut stream, GIB);
        stream.write_all(b"\r\n").unwrap();
        Client::from(stream).ending();
    });
    for handler in ["dummy", "delay --handler-delay-sleep 0"] {
        let vaurien = Program::start(&backend, &format!("--protocol redis --handler {handler}"));
        vaurien.connect().half_close().ending();
        let before = vaurien.memory();
        let mut client = vaurien.connect();
        client.send(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${GIB}\r\n"));
        send(&mut client.stream(), GIB);
        client.send("\r\n").expect("+OK\r\n");
        client.send("GET k\r\n").expect(format!("${GIB}\r\n"));
        check(&mut client.stream(), GIB);
        client.expect("\r\n");
        drop(client);
        let growth = vaurien.peak_memory() - before;
        assert!(growth < GROWTH, "{handler}: grew by {growth} KiB");
        let counts = vaurien.stop();
        assert_eq!((counts.calls(handler.split(' ').next().unwrap()), counts.of("opaque")), (2, 0));
    }
}

#[test]
fn a_gibibyte_in_chunks_passes_in_bounded_memory_and_is_one_call() {
    const CHUNK: usize = 1 << 20;
    const HEAD: &str = "POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n";
    let backend = Backend::new(|stream| {
        let mut stream = Client::from(stream);
        stream.expect(HEAD);
        for _ in 0..GIB / CHUNK {
            stream.expect("100000\r\n");
            check(&mut stream.stream(), CHUNK);
            stream.expect("\r\n");
        }
        stream.expect("0\r\n\r\n").send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..GIB / CHUNK {
            stream.send("100000\r\n");
            send(&mut stream.stream(), CHUNK);
            stream.send("\r\n");
        }
        stream.send("0\r\n\r\n").ending();
    });
    let vaurien = Program::start(&backend, "--protocol http");
    vaurien.connect().half_close().ending();
    let before = vaurien.memory();
    let mut client = vaurien.connect();
    client.send(HEAD);
    for _ in 0..GIB / CHUNK {
        client.send("100000\r\n");
        send(&mut client.stream(), CHUNK);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n").expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..GIB / CHUNK {
        client.expect("100000\r\n");
        check(&mut client.stream(), CHUNK);
        client.expect("\r\n");
    }
    client.expect("0\r\n\r\n");
    let growth = vaurien.peak_memory() - before;
    assert!(growth < GROWTH, "grew by {growth} KiB");
    drop(client);
    let counts = vaurien.stop();
    assert_eq!((counts.calls("dummy"), counts.of("opaque")), (1, 0));
}

#[test]
fn a_client_that_reads_nothing_costs_at_most_a_quarter_of_a_mebibyte() {
    const CLIENTS: u64 = 20;
    for way in ["--handler dummy", "--protocol redis", "--protocol redis --handler delay --handler-delay-sleep 0"] {
        let (tell, full) = channel();
        let backend = Backend::new(move |stream| {
            let mut stream = Client::from(stream);
            stream.read(7);
            stream.fill(b"$900000000\r\n", &block());
            tell.send(stream).unwrap();
        });
        let vaurien = Program::start(&backend, way);
        let before = vaurien.memory();
        let clients: Vec<_> = (0..CLIENTS).map(|_| vaurien.connect()).collect();
        let stuck: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                client.send("GET k\r\n");
                (full.recv().unwrap(), client)
            })
            .collect();
        let growth = vaurien.peak_memory() - before;
        // The buffers of both workers, and what the clients do not read.
        assert!(growth < 2 * 1024 + CLIENTS * 260, "{way}: grew by {growth} KiB");
        drop(stuck);
    }
}

#[test]
fn any_number_of_quiet_calls_without_a_reply_takes_bounded_memory() {
    const CALLS: usize = 200_000;
    // It answers `mn`, and nothing else.
    let backend = Backend::new(|mut stream| {
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for _ in lines.map_while(Result::ok).filter(|line| line == "mn") {
            stream.write_all(b"MN\r\n").unwrap();
        }
    });
    let requests: Vec<_> = (0..CALLS).map(|number| format!("mg key{number} v k q\r\n")).collect();
    let requests = requests.concat();
    for (handler, names) in [("dummy", &["dummy"][..]), ("delay", &["delay"]), ("50:delay", &["delay", "dummy"])] {
        let options = format!("--protocol memcache --handler {handler} --handler-delay-before false");
        let vaurien = Program::start(&backend, &options);
        let before = vaurien.memory();
        let mut client = vaurien.connect();
        client.send(&requests).send("mn\r\n").expect("MN\r\n");
        let growth = vaurien.peak_memory() - before;
        assert!(growth < GROWTH, "{handler}: grew by {growth} KiB");
        let counts = vaurien.stop();
        let calls: u64 = names.iter().map(|name| counts.calls(name)).sum();
        assert_eq!((calls, counts.of("opaque")), (CALLS as u64 + 1, 0), "{handler}");
    }
}

#[test]
fn a_leaving_client_is_noticed_in_bounded_memory_among_many_sockets() {
    const SOCKETS: usize = 20_000;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..SOCKETS {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let served = listener.accept().unwrap();
        // The end that closes first stays in the system's table of sockets for a minute (TIME_WAIT).
        drop(client);
        drop(served);
    }
    let vaurien = Program::start(&Backend::nobody(), "--handler hang");
    let open = vaurien.descriptors();
    let mut client = vaurien.connect();
    client.send("call");
    eventually("the client is held", || vaurien.descriptors() == open + 1);
    let before = vaurien.peak_memory();
    drop(client);
    eventually("the client has left", || vaurien.descriptors() == open);
    let growth = vaurien.peak_memory() - before;
    assert!(growth < 1024, "grew by {growth} KiB");
}

#[test]
fn a_pipeline_whose_replies_nobody_reads_takes_bounded_memory() {
    for handler in ["50:error", "50:error --handler-error-inject", "50:delay --handler-delay-sleep 0"] {
        let vaurien = Program::start(&Backend::lines(), &format!("--protocol redis --handler {handler}"));
        let before = vaurien.memory();
        let mut client = vaurien.connect();
        client.fill(b"", &b"PING some-key\r\n".repeat(1000));
        let growth = vaurien.peak_memory() - before;
        assert!(growth < GROWTH, "{handler}: grew by {growth} KiB");
    }
}
