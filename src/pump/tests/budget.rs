//! A connection with much to pass on leaves others their turn.

use super::*;

const MUCH: usize = 16 << 20;

#[test]
fn timers_and_ready_sockets_come_between_the_turns_of_a_busy_connection() {
    for (protocol, mix) in
        [(Protocol::Tcp, Mix::default()), (Protocol::Http, Mix::default()), (Protocol::Http, Mix::of("obey", Obey))]
    {
        // It looks for them when no task is ready.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.event_interval(u32::MAX).build().unwrap();
        let passed = runtime.block_on(async {
            let world = Options::new(protocol, 2 * MUCH).connect(&mix);
            let request = format!("POST / HTTP/1.1\r\nHost: vaurien\r\nContent-Length: {MUCH}\r\n\r\n");
            write(&world.client, &(request + &".".repeat(MUCH))).await;
            let passed = tokio::spawn(async move {
                let mut passed = vec![0; 2 * MUCH];
                // Goes on after it has looked.
                tokio::task::yield_now().await;
                (&world.backend).read(&mut passed).await.unwrap()
            });
            passed.await.unwrap()
        });
        assert!(passed < MUCH / 4, "{protocol:?}: {passed} bytes before it looked");
    }
}
