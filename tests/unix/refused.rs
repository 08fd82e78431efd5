//! What stands where a proxy is to listen.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Command;
use std::thread::ScopedJoinHandle;

use super::world::program::assert_complains;
use super::world::{Program, eventually};
use super::{Folder, lines, start};

/// Asserts that no proxy listens there, for this reason.
#[track_caller]
fn assert_refused(folder: &Folder, name: &str, why: &str) {
    let at = folder.at(name);
    assert_complains(&format!("--proxy {at} --backend localhost:1"), 1, &[&format!("cannot listen on {at}: {why}")]);
}

fn mkfifo(folder: &Folder, name: &str) {
    assert!(Command::new("mkfifo").arg(folder.path(name)).status().unwrap().success());
}

#[test]
fn what_is_no_socket_stays() {
    let folder = Folder::new();
    fs::write(folder.path("file"), "mine").unwrap();
    assert_refused(&folder, "file", "a file is there: remove it, or give another `proxy`");
    assert_eq!(fs::read_to_string(folder.path("file")).unwrap(), "mine");

    fs::create_dir(folder.path("directory")).unwrap();
    assert_refused(&folder, "directory", "a directory is there: remove it, or give another `proxy`");
    assert!(folder.path("directory").is_dir());

    symlink("nowhere", folder.path("link")).unwrap();
    assert_refused(&folder, "link", "a symbolic link is there: remove it, or give another `proxy`");
    assert!(folder.path("link").is_symlink());

    mkfifo(&folder, "fifo");
    assert_refused(&folder, "fifo", "something else is there: remove it, or give another `proxy`");
    assert!(folder.has("fifo"));
}

#[test]
fn a_socket_on_which_somebody_listens_stays() {
    let folder = Folder::new();
    let why = "somebody listens there already: give another `proxy`";
    let _theirs = UnixListener::bind(folder.path("theirs")).unwrap();
    assert_refused(&folder, "theirs", why);
    assert!(folder.is_served("theirs"));

    let backend = folder.serve("backend", lines);
    let vaurien = start(&folder.at("ours"), &backend, "");
    assert_refused(&folder, "ours", why);
    folder.connect("ours").send("a\r\n").expect("+a\r\n");
    vaurien.stop();
    assert!(!folder.has("ours"));

    // Nobody can connect to it, and it is no socket that was left.
    let _datagrams = UnixDatagram::bind(folder.path("datagrams")).unwrap();
    let why = "a socket is there (Protocol wrong type for socket (os error 91)): remove it, or give another `proxy`";
    assert_refused(&folder, "datagrams", why);
    assert!(folder.has("datagrams"));
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    drop(UnixListener::bind(folder.path("left")).unwrap());
    assert!(folder.has("left") && !folder.is_served("left"));
    let mut vaurien = start(&folder.at("left"), &backend, "");
    folder.connect("left").send("a\r\n").expect("+a\r\n");
    // Killed, it leaves its own.
    vaurien.signal("KILL");
    assert_eq!(vaurien.wait(), None);
    assert!(folder.has("left") && !folder.is_served("left"));
    let vaurien = start(&folder.at("left"), &backend, "");
    folder.connect("left").send("b\r\n").expect("+b\r\n");
    vaurien.stop();
    assert!(!folder.has("left"));
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let folder = Folder::new();
    let none = folder.path("none");
    assert_refused(&folder, "none/proxy", &format!("there is no directory `{}`", none.display()));
}

#[test]
fn two_that_start_at_once_do_not_take_one_path() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    mkfifo(&folder, "left.fifo");
    for _ in 0..5 {
        drop(UnixListener::bind(folder.path("left")).unwrap());
        let ended = std::thread::scope(|scope| {
            let run = || {
                let mut command =
                    Program::command(&format!("--proxy {} --backend {backend} -- sh -c", folder.at("left")));
                // It ends once the test has opened the pipe as well.
                command.arg("cat ${VAURIEN_PROXY#unix:}.fifo");
                Program::run(&mut command).code
            };
            let both = [scope.spawn(run), scope.spawn(run)];
            eventually("one of them is refused", || both.iter().any(ScopedJoinHandle::is_finished));
            fs::write(folder.path("left.fifo"), "").unwrap();
            both.map(|one| one.join().unwrap())
        });
        let mut ended = ended.map(Option::unwrap);
        ended.sort_unstable();
        assert_eq!(ended, [0, 125]);
        assert!(!folder.has("left"));
    }
}
