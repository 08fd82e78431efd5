//! Gibibytes of random bytes arrive whole, past peers that read slowly, stop, say their last byte early, or die.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

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

/// Options that let everything pass, and how requests and replies are framed there.
type Way<'a> = (&'a str, [Frame; 2]);

/// What stands before and behind a message's random bytes.
type Frame = [&'static str; 2];

const TCP: [Frame; 2] = [["", ""], ["", ""]];
const REDIS: [Frame; 2] = [["*2\r\n$4\r\nECHO\r\n$LEN\r\n", "\r\n"], ["$LEN\r\n", "\r\n"]];
const HTTP: [Frame; 2] = [
    ["POST / HTTP/1.1\r\nHost: here\r\nContent-Length: LEN\r\n\r\n", ""],
    ["HTTP/1.1 200 OK\r\nContent-Length: LEN\r\n\r\n", ""],
];

/// The copy path, and all that are framed.
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
    says: Script,
    hears: Script,
}

impl Peer {
    /// Dies when it has said so many bytes, and heard so many at the most; how many it has said.
    fn die(self, [said, heard]: [usize; 2], resets: bool) -> usize {
        let Self { socket, mut says, mut hears } = self;
        thread::scope(|scope| {
            let stream = socket.stream();
            scope.spawn(move || hears.hear(stream, heard).unwrap());
            says.say(stream, said).unwrap();
            // Wakes the one that hears, and nobody else notices.
            stream.shutdown(Shutdown::Read).unwrap();
        });
        if resets {
            socket.reset();
        }
        says.passed()
    }

    /// Goes on until it hears the end, and how much it has heard before.
    fn survive(self) -> usize {
        let Self { socket, mut says, mut hears } = self;
        let until_gone = |how: io::Result<()>| match how.map_err(|error| error.kind()) {
            Ok(()) | Err(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            Err(kind) => panic!("{kind}"),
        };
        thread::scope(|scope| {
            let stream = socket.stream();
            scope.spawn(move || until_gone(says.say(stream, usize::MAX)));
            let heard = scope.spawn(move || {
                until_gone(hears.hear(stream, usize::MAX));
                hears.passed()
            });
            heard.join().unwrap()
        })
    }
}

/// Both say and hear everything at once.
fn talk(one: &mut Peer, other: &mut Peer) {
    thread::scope(|scope| {
        scope.spawn(|| one.says.say_all(one.socket.stream()));
        scope.spawn(|| one.hears.hear_all(one.socket.stream()));
        scope.spawn(|| other.says.say_all(other.socket.stream()));
        scope.spawn(|| other.hears.hear_all(other.socket.stream()));
    });
}

/// One says all that it has left to say, and the other, who says nothing meanwhile, hears it.
fn tell(one: &mut Peer, other: &mut Peer) {
    thread::scope(|scope| {
        scope.spawn(|| one.says.say_all(one.socket.stream()));
        other.hears.hear_all(other.socket.stream());
    });
}

/// One has begun to say something, and the other has heard enough to answer.
fn begin(one: &mut Peer, other: &mut Peer) {
    thread::scope(|scope| {
        scope.spawn(|| one.says.say(one.socket.stream(), 3 * MAX_HEAD).unwrap());
        other.hears.hear(other.socket.stream(), 2 * MAX_HEAD).unwrap();
    });
}

/// The program, and peers on both sides of it.
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

    /// A client and its backend, with messages of these sizes to say to each other.
    fn peers(&self, random: &mut impl Rng, sizes: &[usize]) -> (Peer, Peer) {
        let client = self.vaurien.connect();
        let backend = Client::from(self.served.recv_timeout(PATIENCE).unwrap());
        let seeds: [u64; 2] = random.random();
        let text = |text: &str, len: usize| Part::Text(text.replace("LEN", &len.to_string()));
        let [request, reply] = self.way.1;
        let request = |len: &usize| {
            let [head, tail] = request.map(|frame| text(frame, *len));
            // As by a server, a short one is answered when it is there, and a long one as soon as it is understood.
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
            says: Script::new(seeds[0], requests.clone(), || true),
            hears: Script::new(seeds[1], replies.clone(), || true),
        };
        let backend = Peer {
            socket: backend,
            says: Script::new(seeds[1], replies, move || called.recv_timeout(PATIENCE).is_ok()),
            hears: Script::new(seeds[0], requests, move || {
                // It hears on when it no longer answers.
                let _ = call.send(());
                true
            }),
        };
        (client, backend)
    }

    /// Of its connections nothing is left, and all their messages were told apart.
    fn close(self) -> Counts {
        eventually("the descriptors are back", || self.vaurien.descriptors() == self.open);
        let counts = self.vaurien.stop();
        assert_eq!((counts.of("opaque"), counts.of("dial failures")), (0, 0), "{}", self.way.0);
        counts
    }

    /// The same, and what these have said was counted: so many messages each way.
    fn close_after(self, talks: &[(Peer, Peer)], messages: usize) {
        let (options, frames) = self.way;
        let counts = self.close();
        let said: usize = talks.iter().map(|(client, _)| client.says.passed()).sum();
        let answered: usize = talks.iter().map(|(_, backend)| backend.says.passed()).sum();
        let passed = [counts.of("bytes from clients"), counts.of("bytes from backends")];
        assert_eq!(passed, [said as u64, answered as u64], "{options}");
        // A call of `tcp` is a turn, and of those there are as many as it happens.
        if frames != TCP {
            let handlers = ["delay", "dummy"].into_iter().filter(|handler| options.contains(handler));
            assert_eq!(handlers.map(|handler| counts.calls(handler)).sum::<u64>(), messages as u64, "{options}");
        }
    }
}

/// Where all that is random comes from: something else each time, unless the variable `SEED` says what. A test that fails
/// shows what it has printed.
fn random() -> ChaCha8Rng {
    let seed = std::env::var("SEED").map_or_else(|_| RandomState::new().hash_one(()), |seed| seed.parse().unwrap());
    eprintln!("SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

/// A number of 1 to 2^`bits`, of any magnitude as likely as of any other.
fn size(random: &mut impl Rng, bits: u32) -> usize {
    let bits = random.random_range(0..bits);
    random.random_range(1 << bits..=2 << bits)
}

/// Sizes of messages, from a byte to 32 MiB, `len` or more in all.
fn sizes(random: &mut impl Rng, len: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < len {
        sizes.push(size(random, 25));
    }
    sizes
}

#[test]
fn gibibytes_pass_whole_in_both_directions_at_once_also_where_one_reads_slowly() {
    let mut random = random();
    // So many bytes each way.
    for (way, len) in WAYS.into_iter().zip([2 * GIB, GIB / 4, GIB / 4, GIB / 4, GIB / 4]) {
        let passage = Passage::open(way);
        let sizes = [(); 3].map(|()| sizes(&mut random, len / 3 + 1));
        let mut talks = sizes.each_ref().map(|sizes| passage.peers(&mut random, sizes));
        talks[1].0.hears.hear_slowly(8 * MIB);
        talks[2].1.hears.hear_slowly(8 * MIB);
        thread::scope(|scope| {
            for (client, backend) in &mut talks {
                scope.spawn(|| talk(client, backend));
            }
        });
        passage.close_after(&talks, sizes.concat().len());
    }
}

#[test]
fn a_peer_that_stops_reading_stops_one_direction_and_hears_it_whole_later() {
    let mut random = random();
    for way in WAYS {
        let passage = Passage::open(way);
        let talks = [true, false].map(|client_stops| {
            let (mut client, mut backend) = passage.peers(&mut random, &[64 * MIB]);
            begin(&mut client, &mut backend);
            begin(&mut backend, &mut client);
            let (stops, goes_on) = if client_stops { (&mut client, &mut backend) } else { (&mut backend, &mut client) };
            goes_on.says.fill(goes_on.socket.stream());
            tell(stops, goes_on);
            tell(goes_on, stops);
            (client, backend)
        });
        passage.close_after(&talks, 2);
    }
}

#[test]
fn whoever_has_said_the_last_byte_hears_the_other_to_the_end() {
    let mut random = random();
    for way in WAYS {
        let passage = Passage::open(way);
        let sizes = sizes(&mut random, 16 * MIB);
        let (mut early_client, mut late_backend) = passage.peers(&mut random, &sizes);
        tell(&mut early_client, &mut late_backend);
        tell(&mut late_backend, &mut early_client);
        let (mut late_client, mut early_backend) = passage.peers(&mut random, &[16 * MIB]);
        begin(&mut late_client, &mut early_backend);
        tell(&mut early_backend, &mut late_client);
        tell(&mut late_client, &mut early_backend);
        passage.close_after(&[(early_client, late_backend), (late_client, early_backend)], sizes.len() + 1);
    }
}

#[test]
fn whoever_outlives_the_other_has_heard_a_beginning_and_hears_an_end() {
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
                    let heard = scope.spawn(|| survives.survive());
                    scope.spawn(move || {
                        let said = dies.die(most, resets);
                        assert!(heard.join().unwrap() <= said, "more was heard than said");
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
    // So many bytes each way, or more if that takes less time than the changes.
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
                passed[0] += talks.iter().map(|(client, _)| client.says.passed()).sum::<usize>();
                passed[1] += talks.iter().map(|(_, backend)| backend.says.passed()).sum::<usize>();
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
