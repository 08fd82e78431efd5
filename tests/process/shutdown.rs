//! Told to stop, the program stops listening, ends its faults, lets other calls finish, and prints its counts.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::world::client::Ending;
use crate::world::{Backend, Client, PATIENCE, Program, eventually};

/// How long calls in progress may take to finish.
const GRACE: Duration = Duration::from_secs(5);

/// Tells `vaurien` to stop, and waits until it logs that it does.
fn ask_to_stop(vaurien: &mut Program) {
    vaurien.signal("TERM");
    vaurien.line("stopping");
}

/// A backend that signals when it is called, and replies to `ask` with what it is told.
fn slow_backend(ask: &'static str) -> (Backend, Receiver<()>, Sender<&'static str>) {
    let ((tell_called, called), (tell, told)) = (channel(), channel::<&str>());
    let told = Mutex::new(told);
    let backend = Backend::new(move |stream| {
        let mut stream = Client::from(stream);
        if stream.stream().read_exact(&mut vec![0; ask.len()]).is_err() {
            return; // an idle client
        }
        tell_called.send(()).unwrap();
        // The channel is closed when the test ends without a reply.
        if let Ok(reply) = told.lock().unwrap().recv() {
            stream.send(reply).ending();
        }
    });
    (backend, called, tell)
}

#[test]
fn either_signal_ends_an_idle_program_cleanly() {
    for name in ["INT", "TERM"] {
        let backend = Backend::echo();
        let mut vaurien = Program::start(&backend, "");
        let mut idle = vaurien.connect();
        idle.send("call").expect("call");
        let begun = Instant::now();
        vaurien.signal(name);
        assert_eq!(idle.ending(), Ending::Closed, "{name}");
        assert_eq!(vaurien.wait(), Some(0), "{name}");
        assert!(begun.elapsed() < GRACE, "{name}: {:?}", begun.elapsed());
        eventually("the backend's connection is closed", || backend.ended() == 1);
    }
}

#[test]
fn it_stops_listening_at_once_and_a_call_in_progress_finishes() {
    for (protocol, ask, reply) in [
        ("tcp", "call", "reply"),
        ("redis", "GET a\r\n", "$1\r\na\r\n"),
        ("memcache", "get a\r\n", "END\r\n"),
        ("http", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let (backend, called, tell) = slow_backend(ask);
        let mut vaurien = Program::start(&backend, &format!("--protocol {protocol}"));
        let mut client = vaurien.connect();
        client.send(ask);
        called.recv().unwrap();
        ask_to_stop(&mut vaurien);
        eventually("a connection is refused", || TcpStream::connect(vaurien.address()).is_err());
        tell.send(reply).unwrap();
        assert_eq!(client.expect(reply).ending(), Ending::Closed, "{protocol}");
        assert_eq!(vaurien.stopped().calls("dummy"), 1, "{protocol}");
    }
}

#[test]
fn sleeping_calls_continue_at_once_and_get_their_replies() {
    for options in ["--protocol tcp", "--protocol redis", "--protocol redis --handler-delay-before false"] {
        let backend = Backend::lines();
        let mut vaurien = Program::start(&backend, &format!("{options} --handler delay --handler-delay-sleep 1h"));
        let mut clients: Vec<Client> = (0..3).map(|_| vaurien.connect()).collect();
        for client in &mut clients {
            client.send("a\r\n");
        }
        eventually("all clients are connected", || backend.connections() == 3);
        ask_to_stop(&mut vaurien);
        for client in &mut clients {
            assert_eq!(client.expect("+a\r\n").ending(), Ending::Closed, "{options}");
        }
        assert_eq!(vaurien.stopped().calls("delay"), 3, "{options}");
    }
}

#[test]
fn hanging_calls_are_reset() {
    // With this seed, the first call of the second case is drawn for `dummy` and the second call for `hang`.
    for (options, before) in [("--handler hang", ""), ("--protocol redis --handler 50:hang --seed 8", "a\r\n")] {
        let mut vaurien = Program::start(&Backend::lines(), options);
        let mut client = vaurien.connect();
        if !before.is_empty() {
            client.send(before).expect(format!("+{before}"));
        }
        client.send("b\r\n");
        let begun = Instant::now();
        ask_to_stop(&mut vaurien);
        assert_eq!(client.ending(), Ending::Reset, "{options}");
        assert_eq!(vaurien.stopped().calls("hang"), 1, "{options}");
        assert!(begun.elapsed() < GRACE, "{options}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_call_that_never_finishes_is_cut_off_after_the_grace_period() {
    let (backend, called, _tell) = slow_backend("call");
    let mut vaurien = Program::start(&backend, "");
    let (mut never, mut idle) = (vaurien.connect(), vaurien.connect());
    never.send("call");
    called.recv().unwrap();
    let begun = Instant::now();
    ask_to_stop(&mut vaurien);
    assert_eq!(idle.ending(), Ending::Closed);
    assert!(begun.elapsed() < GRACE, "an idle client waited {:?} for another", begun.elapsed());
    // A closed connection would look like the end of the reply.
    assert_eq!(never.ending(), Ending::Reset);
    assert!(begun.elapsed() >= GRACE, "{:?}", begun.elapsed());
    vaurien.stopped();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "INT"), ("INT", "INT")] {
        let (backend, called, _tell) = slow_backend("call");
        let mut vaurien = Program::start(&backend, "");
        let mut client = vaurien.connect();
        client.send("call");
        called.recv().unwrap();
        let begun = Instant::now();
        vaurien.signal(first);
        vaurien.line("stopping");
        vaurien.signal(second);
        assert_eq!(vaurien.wait(), Some(1));
        assert!(begun.elapsed() < GRACE, "{:?}", begun.elapsed());
        client.read_to_end();
    }
}

#[test]
fn the_final_counts_are_correct() {
    let backend = Backend::lines();
    let vaurien = Program::start(&backend, "--protocol redis --handler 30:delay --handler-delay-sleep 1ms --seed 3");
    for _ in 0..4 {
        let mut client = vaurien.connect();
        for _ in 0..25 {
            client.send("GET a\r\n").expect("+GET a\r\n");
        }
    }
    // Not a command: the connection turns opaque, but its bytes count as well.
    vaurien.connect().send("*x\r\n").expect("+*x\r\n");
    let counts = vaurien.stop();
    assert_eq!(counts.calls("delay") + counts.calls("dummy"), 100, "{counts:#?}");
    assert!((15..45).contains(&counts.calls("delay")), "{counts:#?}");
    let (to_backend, to_clients) = (counts.of("bytes from clients"), counts.of("bytes from backends"));
    assert_eq!((counts.of("connections"), to_backend, to_clients), (5, 100 * 7 + 4, 100 * 8 + 5));
    assert_eq!((counts.of("opaque"), counts.of("dial failures")), (1, 0));

    let vaurien = Program::start(&Backend::nobody(), "");
    for _ in 0..3 {
        assert_eq!(vaurien.connect().ending(), Ending::Reset);
    }
    let counts = vaurien.stop();
    assert_eq!((counts.of("connections"), counts.of("dial failures"), counts.calls("dummy")), (3, 3, 0));
}

#[test]
fn each_handler_of_the_mix_has_its_line() {
    let vaurien = Program::start(&Backend::lines(), "--handler 1:delay,2:error,3:blackout,4:hang");
    let counts = vaurien.stop();
    for handler in ["delay", "error", "blackout", "hang", "dummy"] {
        assert_eq!(counts.calls(handler), 0);
    }
    // Two lines for ready and stopping; the table with its header; connections, how it ended, and how to repeat it.
    assert_eq!(counts.lines.len(), 2 + 1 + 5 + 3, "{counts:#?}");
}

#[test]
fn a_call_finishes_whose_backend_is_still_being_dialled() {
    // A backend whose accept queue is full does not answer the first SYN.
    let busy = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    busy.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    busy.listen(0).unwrap();
    busy.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = busy.local_addr().unwrap().as_socket().unwrap();
    let _queued = TcpStream::connect(address).unwrap();
    let mut vaurien = Program::start_at(&address.to_string(), "");
    let before = vaurien.descriptors();
    let mut client = vaurien.connect();
    client.send("call");
    eventually("the backend is dialled", || vaurien.descriptors() == before + 2);
    ask_to_stop(&mut vaurien);
    busy.accept().unwrap();
    // The client's system repeats the SYN after a second.
    let mut backend = Client::from(TcpStream::from(busy.accept().unwrap().0));
    backend.expect("call").send("reply");
    assert_eq!(client.expect("reply").ending(), Ending::Closed);
    assert_eq!(vaurien.stopped().of("dial failures"), 0);
}

/// How long a peer pauses in the middle of a reply.
const PAUSE: Duration = Duration::from_millis(300);

#[test]
fn a_reply_whose_client_pauses_is_finished() {
    for protocol in ["tcp", "redis"] {
        for size in (1..=6).map(|size| size * 700_000) {
            let reply = format!("${size}\r\n{}\r\n", "x".repeat(size));
            let said = reply.clone();
            let backend = Backend::new(move |stream| {
                let mut stream = Client::from(stream);
                stream.read(7);
                stream.try_send(said.as_bytes());
                stream.try_read(PATIENCE);
            });
            let mut vaurien = Program::start(&backend, &format!("--protocol {protocol}"));
            let mut client = vaurien.connect();
            client.send("GET k\r\n").expect("$");
            ask_to_stop(&mut vaurien);
            std::thread::sleep(PAUSE);
            assert!(client.read(reply.len() - 1) == reply.as_bytes()[1..], "{protocol}, {size}");
            vaurien.stopped();
        }
    }
}

#[test]
fn a_reply_whose_backend_pauses_is_finished() {
    let backend = Backend::new(|stream| {
        let mut stream = Client::from(stream);
        stream.read(4);
        for part in ["one ", "two ", "three"] {
            stream.send(part);
            std::thread::sleep(PAUSE);
        }
        stream.ending();
    });
    let mut vaurien = Program::start(&backend, "");
    let mut client = vaurien.connect();
    client.send("call").expect("one ");
    ask_to_stop(&mut vaurien);
    assert_eq!(client.read_to_end(), (b"two three".to_vec(), Ending::Closed));
    vaurien.stopped();
}
