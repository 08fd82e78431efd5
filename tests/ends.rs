//! Connections end as without a proxy, or as a handler decides, and nothing is left over.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::io::Read;
use std::time::{Duration, Instant};

use world::client::Ending;
use world::{Backend, Client, Program, eventually, noise};

/// The ways in which bytes move: copied, by turns, by calls, and opaque from the first byte.
const WAYS: [&str; 4] = [
    "--handler dummy",
    "--handler delay --handler-delay-sleep 0",
    "--protocol redis --handler delay --handler-delay-sleep 0",
    "--protocol redis --handler dummy --handler-dummy-buffer 7",
];

#[test]
fn a_half_closed_client_still_gets_its_reply() {
    for way in WAYS {
        let backend = Backend::new(|mut stream| {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            Client::from(stream).send("+").send(all);
        });
        let vaurien = Program::start(&backend, way);
        let (bytes, ending) = vaurien.connect().send("last words\r\n").half_close().read_to_end();
        assert_eq!((bytes.as_slice(), ending), (&b"+last words\r\n"[..], Ending::Closed), "{way}");
    }
}

#[test]
fn a_half_closed_backend_still_gets_what_the_client_sends() {
    for way in WAYS {
        let (tell, told) = std::sync::mpsc::channel();
        let backend = Backend::new(move |stream| {
            let mut stream = Client::from(stream);
            stream.read(6);
            tell.send(stream.send("+bye\r\n").half_close().read_to_end()).unwrap();
        });
        let vaurien = Program::start(&backend, way);
        let mut client = vaurien.connect();
        assert_eq!(client.send("PING\r\n").read_to_end(), (b"+bye\r\n".to_vec(), Ending::Closed), "{way}");
        client.send("and more\r\n").half_close();
        assert_eq!(told.recv().unwrap(), (b"and more\r\n".to_vec(), Ending::Closed), "{way}");
    }
}

#[test]
fn a_half_closed_client_is_delayed_and_answered() {
    let vaurien = Program::start(&Backend::lines(), "--protocol redis --handler delay --handler-delay-sleep 0.5");
    let begun = Instant::now();
    let (bytes, ending) = vaurien.connect().send("a\r\nb\r\n").half_close().read_to_end();
    assert_eq!((bytes.as_slice(), ending), (&b"+a\r\n+b\r\n"[..], Ending::Closed));
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn a_half_closed_client_is_held_by_hang() {
    let vaurien = Program::start(&Backend::echo(), "--handler hang");
    let open = vaurien.descriptors();
    let mut client = vaurien.connect();
    client.send("and now I wait").half_close();
    // A client that leaves later is noticed while this one is still connected.
    let gone = vaurien.connect();
    eventually("two clients are held", || vaurien.descriptors() == open + 2);
    drop(gone);
    eventually("one client is held", || vaurien.descriptors() == open + 1);
    assert!(client.is_silent());
}

#[test]
fn a_reset_passes_from_the_client_to_the_backend() {
    for way in WAYS {
        let (tell, told) = std::sync::mpsc::channel();
        let backend = Backend::new(move |stream| tell.send(Client::from(stream).read_to_end()).unwrap());
        let vaurien = Program::start(&backend, way);
        let mut client = vaurien.connect();
        client.send("a\r\n");
        eventually("the backend is called", || backend.connections() == 1);
        client.reset();
        assert_eq!(told.recv().unwrap().1, Ending::Reset, "{way}");
    }
}

#[test]
fn a_reset_passes_from_the_backend_to_the_client() {
    for way in WAYS {
        let backend = Backend::new(|stream| {
            let mut stream = Client::from(stream);
            stream.read(3);
            stream.reset();
        });
        let vaurien = Program::start(&backend, way);
        assert_eq!(vaurien.connect().send("a\r\n").ending(), Ending::Reset, "{way}");
    }
}

#[test]
fn a_truncated_reply_arrives_up_to_its_end() {
    for way in WAYS {
        let backend = Backend::new(|stream| {
            let mut stream = Client::from(stream);
            stream.read(3);
            stream.send("$100\r\nhalf of");
        });
        let vaurien = Program::start(&backend, way);
        let (bytes, ending) = vaurien.connect().send("a\r\n").read_to_end();
        assert_eq!((bytes.as_slice(), ending), (&b"$100\r\nhalf of"[..], Ending::Closed), "{way}");
    }
}

#[test]
fn a_truncated_request_is_passed_on_up_to_its_end() {
    for way in WAYS {
        let (tell, told) = std::sync::mpsc::channel();
        let backend = Backend::new(move |stream| tell.send(Client::from(stream).read_to_end()).unwrap());
        let vaurien = Program::start(&backend, way);
        vaurien.connect().send("*2\r\n$3\r\nGET\r\n$9\r\nhal");
        assert_eq!(told.recv().unwrap(), (b"*2\r\n$3\r\nGET\r\n$9\r\nhal".to_vec(), Ending::Closed), "{way}");
    }
}

#[test]
fn a_backend_that_refuses_resets_the_client() {
    for way in WAYS {
        let vaurien = Program::start(&Backend::nobody(), way);
        assert_eq!(vaurien.connect().ending(), Ending::Reset, "{way}");
        assert_eq!(vaurien.stop().of("dial failures"), 1, "{way}");
    }
}

#[test]
fn a_backend_whose_name_does_not_resolve_resets_the_client() {
    let vaurien = Program::start_at("nobody.invalid:80", "");
    assert_eq!(vaurien.connect().ending(), Ending::Reset);
    assert_eq!(vaurien.stop().of("dial failures"), 1);
}

#[test]
fn a_backend_that_does_not_answer_resets_the_client_after_the_connect_timeout() {
    let silent = Unanswered::new();
    let vaurien = Program::start_at(&silent.address, "--connect-timeout 0.3");
    let begun = Instant::now();
    assert_eq!(vaurien.connect().ending(), Ending::Reset);
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    assert_eq!(vaurien.stop().of("dial failures"), 1);
}

#[test]
fn a_leaving_client_ends_the_dial() {
    let silent = Unanswered::new();
    let vaurien = Program::start_at(&silent.address, "--connect-timeout 1h");
    let before = vaurien.descriptors();
    let (closing, resetting) = (vaurien.connect(), vaurien.connect());
    eventually("both dials are in progress", || vaurien.descriptors() == before + 4);
    drop(closing);
    eventually("one dial is in progress", || vaurien.descriptors() == before + 2);
    resetting.reset();
    eventually("no dial is in progress", || vaurien.descriptors() == before);
}

/// An address where connecting neither succeeds nor fails: a listener whose accept queue is full.
struct Unanswered {
    address: String,
    _listener: socket2::Socket,
    _waiting: Vec<socket2::Socket>,
}

impl Unanswered {
    fn new() -> Self {
        use socket2::{Domain, Socket, Type};
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        loop {
            let stream = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let queued = stream.connect_timeout(&address, Duration::from_millis(200)).is_ok();
            waiting.push(stream);
            if !queued {
                let address = address.as_socket().unwrap().to_string();
                return Self { address, _listener: listener, _waiting: waiting };
            }
        }
    }
}

#[test]
fn a_leaving_client_ends_the_sleep() {
    for before in ["true", "false"] {
        let backend = Backend::lines();
        let options =
            format!("--protocol redis --handler delay --handler-delay-sleep 1h --handler-delay-before {before}");
        let vaurien = Program::start(&backend, &options);
        let open = vaurien.descriptors();
        let (mut closing, mut resetting, mut eager) = (vaurien.connect(), vaurien.connect(), vaurien.connect());
        closing.send("a\r\n");
        resetting.send("a\r\n");
        // This client sent more than has been read.
        eager.send("a\r\n".repeat(10_000));
        eventually("three calls sleep", || vaurien.descriptors() == open + 6);
        drop(closing);
        eventually("two calls sleep", || vaurien.descriptors() == open + 4);
        resetting.reset();
        eventually("one call sleeps", || vaurien.descriptors() == open + 2);
        eager.reset();
        eventually("no call sleeps", || vaurien.descriptors() == open);
    }
}

#[test]
fn a_leaving_client_ends_the_hang() {
    let vaurien = Program::start(&Backend::echo(), "--handler hang");
    let open = vaurien.descriptors();
    let (mut closing, mut resetting) = (vaurien.connect(), vaurien.connect());
    closing.send("a");
    resetting.send("a");
    eventually("two calls hang", || vaurien.descriptors() == open + 2);
    drop(closing);
    eventually("one call hangs", || vaurien.descriptors() == open + 1);
    resetting.reset();
    eventually("no call hangs", || vaurien.descriptors() == open);
}

#[test]
fn a_client_that_stops_reading_delays_no_other_client() {
    // Not the one with the buffer of 7 bytes, which would take too long.
    for way in &WAYS[..3] {
        let blob = noise(7, 8 << 20);
        let sent = [b"$8388608\r\n".as_slice(), &blob, b"\r\n"].concat();
        let expected = sent.clone();
        let backend = Backend::new(move |stream| {
            let mut stream = Client::from(stream);
            stream.read(3);
            stream.send(&sent);
            stream.ending();
        });
        let vaurien = Program::start(&backend, way);
        let mut stuck = vaurien.connect();
        stuck.send("a\r\n");
        assert!(vaurien.connect().send("a\r\n").read(expected.len()) == expected, "{way}");
        assert!(stuck.read(expected.len()) == expected, "{way}");
    }
}

#[test]
fn a_client_that_resets_while_the_backend_reads_nothing_is_closed() {
    for way in WAYS {
        let (park, parked) = std::sync::mpsc::channel::<std::net::TcpStream>();
        let backend = Backend::new(move |stream| park.send(stream).unwrap());
        let vaurien = Program::start(&backend, way);
        let open = vaurien.descriptors();
        let mut client = vaurien.connect();
        // Fills all buffers.
        client.fill(b"*1\r\n$900000000\r\n", &vec![b'x'; 64 * 1024]);
        client.reset();
        eventually("the connection is closed", || vaurien.descriptors() == open);
        drop(parked);
    }
}
