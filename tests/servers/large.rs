//! Messages larger than the memory that the daemon may use.

use super::world::servers::{memcached, redis};
use super::world::{Backend, Client, Program, noise};

/// How much the daemon may grow while a message passes, in KiB.
const GROWTH: u64 = 8 * 1024;

const GIB: usize = 1 << 30;
const MIB: usize = 1 << 20;

/// A message that is never in memory as a whole: the same block repeated. A lost, doubled or shifted block shows, since
/// its length divides no read or write size.
struct Large {
    block: Vec<u8>,
    len: usize,
}

impl Large {
    fn new(len: usize) -> Self {
        Self { block: noise(1, 1_000_003), len }
    }

    /// At least `len` bytes, in HTTP chunks.
    fn chunked(len: usize) -> Self {
        let chunk = [b"f4243\r\n".as_slice(), &noise(1, 1_000_003), b"\r\n"].concat();
        Self { len: len.div_ceil(1_000_003) * chunk.len(), block: chunk }
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let lens = (0..self.len).step_by(self.block.len()).map(|at| self.block.len().min(self.len - at));
        lens.map(|len| &self.block[..len])
    }

    fn send(&self, client: &mut Client) {
        self.pieces().for_each(|piece| _ = client.send(piece));
    }

    fn expect(&self, client: &mut Client) {
        self.pieces().for_each(|piece| assert!(client.read(piece.len()) == piece, "the message was altered"));
    }
}

/// Checks the growth of `vaurien`, which has served a call, during the calls of `pass`. At the end `handler` has had
/// `calls`.
#[track_caller]
fn assert_bounded(vaurien: Program, handler: &str, calls: u64, pass: impl FnOnce(&Program)) {
    let before = vaurien.peak_memory();
    pass(&vaurien);
    let grown = vaurien.peak_memory() - before;
    assert!(grown < GROWTH, "grown from {before} KiB by {grown} KiB");
    let counts = vaurien.stop();
    assert_eq!((counts.calls(handler), counts.of("opaque")), (calls, 0));
}

#[test]
#[ignore = "needs redis-server and 2.5 GiB of memory; tests/run.sh installs the server"]
fn a_redis_value_of_a_gibibyte_is_one_call_in_bounded_memory() {
    let redis = redis("--proto-max-bulk-len 2gb --client-query-buffer-limit 3gb");
    let vaurien = Program::start_at(&redis.address().to_string(), "--protocol redis");
    let mut client = vaurien.connect();
    client.send("PING\r\n").expect("+PONG\r\n");
    assert_bounded(vaurien, "dummy", 4, |_| {
        let value = Large::new(GIB);
        client.send(format!("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n${GIB}\r\n"));
        value.send(&mut client);
        client.send("\r\n").expect("+OK\r\n");
        client.send("GET large\r\n").expect(format!("${GIB}\r\n"));
        value.expect(&mut client);
        client.expect("\r\n").send("PING\r\n").expect("+PONG\r\n");
    });
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn a_large_memcached_item_is_one_call_in_bounded_memory() {
    const LEN: usize = 100 * MIB;
    let memcached = memcached("-m 1024 -I 128m");
    // The second and third keep the beginning of a request or reply while the rest waits.
    for options in
        ["dummy", "delay --handler-delay-sleep 10ms", "delay --handler-delay-sleep 10ms --handler-delay-before false"]
    {
        let handler = options.split(' ').next().unwrap();
        let vaurien =
            Program::start_at(&memcached.address().to_string(), &format!("--protocol memcache --handler {options}"));
        let mut client = vaurien.connect();
        client.send("mn\r\n").expect("MN\r\n");
        assert_bounded(vaurien, handler, 6, |vaurien| {
            let value = Large::new(LEN);
            client.send(format!("set large 0 0 {LEN}\r\n"));
            value.send(&mut client);
            client.send("\r\n").expect("STORED\r\n");
            client.send("get large\r\n").expect(format!("VALUE large 0 {LEN}\r\n"));
            value.expect(&mut client);
            client.expect("\r\nEND\r\n");
            client.send("mg large v\r\n").expect(format!("VA {LEN}\r\n"));
            value.expect(&mut client);
            client.expect("\r\n").send("mn\r\n").expect("MN\r\n");
            // The binary protocol's GET.
            let mut binary = vaurien.connect();
            binary.send([b"\x80\0\0\x05\0\0\0\0\0\0\0\x05".as_slice(), &[0; 12], b"large"].concat());
            assert_eq!(binary.read(28)[8..12], u32::try_from(LEN + 4).unwrap().to_be_bytes());
            value.expect(&mut binary);
        });
    }
}

#[test]
fn a_chunked_body_of_a_gibibyte_is_one_call_in_bounded_memory() {
    const POST: &str = "POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n";
    const OK: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const END: &str = "0\r\n\r\n";
    let backend = Backend::new(|stream| {
        let mut stream = Client::from(stream);
        stream.expect(POST).expect(END).send(OK).send(END);
        let body = Large::chunked(GIB);
        body.expect(stream.expect(POST));
        body.send(stream.expect(END).send(OK));
        stream.send(END).ending();
    });
    let vaurien = Program::start(&backend, "--protocol http");
    let mut client = vaurien.connect();
    client.send(POST).send(END).expect(OK).expect(END);
    assert_bounded(vaurien, "dummy", 2, |_| {
        let body = Large::chunked(GIB);
        body.send(client.send(POST));
        body.expect(client.send(END).expect(OK));
        client.expect(END);
    });
}
