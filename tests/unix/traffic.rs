//! Bytes, and how connections end.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::world::client::Ending;
use super::world::{Backend, Client, Program, eventually, noise};
use super::{Folder, connect, lines, start};

/// The ways in which bytes move: copied, by turns, by calls.
const WAYS: [&str; 3] = [
    "--handler dummy",
    "--handler delay --handler-delay-sleep 0",
    "--protocol redis --handler delay --handler-delay-sleep 0",
];

/// What is a Unix socket: the listener, the backend.
const SIDES: [(bool, bool); 3] = [(false, true), (true, false), (true, true)];

/// The program between a client and a backend, each on a Unix socket or on TCP.
struct World {
    folder: Folder,
    vaurien: Program,
}

impl World {
    fn new(
        (listens, dials): (bool, bool),
        options: &str,
        serve: impl Fn(Client) + Clone + Send + Sync + 'static,
    ) -> Self {
        let folder = Folder::new();
        let backend = if dials {
            folder.serve("backend", serve)
        } else {
            Backend::new(move |stream| serve(stream.into())).address().to_string()
        };
        let proxy = if listens { folder.at("proxy") } else { "127.0.0.1:0".to_owned() };
        let vaurien = start(&proxy, &backend, options);
        Self { folder, vaurien }
    }

    fn connect(&self) -> Client {
        if self.folder.has("proxy") { self.folder.connect("proxy") } else { self.vaurien.connect() }
    }
}

#[test]
fn sixty_four_mebibytes_pass_in_both_directions() {
    let bytes = noise(1, 64 << 20);
    let echo = |client: Client| {
        let mut stream = client.stream();
        let _ = std::io::copy(&mut stream, &mut client.stream());
    };
    for sides in SIDES {
        let world = World::new(sides, "", echo);
        let (got, ending) = world.connect().send_while_reading(&bytes);
        assert!(got == bytes, "{sides:?}: {} bytes", got.len());
        assert_eq!(ending, Ending::Closed);
        assert_eq!(world.vaurien.stop().of("connection"), 1);
    }
}

#[test]
fn either_side_may_close_its_direction_and_go_on_in_the_other() {
    for sides in SIDES {
        for way in WAYS {
            let (tell, told) = channel();
            let world = World::new(sides, way, move |mut stream| {
                stream.expect("PING\r\n").send("+bye\r\n").half_close();
                tell.send(stream.read_to_end()).unwrap();
            });
            let mut client = world.connect();
            assert_eq!(
                client.send("PING\r\n").read_to_end(),
                (b"+bye\r\n".to_vec(), Ending::Closed),
                "{sides:?} {way}"
            );
            client.send("and more\r\n").half_close();
            assert_eq!(told.recv().unwrap(), (b"and more\r\n".to_vec(), Ending::Closed), "{sides:?} {way}");

            let (tell, told) = channel();
            let world = World::new(sides, way, move |mut stream| {
                let got = stream.read_to_end();
                stream.send("+late\r\n");
                tell.send(got).unwrap();
            });
            let mut client = world.connect();
            let got = client.send("PING\r\n").half_close().read_to_end();
            assert_eq!(got, (b"+late\r\n".to_vec(), Ending::Closed), "{sides:?} {way}");
            assert_eq!(told.recv().unwrap(), (b"PING\r\n".to_vec(), Ending::Closed), "{sides:?} {way}");
        }
    }
}

#[test]
fn a_client_that_leaves_is_noticed_and_one_that_half_closes_stays() {
    // With what a client takes: its own descriptor, and that of its connection to the backend.
    for (handler, each) in [("hang", 1), ("delay --handler-delay-sleep 1h", 2)] {
        let world = World::new((true, true), &format!("--handler {handler}"), lines);
        let open = world.vaurien.descriptors();
        let mut client = world.connect();
        client.send("and now I wait\r\n").half_close();
        let mut gone = world.connect();
        gone.send("and I do not\r\n");
        eventually("two clients are held", || world.vaurien.descriptors() == open + 2 * each);
        drop(gone);
        eventually("one client is held", || world.vaurien.descriptors() == open + each);
        assert!(client.is_silent());
        drop(client);
        eventually("no client is held", || world.vaurien.descriptors() == open);
    }
}

#[test]
fn a_client_that_leaves_ends_the_dial_as_well() {
    let folder = Folder::new();
    let full = Full::new(&folder, "backend");
    let vaurien = start(&folder.at("proxy"), &folder.at("backend"), "--connect-timeout 1h");
    let open = vaurien.descriptors();
    let client = folder.connect("proxy");
    eventually("the client is accepted", || vaurien.descriptors() > open);
    drop(client);
    eventually("it is not waited for", || vaurien.descriptors() == open);
    drop(full);
}

#[test]
fn a_reset_is_an_end_of_file_on_a_unix_socket() {
    // Over TCP the client would read a reset. Here it does only where something of its own was not read.
    let world = World::new((true, true), "--handler reset", lines);
    assert_eq!(world.connect().ending(), Ending::Closed);
    // A backend that is reset by its system is one that ends: no byte of what follows reaches the client.
    let world = World::new((true, false), "", |mut stream| {
        stream.expect("PING\r\n").send("+half of");
        stream.expect("PING\r\n");
        stream.reset();
    });
    let mut client = world.connect();
    client.send("PING\r\n").expect("+half of").send("PING\r\n");
    assert_eq!(client.ending(), Ending::Closed);
    // The other way round the client of a TCP socket reads a reset where the backend left bytes unread.
    let world = World::new((false, true), "", |mut stream| {
        stream.expect("PING\r\n").send("+half of");
        eventually("there is something that it has not read", || !stream.is_silent());
    });
    let mut client = world.connect();
    client.send("PING\r\n").expect("+half of").send("unread\r\n");
    assert_eq!(client.ending(), Ending::Reset);
}

#[test]
fn connections_are_numbered_in_the_order_in_which_they_were_made() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    let vaurien = start(&folder.at("proxy"), &backend, "--workers 2 --http --http-port 0");
    let mut clients = Vec::new();
    for number in 1..=20 {
        let mut client = folder.connect("proxy");
        client.send(format!("{number}\r\n")).expect(format!("+{number}\r\n"));
        clients.push(client);
        // All of them have sent as many bytes as their number tells apart: the one made last has the highest number.
        let listed = vaurien.api().get("/v1/proxies/default/connections").json();
        let listed = listed["connections"].as_array().unwrap();
        let ids: Vec<u64> = listed.iter().map(|one| one["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, (1..=number).collect::<Vec<_>>());
        assert!(listed.iter().all(|one| one["peer"] == "unix"), "{listed:?}");
    }
    let listed = vaurien.api().get("/v1/proxies/default/connections").json();
    let workers = listed["connections"].as_array().unwrap().iter().map(|one| one["worker"].as_u64().unwrap());
    assert!(workers.clone().any(|worker| worker == 0) && workers.clone().any(|worker| worker == 1), "both serve some");
}

#[test]
fn a_pipeline_keeps_its_order() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    let vaurien = start(
        &folder.at("proxy"),
        &backend,
        "--protocol redis --handler dummy --rule GET=>error(kind=oom,message=full) --seed 1",
    );
    let mut client = folder.connect("proxy");
    client.send("PING\r\nGET a\r\nECHO b\r\nGET c\r\n");
    client.expect("+PING\r\n-OOM full\r\n+ECHO b\r\n-OOM full\r\n").half_close();
    assert_eq!(client.ending(), Ending::Closed);
    let counts = vaurien.stop();
    assert_eq!((counts.calls("dummy"), counts.faults("rule-1.error")), (2, 2));
}

#[test]
fn the_backends_connection_goes_to_the_next_client() {
    let folder = Folder::new();
    let (tell, told) = channel();
    let backend = folder.serve("backend", move |client| {
        tell.send(()).unwrap();
        lines(client);
    });
    let vaurien = start(&folder.at("proxy"), &backend, "--protocol redis --reuse-socket");
    let open = vaurien.descriptors();
    for _ in 0..3 {
        let mut client = folder.connect("proxy");
        client.send("PING\r\n").expect("+PING\r\n").half_close();
        assert_eq!(client.ending(), Ending::Closed);
        eventually("the backend's connection is kept", || vaurien.descriptors() == open + 1);
    }
    assert_eq!(told.try_iter().count(), 1);
}

/// A listener whose queue is full, so that the system refuses at once who connects.
struct Full {
    listener: Socket,
    waiting: Vec<UnixStream>,
}

impl Full {
    fn new(folder: &Folder, name: &str) -> Self {
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        let address = SockAddr::unix(folder.path(name)).unwrap();
        listener.bind(&address).unwrap();
        listener.listen(0).unwrap();
        let mut waiting = Vec::new();
        loop {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            match socket.connect(&address) {
                Ok(()) => waiting.push(socket.into()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Self { listener, waiting },
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_backend_whose_queue_is_full_is_waited_for_as_long_as_connecting_may_take() {
    let folder = Folder::new();
    let full = Full::new(&folder, "backend");
    let mut vaurien = start(&folder.at("proxy"), &folder.at("backend"), "--connect-timeout 0.3");
    let begun = Instant::now();
    assert_eq!(folder.connect("proxy").ending(), Ending::Closed);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
    let address = folder.at("backend");
    vaurien.line(&format!("cannot reach the backend {address}: timed out"));

    drop(vaurien);
    let _vaurien = start(&folder.at("proxy"), &address, "--connect-timeout 1h");
    let mut client = folder.connect("proxy");
    client.send("hello");
    // The first of those that wait are accepted, and then ours.
    for _ in 0..full.waiting.len() {
        full.listener.accept().unwrap();
    }
    let ours = std::os::fd::OwnedFd::from(full.listener.accept().unwrap().0);
    Client::from(UnixStream::from(ours)).expect("hello").send("and back");
    client.expect("and back");
}

#[test]
fn an_error_names_the_path_of_the_backend() {
    let folder = Folder::new();
    let nowhere = folder.at("nowhere");
    let mut vaurien = start("127.0.0.1:0", &nowhere, "");
    assert_eq!(vaurien.connect().ending(), Ending::Reset);
    vaurien.line(&format!("cannot reach the backend {nowhere}: No such file or directory"));
    drop(vaurien);
    // A file that nobody listens on is there.
    drop(std::os::unix::net::UnixListener::bind(folder.path("nowhere")).unwrap());
    let mut vaurien = start("127.0.0.1:0", &nowhere, "");
    assert_eq!(vaurien.connect().ending(), Ending::Reset);
    vaurien.line(&format!("cannot reach the backend {nowhere}: Connection refused"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_name_in_the_abstract_namespace_serves_on_either_side() {
    let name = format!("@vaurien-test-{}", std::process::id());
    let (proxy, backend) = (format!("unix:{name}-proxy"), format!("unix:{name}-backend"));
    let folder = Folder::new();
    let behind = folder.serve("backend", lines);
    let second = start(&backend, &behind, "");
    let first = start(&proxy, &backend, "");
    let address = SockAddr::unix(format!("\0{}-proxy", &name[1..])).unwrap();
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.connect(&address).unwrap();
    let mut client = Client::from(UnixStream::from(std::os::fd::OwnedFd::from(socket)));
    client.send("PING\r\n").expect("+PING\r\n").half_close();
    assert_eq!(client.ending(), Ending::Closed);
    super::world::program::assert_complains(
        &format!("--proxy {proxy} --backend {backend}"),
        1,
        &[&format!("cannot listen on {proxy}: somebody listens there already: give another `proxy`")],
    );
    assert_eq!((first.stop().of("connection"), second.stop().of("connection")), (1, 1));
}

#[test]
fn a_relative_path_starts_at_the_working_directory() {
    let folder = Folder::new();
    folder.serve("backend", lines);
    let mut command = Program::command("--proxy unix:proxy --backend unix:./backend");
    let vaurien = Program::spawn(command.current_dir(folder.0.path()));
    connect(&folder.path("proxy")).send("PING\r\n").expect("+PING\r\n");
    vaurien.stop();
    assert!(!folder.has("proxy"));
}
