//! Each end of a connection is passed on as what it is: `close_notify`, an end of file without it, a reset.

use std::sync::mpsc::{Receiver, channel};

use super::certificates::{Certificates, LOCAL, signed};
use super::peer::{Backend, client};
use super::world::client::Ending;
use super::world::{self, Client};

/// The ways in which bytes move: copied, by turns, by calls.
const WAYS: [&str; 3] = [
    "--handler dummy",
    "--handler delay --handler-delay-sleep 0",
    "--protocol redis --handler delay --handler-delay-sleep 0",
];

/// Those with TLS 1.3, and one with TLS 1.2: the setting of either side, and the way.
const CASES: [(&str, &str); 4] = [
    ("version=TLSv1_3", WAYS[0]),
    ("version=TLSv1_3", WAYS[1]),
    ("version=TLSv1_3", WAYS[2]),
    ("version=TLSv1_2", WAYS[0]),
];

/// Steps that end a connection, what the other side sees of them within TLS, and what it sees without.
const ENDS: [(&str, &str, Ending); 3] = [
    ("close_notify fin", "close_notify, fin", Ending::Closed),
    ("fin", "fin", Ending::Closed),
    ("reset", "reset", Ending::Reset),
];

const TO_BACKEND: &str = "--backend-ca @ca.pem";
const TO_CLIENT: &str = "--tls auto --tls-dir @own";

/// What a client and a backend see that take these steps, with TLS on both sides.
#[track_caller]
fn both(certificates: &Certificates, case: (&str, &str), of_client: &str, of_backend: &str) -> [Vec<String>; 2] {
    let (version, way) = case;
    let backend = Backend::start(certificates, &format!("{version} {of_backend}"));
    let vaurien = certificates.start(backend.address(), &format!("{TO_BACKEND} {TO_CLIENT} {way}"));
    let seen = client(certificates, vaurien.address(), &format!("{version} {of_client}"));
    [seen, backend.saw()]
}

/// A backend without TLS that replies `+PONG` to a line and runs `then`, whose result the receiver gets.
fn plain<T: Send + 'static>(then: impl Fn(Client) -> T + Send + Sync + 'static) -> (world::Backend, Receiver<T>) {
    let (tell, told) = channel();
    let backend = world::Backend::new(move |stream| {
        let mut client = Client::from(stream);
        client.expect("PING\r\n").send("+PONG\r\n");
        tell.send(then(client)).unwrap();
    });
    (backend, told)
}

#[test]
#[ignore = "needs python3 and openssl; tests/run.sh installs them"]
fn a_client_sees_how_its_backend_ends() {
    let certificates = signed(LOCAL);
    for (case, (end, seen, _)) in CASES.into_iter().flat_map(|case| ENDS.map(|end| (case, end))) {
        // Between two calls, and within a reply.
        for (ask, answer) in [
            ("send=PING\\n expect=+PONG\\n", "expect=PING\\n send=+PONG\\n"),
            ("send=PING\\n expect=+PO", "expect=PING\\n send=+PO"),
        ] {
            let [saw, _] = both(&certificates, case, &format!("{ask} end"), &format!("{answer} {end}"));
            assert_eq!(saw, [seen], "{case:?}: {answer} {end}");
        }
    }
}

#[test]
#[ignore = "needs python3 and openssl; tests/run.sh installs them"]
fn a_backend_sees_how_its_client_ends() {
    let certificates = signed(LOCAL);
    for (case, (end, seen, _)) in CASES.into_iter().flat_map(|case| ENDS.map(|end| (case, end))) {
        for reply in ["+PONG\\n", "+PO"] {
            let of_client = format!("send=PING\\n expect={reply} {end}");
            let [_, saw] = both(&certificates, case, &of_client, &format!("expect=PING\\n send={reply} end"));
            assert_eq!(saw, [seen], "{case:?}: {reply} {end}");
        }
    }
}

#[test]
#[ignore = "needs python3 and openssl; tests/run.sh installs them"]
fn either_side_may_be_without_tls() {
    let certificates = signed(LOCAL);
    for (way, (end, seen, ending)) in WAYS.into_iter().flat_map(|way| ENDS.map(|end| (way, end))) {
        // A client within TLS ends, and its backend sees it.
        let (backend, told) = plain(|mut client| client.ending());
        let vaurien = certificates.start(backend.address(), &format!("{TO_CLIENT} {way}"));
        client(&certificates, vaurien.address(), &format!("send=PING\\n expect=+PONG\\n {end}"));
        assert_eq!(told.recv().unwrap(), ending, "{way}: {end}");

        // A backend within TLS does, and its client sees it.
        let backend = Backend::start(&certificates, &format!("expect=PING\\n send=+PONG\\n {end}"));
        let vaurien = certificates.start(backend.address(), &format!("{TO_BACKEND} {way}"));
        assert_eq!(vaurien.connect().send("PING\r\n").expect("+PONG\r\n").ending(), ending, "{way}: {end}");

        // One without TLS has no end of file that is not meant.
        if end == "fin" {
            continue;
        }
        let (backend, _) = plain(move |client| {
            if ending == Ending::Reset {
                client.reset();
            }
        });
        let vaurien = certificates.start(backend.address(), &format!("{TO_CLIENT} {way}"));
        let saw = client(&certificates, vaurien.address(), "send=PING\\n expect=+PONG\\n end");
        assert_eq!(saw, [seen], "{way}: {end}");

        let backend = Backend::start(&certificates, "expect=PING\\n send=+PONG\\n end");
        let vaurien = certificates.start(backend.address(), &format!("{TO_BACKEND} {way}"));
        let mut client = vaurien.connect();
        client.send("PING\r\n").expect("+PONG\r\n");
        if ending == Ending::Reset {
            client.reset();
        } else {
            drop(client);
        }
        assert_eq!(backend.saw(), [seen], "{way}: {end}");
    }
}

#[test]
#[ignore = "needs python3 and openssl; tests/run.sh installs them"]
fn either_side_may_end_and_read_on() {
    let certificates = signed(LOCAL);
    for case in CASES {
        for (of_client, of_backend) in [
            // Its socket stays open.
            ("send=PING\\n close_notify expect=+late\\n end fin", "expect=PING\\n end send=+late\\n close_notify fin"),
            ("send=PING\\n close_notify fin expect=+late\\n end", "expect=PING\\n end send=+late\\n close_notify fin"),
            (
                "send=PING\\n expect=+bye\\n end send=more\\n close_notify fin",
                "expect=PING\\n send=+bye\\n close_notify expect=more\\n end fin",
            ),
        ] {
            let seen = both(&certificates, case, of_client, of_backend);
            assert_eq!(seen, [["close_notify, fin"]; 2], "{case:?}: {of_client}");
        }
    }
}

#[test]
#[ignore = "needs python3 and openssl; tests/run.sh installs them"]
fn what_comes_in_one_piece_with_the_handshake_is_not_lost() {
    let certificates = signed(LOCAL);
    for case in CASES {
        for (of_client, of_backend) in [
            // The first call comes with the end of the client's handshake, and then the client's end as well.
            ("hold send=PING\\n flush expect=+PONG\\n end", "expect=PING\\n send=+PONG\\n close_notify fin"),
            (
                "hold send=PING\\n close_notify flush fin expect=+PONG\\n end",
                "hold expect=PING\\n send=+PONG\\n close_notify flush fin",
            ),
            // What a backend says first comes with the end of its handshake.
            (
                "expect=+hello\\n send=PING\\n expect=+PONG\\n end",
                "hold send=+hello\\n flush expect=PING\\n send=+PONG\\n close_notify fin",
            ),
        ] {
            let [saw, _] = both(&certificates, case, of_client, of_backend);
            assert_eq!(saw, ["close_notify, fin"], "{case:?}: {of_client}");
        }
    }
}

#[test]
#[ignore = "needs python3 and openssl; tests/run.sh installs them"]
fn handlers_end_connections_behind_the_handshake() {
    const PING: &str = "send=PING\\n";
    let certificates = signed(LOCAL);
    for version in ["TLSv1_2", "TLSv1_3"] {
        for (handler, steps, seen) in [
            // Before any byte.
            ("blackout", String::new(), "close_notify, fin"),
            ("reset", String::new(), "reset"),
            ("hang(for=10ms)", PING.to_owned(), "close_notify, fin"),
            ("abort", PING.to_owned(), "close_notify, fin"),
            ("abort(reset=true)", PING.to_owned(), "reset"),
            ("cut(after=3,how=close)", format!("{PING} expect=+PI"), "close_notify, fin"),
            ("cut(after=3,how=reset)", format!("{PING} expect=+PI"), "reset"),
        ] {
            let backend = world::Backend::lines();
            let options = format!("{TO_CLIENT} --protocol redis --handler {handler}");
            let vaurien = certificates.start(backend.address(), &options);
            let saw = client(&certificates, vaurien.address(), &format!("version={version} {steps} end"));
            assert_eq!(saw, [seen], "{version} {handler}");
            let name = handler.split('(').next().unwrap();
            assert_eq!(vaurien.stop().faults(name), 1, "{version} {handler}");
        }
    }
}
