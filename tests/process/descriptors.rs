//! Out of descriptors, the program keeps its connections, logs it once, and accepts more clients when descriptors are
//! free.

use std::time::Duration;

use crate::world::{Backend, Client, Program, eventually};

/// More clients than fit into 40 descriptors.
const CLIENTS: usize = 40;

/// Processor time is measured over this period.
const MEASURED: Duration = Duration::from_secs(1);

/// Asserts that this is no more processor time than an idle program uses.
#[track_caller]
fn assert_idle(used: Duration) {
    assert!(used < MEASURED / 4, "{used:?} of {MEASURED:?}");
}

fn said(lines: &[String], what: &str) -> usize {
    lines.iter().filter(|line| line.contains(what)).count()
}

#[test]
fn clients_that_do_not_fit_wait_until_others_leave() {
    // An even and an odd number: no client may be accepted with only one descriptor left, which has no backend.
    for limit in [40, 41] {
        let mut vaurien = Program::start_with_descriptors(limit, &Backend::echo(), "");
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| vaurien.connect()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("{number:04}"));
        }
        vaurien.line("cannot accept");
        clients[0].expect("0000").send("more").expect("more");
        assert!(clients[CLIENTS - 1].is_silent());
        for (number, mut client) in clients.into_iter().enumerate().skip(1) {
            client.expect(format!("{number:04}"));
        }
        vaurien.line("accepting again");
        vaurien.connect().send("last").expect("last");
        let counts = vaurien.stop();
        // Not for each client; but the last one may come while those before it still leave.
        let (refused, accepted) = (said(&counts.lines, "cannot accept"), said(&counts.lines, "accepting again"));
        assert!(refused == accepted && matches!(refused, 1 | 2), "{counts:#?}");
        assert_eq!((counts.of("connections"), counts.of("dial failures")), (CLIENTS as u64 + 1, 0));
        assert_eq!(counts.calls("dummy"), CLIENTS as u64 + 2);
    }
}

#[test]
fn descriptors_used_by_others_are_waited_for_as_well() {
    let mut vaurien = Program::start(&Backend::echo(), "");
    let mut before = vaurien.connect();
    before.send("before").expect("before");
    let process = i32::try_from(vaurien.pid()).unwrap();
    let limit = |descriptors| {
        rlimit::prlimit(process, rlimit::Resource::NOFILE, Some((descriptors, 20_000)), None).unwrap();
    };
    limit(vaurien.next_descriptor());
    let mut waiting = vaurien.connect();
    waiting.send("waiting");
    vaurien.line("Too many open files");
    let used = vaurien.processor_time();
    std::thread::sleep(MEASURED);
    assert_idle(vaurien.processor_time().saturating_sub(used));
    before.send("still").expect("still");
    limit(20_000);
    waiting.expect("waiting");
    vaurien.line("accepting again");
    assert_eq!(said(&vaurien.stop().lines, "cannot accept"), 1);
}

#[test]
fn waiting_for_descriptors_takes_no_processor_time() {
    let mut vaurien = Program::start_with_descriptors(40, &Backend::echo(), "");
    let clients: Vec<Client> = (0..CLIENTS).map(|_| vaurien.connect()).collect();
    vaurien.line("cannot accept");
    let used = vaurien.processor_time();
    std::thread::sleep(MEASURED);
    assert_idle(vaurien.processor_time().saturating_sub(used));
    drop(clients);
    vaurien.stop();
}

#[test]
fn leaving_clients_are_noticed_without_free_descriptors() {
    for handler in ["hang", "delay --handler-delay-sleep 1h"] {
        let mut vaurien = Program::start_with_descriptors(40, &Backend::echo(), &format!("--handler {handler}"));
        let before = vaurien.descriptors();
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| vaurien.connect()).collect();
        vaurien.line("cannot accept");
        for client in &mut clients {
            client.send("call");
        }
        drop(clients);
        eventually("all descriptors are closed", || vaurien.descriptors() <= before);
    }
}
