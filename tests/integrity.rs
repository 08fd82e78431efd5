//! Gibibytes of random bytes arrive intact past peers that read slowly, stop reading, half-close early, or die.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use vaurien::protocol::MAX_HEAD;
use world::program::Counts;
use world::script::Part;
use world::{Backend, Client, PATIENCE, Program, Script, eventually};

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// Options under which everything passes, and how requests and replies are framed with them.
type Way<'a> = (&'a str, [Frame; 2]);

/// What precedes and follows the random bytes of a message.
type Frame = [&'static str; 2];

const TCP: [Frame; 2] = [["", ""], ["", ""]];
const REDIS: [Frame; 2] = [["*2\r\n$4\r\nECHO\r\n$LEN\r\n", "\r\n"], ["$LEN\r\n", "\r\n"]];
const HTTP: [Frame; 2] = [
    ["POST / HTTP/1.1\r\nHost: here\r\nContent-Length: LEN\r\n\r\n", ""],
    ["HTTP/1.1 200 OK\r\nContent-Length: LEN\r\n\r\n", ""],
];

/// The copy path, and all framed protocols.
const WAYS: [Way<'static>; 5] = [
    ("--handler dummy", TCP),
    ("--handler delay --handler-delay-sleep 0", TCP),
    ("--protocol redis --handler dummy", REDIS),
    ("--protocol redis --handler 50:delay,50:dummy --handler-delay-sleep 0", REDIS),
    ("--protocol http --handler 50:delay,50:dummy --handler-delay-sleep 0", HTTP),
];

/// One end of a connection.
struct Peer {
    socket: Client,
    sender: Script,
    receiver: Script,
}

impl Peer {
    /// Ends after sending and receiving at most these numbers of bytes; returns how many it sent.
    fn die(self, [sent, received]: [usize; 2], resets: bool) -> usize {
        let Self { socket, mut sender, mut receiver } = self;
        thread::scope(|scope| {
            let stream = socket.stream();
            scope.spawn(move || receiver.receive(stream, received).unwrap());
            sender.send(stream, sent).unwrap();
            // Wakes the receiving thread; the peer does not notice.
            stream.shutdown(Shutdown::Read).unwrap();
        });
        if resets {
            socket.reset();
        }
        sender.passed()
    }

    /// Receives until the end; returns how many bytes it had received.
    fn survive(self) -> usize {
        let Self { socket, mut sender, mut receiver } = self;
        let until_gone = |how: io::Result<()>| match how.map_err(|error| error.kind()) {
            Ok(()) | Err(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            Err(kind) => panic!("{kind}"),
        };
        thread::scope(|scope| {
            let stream = socket.stream();
            scope.spawn(move || until_gone(sender.send(stream, usize::MAX)));
            let received = scope.spawn(move || {
                until_gone(receiver.receive(stream, usize::MAX));
                receiver.passed()
            });
            received.join().unwrap()
        })
    }
}

/// Both peers send and receive everything at once.
fn talk(one: &mut Peer, other: &mut Peer) {
    thread::scope(|scope| {
        scope.spawn(|| one.sender.send_all(one.socket.stream()));
        scope.spawn(|| one.receiver.receive_all(one.socket.stream()));
        scope.spawn(|| other.sender.send_all(other.socket.stream()));
        scope.spawn(|| other.receiver.receive_all(other.socket.stream()));
    });
}

/// One peer sends everything that it has left; the other receives and sends nothing meanwhile.
fn send_rest(one: &mut Peer, other: &mut Peer) {
    thread::scope(|scope| {
        scope.spawn(|| one.sender.send_all(one.socket.stream()));
        other.receiver.receive_all(other.socket.stream());
    });
}

/// One peer begins to send, and the other has received enough to answer.
fn begin(one: &mut Peer, other: &mut Peer) {
    thread::scope(|scope| {
        scope.spawn(|| one.sender.send(one.socket.stream(), 3 * MAX_HEAD).unwrap());
        other.receiver.receive(other.socket.stream(), 2 * MAX_HEAD).unwrap();
    });
}

/// The program, with peers on both sides.
struct Passage<'a> {
    way: Way<'a>,
    vaurien: Program,
    open: usize,
    served: Receiver<TcpStream>,
}

impl<'a> Passage<'a> {
    fn open(way: Way<'a>) -> Self {
        let (serve, served) = channel();
        let vaurien = Program::start(&Backend::new(move |stream| serve.send(stream).unwrap()), way.0);
        Self { open: vaurien.descriptors(), way, vaurien, served }
    }

    /// A client and its backend, with messages of these sizes for each other.
    fn peers(&self, random: &mut impl Rng, sizes: &[usize]) -> (Peer, Peer) {
        let client = self.vaurien.connect();
        let backend = Client::from(self.served.recv_timeout(PATIENCE).unwrap());
        let seeds: [u64; 2] = random.random();
        let text = |text: &str, len: usize| Part::Text(text.replace("LEN", &len.to_string()));
        let [request, reply] = self.way.1;
        let request = |len: &usize| {
            let [head, tail] = request.map(|frame| text(frame, *len));
            // Like a server: a short message is answered when it is complete, a long one once its head is.
            if *len <= MAX_HEAD {
                return vec![head, Part::Noise(*len), tail, Part::Turn];
            }
            vec![head, Part::Noise(MAX_HEAD), Part::Turn, Part::Noise(len - MAX_HEAD), tail]
        };
        let reply = |len: &usize| {
            let [head, tail] = reply.map(|frame| text(frame, *len));
            [Part::Turn, head, Part::Noise(*len), tail]
        };
        let requests: Vec<Part> = sizes.iter().flat_map(request).collect();
        let replies: Vec<Part> = sizes.iter().rev().flat_map(reply).collect();
        let (call, called) = channel();
        let client = Peer {
            socket: client,
            sender: Script::new(seeds[0], requests.clone(), || true),
            receiver: Script::new(seeds[1], replies.clone(), || true),
        };
        let backend = Peer {
            socket: backend,
            sender: Script::new(seeds[1], replies, move || called.recv_timeout(PATIENCE).is_ok()),
            receiver: Script::new(seeds[0], requests, move || {
                // It continues to receive after its last answer.
                let _ = call.send(());
                true
            }),
        };
        (client, backend)
    }

    /// Checks that no connection is left and that none turned opaque.
    fn close(self) -> Counts {
        eventually("all descriptors are closed", || self.vaurien.descriptors() == self.open);
        let counts = self.vaurien.stop();
        assert_eq!((counts.of("opaque"), counts.of("dial failures")), (0, 0), "{}", self.way.0);
        counts
    }

    /// Like `close`, and checks that this many messages each way were counted.
    fn close_after(self, talks: &[(Peer, Peer)], messages: usize) {
        let (options, frames) = self.way;
        let counts = self.close();
        let sent: usize = talks.iter().map(|(client, _)| client.sender.passed()).sum();
        let answered: usize = talks.iter().map(|(_, backend)| backend.sender.passed()).sum();
        let passed = [counts.of("bytes from clients"), counts.of("bytes from backends")];
        assert_eq!(passed, [sent as u64, answered as u64], "{options}");
        // A call of `tcp` is a turn, and the number of turns varies.
        if frames != TCP {
            let handlers = ["delay", "dummy"].into_iter().filter(|handler| options.contains(handler));
            assert_eq!(handlers.map(|handler| counts.calls(handler)).sum::<u64>(), messages as u64, "{options}");
        }
    }
}

/// The source of all randomness: a new seed each time, or the variable `SEED`. A failing test shows the printed seed.
fn random() -> ChaCha8Rng {
    let seed = std::env::var("SEED").map_or_else(|_| RandomState::new().hash_one(()), |seed| seed.parse().unwrap());
    eprintln!("SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

/// A number from 1 to 2^`bits`, with every magnitude equally likely.
fn size(random: &mut impl Rng, bits: u32) -> usize {
    let bits = random.random_range(0..bits);
    random.random_range(1 << bits..=2 << bits)
}

/// Sizes of messages, from one byte to 32 MiB, at least `len` bytes together.
fn sizes(random: &mut impl Rng, len: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < len {
        sizes.push(size(random, 25));
    }
    sizes
}

#[test]
fn gibibytes_pass_intact_in_both_directions_at_once_past_a_slow_reader() {
    let mut random = random();
    // Bytes each way.
    for (way, len) in WAYS.into_iter().zip([2 * GIB, GIB / 4, GIB / 4, GIB / 4, GIB / 4]) {
        let passage = Passage::open(way);
        let sizes = [(); 3].map(|()| sizes(&mut random, len / 3 + 1));
        let mut talks = sizes.each_ref().map(|sizes| passage.peers(&mut random, sizes));
        talks[1].0.receiver.receive_slowly(8 * MIB);
        talks[2].1.receiver.receive_slowly(8 * MIB);
        thread::scope(|scope| {
            for (client, backend) in &mut talks {
                scope.spawn(|| talk(client, backend));
            }
        });
        passage.close_after(&talks, sizes.concat().len());
    }
}

#[test]
fn a_peer_that_stops_reading_stops_one_direction_and_gets_it_intact_later() {
    let mut random = random();
    for way in WAYS {
        let passage = Passage::open(way);
        let talks = [true, false].map(|client_stops| {
            let (mut client, mut backend) = passage.peers(&mut random, &[64 * MIB]);
            begin(&mut client, &mut backend);
            begin(&mut backend, &mut client);
            let (stops, goes_on) = if client_stops { (&mut client, &mut backend) } else { (&mut backend, &mut client) };
            goes_on.sender.fill(goes_on.socket.stream());
            send_rest(stops, goes_on);
            send_rest(goes_on, stops);
            (client, backend)
        });
        passage.close_after(&talks, 2);
    }
}

#[test]
fn a_half_closed_peer_receives_everything() {
    let mut random = random();
    for way in WAYS {
        let passage = Passage::open(way);
        let sizes = sizes(&mut random, 16 * MIB);
        let (mut early_client, mut late_backend) = passage.peers(&mut random, &sizes);
        send_rest(&mut early_client, &mut late_backend);
        send_rest(&mut late_backend, &mut early_client);
        let (mut late_client, mut early_backend) = passage.peers(&mut random, &[16 * MIB]);
        begin(&mut late_client, &mut early_backend);
        send_rest(&mut early_backend, &mut late_client);
        send_rest(&mut late_client, &mut early_backend);
        passage.close_after(&[(early_client, late_backend), (late_client, early_backend)], sizes.len() + 1);
    }
}

#[test]
fn a_peer_whose_other_side_dies_gets_a_prefix_and_an_end() {
    const ROUNDS: usize = 10;
    const AT_ONCE: usize = 10;
    let mut random = random();
    for way in WAYS {
        let passage = Passage::open(way);
        for _ in 0..ROUNDS {
            thread::scope(|scope| {
                for _ in 0..AT_ONCE {
                    let sizes: Vec<usize> = (0..64).map(|_| size(&mut random, 17)).collect();
                    let (client, backend) = passage.peers(&mut random, &sizes);
                    let (dies, survives) = if random.random() { (client, backend) } else { (backend, client) };
                    let (most, resets) = ([(); 2].map(|()| size(&mut random, 21) - 1), random.random());
                    let received = scope.spawn(|| survives.survive());
                    scope.spawn(move || {
                        let sent = dies.die(most, resets);
                        assert!(received.join().unwrap() <= sent, "received more than was sent");
                    });
                }
            });
        }
        assert_eq!(passage.close().of("connections"), (ROUNDS * AT_ONCE) as u64);
    }
}

#[test]
fn nothing_is_lost_while_the_plan_is_changed_a_thousand_times() {
    const CHANGES: usize = 1000;
    const PLANS: [&str; 4] = ["delay", "dummy", "50:delay", "20:dummy,30:delay"];
    let mut random = random();
    // Bytes each way, or more if the changes take longer.
    for (protocol, frames, len) in [("tcp", TCP, 2 * GIB), ("redis", REDIS, GIB / 8), ("http", HTTP, GIB / 8)] {
        let options = format!("--protocol {protocol} --http --http-port 0 --handler-delay-sleep 0");
        let passage = Passage::open((&options, frames));
        let (api, changes, over) = (passage.vaurien.api(), AtomicUsize::new(0), AtomicBool::new(false));
        let mut passed = [0; 2];
        let mut messages = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                for plan in PLANS.iter().cycle() {
                    let reply = api.patch("/v1/proxies/default", &format!("{{\"handler\": \"{plan}\"}}"));
                    assert_eq!(reply.status, 200, "{reply:?}");
                    changes.fetch_add(1, Ordering::Relaxed);
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
            while passed[0] < len || changes.load(Ordering::Relaxed) < CHANGES {
                let sizes = [(); 3].map(|()| sizes(&mut random, len / 6 + 1));
                let mut talks = sizes.each_ref().map(|sizes| passage.peers(&mut random, sizes));
                thread::scope(|scope| {
                    for (client, backend) in &mut talks {
                        scope.spawn(|| talk(client, backend));
                    }
                });
                passed[0] += talks.iter().map(|(client, _)| client.sender.passed()).sum::<usize>();
                passed[1] += talks.iter().map(|(_, backend)| backend.sender.passed()).sum::<usize>();
                messages += sizes.concat().len();
            }
            over.store(true, Ordering::Relaxed);
        });
        let counts = passage.close();
        let counted = [counts.of("bytes from clients"), counts.of("bytes from backends")];
        assert_eq!(counted.map(|bytes| usize::try_from(bytes).unwrap()), passed, "{protocol}");
        if frames != TCP {
            assert_eq!(counts.calls("delay") + counts.calls("dummy"), messages as u64, "{protocol}");
        }
    }
}
