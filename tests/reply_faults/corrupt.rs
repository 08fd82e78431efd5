//! A corrupt reply: so many bytes of its data differ, in one bit each, and nothing else.

use super::world::{Client, Program};
use super::{BULK, CHUNKED, LENGTH, REQUEST, count, faults, replies, reply};

/// Where two replies differ.
fn differences(got: &[u8], sent: &[u8]) -> Vec<usize> {
    assert_eq!(got.len(), sent.len());
    (0..sent.len()).filter(|at| got[*at] != sent[*at]).collect()
}

#[test]
fn so_many_bytes_of_the_data_differ() {
    let mut header = [0; 24];
    // A binary reply with extras of 4 bytes, a key of 3 and a value of 1000.
    (header[0], header[1], header[3], header[4], header[10], header[11]) = (0x81, 0x0c, 3, 4, 3, 0xef);
    let binary = [&header[..], b"flagkey", &reply("", "")].concat();
    let get_k = [&[0x80, 0x0c, 0, 3, 0, 0, 0, 0, 0, 0, 0, 3][..], &[0; 12], b"key"].concat();
    let get = || b"get a\r\n".to_vec();
    for (protocol, request, end, before, sent) in [
        ("http", REQUEST.into(), "\r\n\r\n", LENGTH.len(), reply(LENGTH, "")),
        ("http", REQUEST.into(), "\r\n\r\n", CHUNKED.len(), reply(CHUNKED, "\r\n0\r\n\r\n")),
        ("redis", get(), "\r\n", BULK.len(), reply(BULK, "\r\n")),
        ("memcache", get(), "\r\n", 16, reply("VALUE a 0 1000\r\n", "\r\nEND\r\n")),
        ("memcache", get_k, "key", 31, binary),
    ] {
        let backend = replies(end, sent.clone());
        for bytes in [1, 10, 1000, 65_536] {
            let options = format!("--protocol {protocol} --handler corrupt --handler-corrupt-bytes {bytes}");
            let vaurien = Program::start(&backend, &format!("{options} --http --http-port 0"));
            let mut client = vaurien.connect();
            // The replies that are pipelined behind one stay in their places.
            let got = client.send(request.repeat(3)).read(3 * sent.len());
            for got in got.chunks(sent.len()) {
                let places = differences(got, &sent);
                assert_eq!(places.len(), bytes.min(1000), "{options}");
                assert!(places.iter().all(|at| (before..before + 1000).contains(at)), "{options}: {places:?}");
                assert!(places.iter().all(|at| (got[*at] ^ sent[*at]).is_power_of_two()), "{options}");
            }
            assert_eq!(faults(vaurien.api(), 3), [(); 3].map(|()| ("corrupt".to_owned(), "corrupt".to_owned())));
            assert_eq!((count(vaurien.api(), "corrupt"), vaurien.stop().calls("corrupt")), (3, 3), "{options}");
        }
    }
}

#[test]
fn the_same_seed_corrupts_the_same_bytes() {
    let sent = reply(BULK, "\r\n");
    let backend = replies("\r\n", sent.clone());
    let run = |seed| {
        let options = format!("--protocol redis --handler 50:corrupt --handler-corrupt-bytes 5 --seed {seed}");
        let vaurien = Program::start(&backend, &options);
        let ask = |client: &mut Client| client.send("GET a\r\n".repeat(20)).read(20 * sent.len());
        let got = ask(&mut vaurien.connect());
        (got, ask(&mut vaurien.connect()))
    };
    let (first, second) = run(7);
    assert!(run(7) == (first.clone(), second.clone()));
    assert!(first != second && run(8).0 != first);
}

#[test]
fn what_has_no_data_passes_and_is_no_fault() {
    for (protocol, request, end, reply) in [
        ("redis", "GET a\r\n", "\r\n", "$-1\r\n"),
        ("redis", "GET a\r\n", "\r\n", "*0\r\n"),
        ("memcache", "get a\r\n", "\r\n", "END\r\n"),
        ("http", REQUEST, "\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("http", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
        ("http", REQUEST, "\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ] {
        let backend = replies(end, reply.into());
        let options = format!("--protocol {protocol} --handler corrupt --http --http-port 0");
        let vaurien = Program::start(&backend, &options);
        vaurien.connect().send(request).expect(reply).send(request).expect(reply);
        assert!(faults(vaurien.api(), 0).is_empty(), "{reply}");
        assert_eq!((count(vaurien.api(), "corrupt"), vaurien.stop().calls("corrupt")), (0, 2), "{reply}");
    }
}
