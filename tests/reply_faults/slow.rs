//! A slow reply takes at least its bytes over the rate, and lets nothing overtake it.

use std::time::{Duration, Instant};

use super::world::{Client, File, Program, eventually};
use super::{BULK, CHUNKED, LENGTH, REQUEST, count, data, faults, replies, reply};

#[test]
fn a_reply_takes_its_bytes_over_the_rate() {
    for (protocol, request, end, reply) in [
        ("http", REQUEST, "\r\n\r\n", reply(LENGTH, "")),
        ("http", REQUEST, "\r\n\r\n", reply(CHUNKED, "\r\n0\r\n\r\n")),
        ("redis", "GET a\r\n", "\r\n", reply(BULK, "\r\n")),
        ("tcp", "anything\r\n", "\r\n", data()),
    ] {
        let backend = replies(end, reply.clone());
        let options =
            format!("--protocol {protocol} --handler slow --handler-slow-rate 2KB/s --handler-slow-first 500B");
        let vaurien = Program::start(&backend, &format!("{options} --http --http-port 0"));
        let mut client = vaurien.connect();
        let begun = Instant::now();
        client.send(request).expect(&reply);
        let least = Duration::from_millis((reply.len() as u64 - 500) / 2);
        assert!(begun.elapsed() >= least, "{protocol}: {:?}", begun.elapsed());
        assert_eq!(faults(vaurien.api(), 1), [("slow".to_owned(), "slow".to_owned())], "{protocol}");
        assert_eq!((count(vaurien.api(), "slow"), vaurien.stop().calls("slow")), (1, 1), "{protocol}");
    }
}

/// A slow reply has begun, and would take for ever.
fn begin(client: &mut Client) {
    client.send("GET a\r\n").expect("$");
}

/// It arrives complete, and so does a reply to the next call.
fn ends(client: &mut Client) {
    client.expect(&reply(BULK, "\r\n")[1..]);
    client.send("GET b\r\n").expect(reply(BULK, "\r\n"));
}

#[test]
fn it_goes_on_at_once_when_the_api_replaces_the_handler() {
    let backend = replies("\r\n", reply(BULK, "\r\n"));
    let options =
        "--protocol redis --handler slow --handler-slow-rate 1B/s --handler-slow-first 1 --http --http-port 0";
    let vaurien = Program::start(&backend, options);
    let mut clients = [(); 3].map(|()| vaurien.connect());
    clients.iter_mut().for_each(begin);
    let all = vaurien.api().get("/v1/proxies/default/connections").json();
    assert!(all["connections"].as_array().unwrap().iter().all(|one| one["handler"] == "slow"), "{all}");
    assert_eq!(vaurien.api().put("/behavior", r#"{"name": "dummy"}"#).status, 200);
    clients.iter_mut().for_each(ends);
    assert_eq!(count(vaurien.api(), "slow"), 3);
}

#[test]
fn it_goes_on_at_once_when_the_file_is_read_again() {
    let backend = replies("\r\n", reply(BULK, "\r\n"));
    let address = backend.address();
    let text = |handler| {
        format!(
            "proxy = \"127.0.0.1:0\"\nbackend = \"{address}\"\nprotocol = \"redis\"\nhandler = \"{handler}\"\n\
             [handlers.slow]\nrate = \"1B/s\"\nfirst = 1\n"
        )
    };
    let file = File::new(text("slow"));
    let vaurien = file.start("");
    let mut client = vaurien.connect();
    begin(&mut client);
    file.write(text("dummy"));
    vaurien.signal("HUP");
    ends(&mut client);
}

#[test]
fn it_goes_on_at_once_when_the_program_stops() {
    let backend = replies("\r\n", reply(BULK, "\r\n"));
    for protocol in ["redis", "tcp"] {
        let options = format!("--protocol {protocol} --handler slow --handler-slow-rate 1B/s --handler-slow-first 1");
        let vaurien = Program::start(&backend, &options);
        let mut client = vaurien.connect();
        begin(&mut client);
        let begun = Instant::now();
        vaurien.signal("TERM");
        client.expect(&reply(BULK, "\r\n")[1..]);
        let counts = vaurien.stopped();
        // The grace period, which ends what does not finish by itself, is 5 seconds.
        assert!(begun.elapsed() < Duration::from_secs(5), "{protocol}: {:?}", begun.elapsed());
        assert_eq!(counts.calls("slow"), 1);
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_it_ends_it() {
    let backend = replies("\r\n", reply(BULK, "\r\n"));
    let options = "--protocol redis --handler slow --handler-slow-rate 1B/s --handler-slow-first 1";
    let vaurien = Program::start(&backend, options);
    let (mut resets, mut closes) = (vaurien.connect(), vaurien.connect());
    begin(&mut resets);
    begin(&mut closes);
    resets.reset();
    eventually("the backend is left", || backend.ended() == 1);
    drop(closes);
    eventually("the backend is left", || backend.ended() == 2);
}
