//! The file of a listening socket: when it is there, and when it goes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use vaurien::{Daemon, ProxyConfig};

use super::world::client::Ending;
use super::world::{Program, eventually};
use super::{Folder, lines, start};

#[test]
fn it_is_removed_when_the_program_ends() {
    for signal in ["TERM", "INT"] {
        let folder = Folder::new();
        let backend = folder.serve("backend", lines);
        let vaurien = start(&folder.at("proxy"), &backend, "");
        folder.connect("proxy").send("a\r\n").expect("+a\r\n");
        vaurien.signal(signal);
        vaurien.stopped();
        assert!(!folder.has("proxy"), "{signal}");
        assert!(folder.is_served("backend"), "the backend's is its own");
    }
}

#[test]
fn it_goes_at_once_while_calls_have_time_to_finish() {
    let folder = Folder::new();
    let ((tell_called, called), (tell, told)) = (channel(), channel::<()>());
    let told = Arc::new(Mutex::new(told));
    let backend = folder.serve("backend", move |mut client| {
        client.expect("ask");
        tell_called.send(()).unwrap();
        let _ = told.lock().unwrap().recv();
        client.send("reply");
    });
    let vaurien = start(&folder.at("proxy"), &backend, "");
    let mut client = folder.connect("proxy");
    client.send("ask");
    called.recv().unwrap();
    vaurien.signal("TERM");
    eventually("it is removed", || !folder.has("proxy"));
    tell.send(()).unwrap();
    client.expect("reply");
    vaurien.stopped();
}

#[test]
fn it_goes_when_the_proxy_is_disabled_moved_or_removed_and_comes_back() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    let vaurien = start(&folder.at("one"), &backend, "--http --http-port 0");
    let api = vaurien.api();
    let change = |body: &str| {
        let reply = api.patch("/v1/proxies/default", body);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    assert_eq!(api.proxy("default")["status"]["addresses"][0], folder.at("one"));
    change(r#"{"enabled": false}"#);
    assert!(!folder.has("one"));
    assert!(api.proxy("default")["status"]["addresses"].as_array().unwrap().is_empty());
    change(r#"{"enabled": true}"#);
    folder.connect("one").send("a\r\n").expect("+a\r\n");
    // A path of several spellings is one.
    let spelled = format!("{}/./one", folder.at(""));
    assert_eq!(change(&format!(r#"{{"proxy": "{spelled}"}}"#))["proxy"], spelled);
    folder.connect("one").send("b\r\n").expect("+b\r\n");
    change(&format!(r#"{{"proxy": "{}"}}"#, folder.at("two")));
    assert!(!folder.has("one"));
    folder.connect("two").send("c\r\n").expect("+c\r\n");
    // From one kind to the other and back.
    change(r#"{"proxy": "127.0.0.1:0"}"#);
    assert!(!folder.has("two"));
    api.client("default").send("d\r\n").expect("+d\r\n");
    change(&format!(r#"{{"proxy": "{}"}}"#, folder.at("two")));
    folder.connect("two").send("e\r\n").expect("+e\r\n");
    // A change that fails leaves it where it is.
    fs::write(folder.path("file"), "mine").unwrap();
    let reply = api.patch("/v1/proxies/default", &format!(r#"{{"proxy": "{}"}}"#, folder.at("file")));
    assert!(reply.body.contains("a file is there: remove it, or give another `proxy`"), "{reply:?}");
    folder.connect("two").send("f\r\n").expect("+f\r\n");
    assert_eq!(api.proxy("default")["status"]["connections"]["total"], 6, "nothing else has connected");
    assert_eq!(api.delete("/v1/proxies/default").status, 204);
    assert!(!folder.has("two"));
    let made = api.put("/v1/proxies/new", &format!(r#"{{"proxy": "{}", "backend": "{backend}"}}"#, folder.at("two")));
    assert_eq!(made.status, 201, "{made:?}");
    folder.connect("two").send("g\r\n").expect("+g\r\n");
    vaurien.stop();
    assert!(!folder.has("two"));
    assert_eq!(fs::read_to_string(folder.path("file")).unwrap(), "mine");
}

#[test]
fn a_reload_moves_it_and_two_proxies_may_swap_theirs() {
    let folder = Folder::new();
    let (left, right) = (
        folder.serve("left", |mut client| _ = client.send("left")),
        folder.serve("right", |mut client| _ = client.send("right")),
    );
    let file = folder.path("vaurien.toml");
    let write = |a: &str, b: &str| {
        let proxy = |name: &str, at: &str, backend: &str| {
            format!("[proxies.{name}]\nproxy = \"{}\"\nbackend = \"{backend}\"\n", folder.at(at))
        };
        fs::write(&file, proxy("a", a, &left) + &proxy("b", b, &right)).unwrap();
    };
    write("one", "two");
    let mut vaurien = Program::spawn(Program::command("--config").arg(&file));
    let reload = |vaurien: &mut Program| {
        vaurien.signal("HUP");
        vaurien.line("reloaded");
    };
    let says = |name: &str, words: &str| {
        let got = folder.connect(name).read_to_end();
        assert_eq!(got, (words.as_bytes().to_vec(), Ending::Closed), "{name}");
    };
    says("one", "left");
    write("two", "one");
    reload(&mut vaurien);
    says("one", "right");
    says("two", "left");
    write("three", "one");
    reload(&mut vaurien);
    says("three", "left");
    assert!(!folder.has("two"));
    fs::write(&file, format!("[proxies.b]\nproxy = \"{}\"\nbackend = \"{right}\"\n", folder.at("three"))).unwrap();
    reload(&mut vaurien);
    says("three", "right");
    assert!(!folder.has("one"));
    vaurien.stop();
    assert!(!folder.has("three"));
}

#[test]
fn a_start_that_fails_leaves_none_behind() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    let _taken = UnixListener::bind(folder.path("taken")).unwrap();
    let file = folder.path("vaurien.toml");
    let proxy =
        |name: &str, at: &str| format!("[proxies.{name}]\nproxy = \"{}\"\nbackend = \"{backend}\"\n", folder.at(at));
    fs::write(&file, proxy("a", "free") + &proxy("b", "taken")).unwrap();
    let ended = Program::run(Program::command("--config").arg(&file));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.lines[0].contains("somebody listens there already"), "{ended:?}");
    assert!(!folder.has("free"));
    assert!(folder.is_served("taken"));

    // The backend does not come.
    let options = format!("--proxy {} --backend {} --wait-backend 0.2", folder.at("free"), folder.at("none"));
    let ended = Program::run(&mut Program::command(&options));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last = ended.lines.last().unwrap();
    assert!(last.contains(&format!("the backend {} did not accept a connection", folder.at("none"))), "{ended:?}");
    assert!(!folder.has("free"));
}

#[test]
fn a_wrapped_command_finds_it_and_nobody_afterwards() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    let script = "test -S ${VAURIEN_PROXY#unix:} && echo $0 $VAURIEN_PROXY ${VAURIEN_PROXY_HOST-none} ${VAURIEN_PROXY_PORT-none}";
    let mut command = Program::command(&format!("--proxy {} --backend {backend} -- sh -c", folder.at("proxy")));
    command.args([script, "{proxy}"]).env("VAURIEN_PROXY_PORT", "of another");
    let ended = Program::run(&mut command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let at = folder.at("proxy");
    assert_eq!(ended.stdout, format!("{at} {at} none none\n"));
    assert!(!folder.has("proxy"));
}

#[test]
fn its_mode_is_what_the_umask_leaves() {
    for (umask, mode) in [("022", 0o755), ("077", 0o700), ("000", 0o777)] {
        let folder = Folder::new();
        let backend = folder.serve("backend", lines);
        let script = format!("umask {umask} && exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &script,
            env!("CARGO_BIN_EXE_vaurien"),
            "--proxy",
            &folder.at("proxy"),
            "--backend",
            &backend,
        ]);
        let vaurien = Program::spawn(&mut command);
        assert_eq!(folder.path("proxy").metadata().unwrap().permissions().mode() & 0o777, mode, "{umask}");
        vaurien.stop();
    }
}

#[test]
fn one_that_another_program_has_put_there_stays() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    let vaurien = start(&folder.at("proxy"), &backend, "");
    fs::remove_file(folder.path("proxy")).unwrap();
    let _theirs = UnixListener::bind(folder.path("proxy")).unwrap();
    vaurien.stop();
    assert!(folder.is_served("proxy"));
}

#[test]
fn a_daemon_within_a_test_removes_it_when_it_is_dropped() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProxyConfig::new(folder.at("proxy"), backend).unwrap();
    runtime.block_on(async {
        let daemon = Daemon::bind(&config, 1).await.unwrap();
        assert!(daemon.addresses().is_empty(), "it has no address of TCP");
        assert!(folder.has("proxy"));
        drop(daemon);
        assert!(!folder.has("proxy"));

        let daemon = Daemon::bind(&config, 1).await.unwrap();
        let proxy = daemon.proxy("default").unwrap();
        proxy.set_enabled(false).await.unwrap();
        assert!(!folder.has("proxy"));
        proxy.set_enabled(true).await.unwrap();
        assert!(folder.has("proxy"));
        daemon.serve(async {}).await;
        assert!(!folder.has("proxy"));
    });
}
