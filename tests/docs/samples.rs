//! Samples of output look like what the program says: they are the same but for numbers, times and the width of columns.

use std::process::Command;
use std::time::{Duration, Instant};

use regex_lite::Regex;

use super::page::Page;
use super::world::{Backend, File, Program};

/// The lines without what is not the same each time.
fn shape<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let varies = [
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
        (r"\d+(\.\d+)? ?(ms|µs|s)\b", "DURATION"),
        (r"\d+(\.\d+)*(:\d+)?", "N"),
        (r"[ \t]+", " "),
    ];
    let varies = varies.map(|(what, shown)| (Regex::new(what).unwrap(), shown));
    let stable = |line: &str| {
        varies.iter().fold(line.to_owned(), |line, (what, shown)| what.replace_all(&line, *shown).into_owned())
    };
    lines.into_iter().map(stable).collect()
}

#[test]
fn numbers_may_differ_and_words_may_not() {
    assert_eq!(shape(["error    10   1.5 ms"]), shape(["error 9 20 s"]));
    assert_ne!(shape(["error 10 faults"]), shape(["error 10 calls"]));
}

#[test]
fn the_demo_begins_as_it_is_quoted() {
    let quoted = Page::read("README.md").block("text", "drawn for");
    let calls: Vec<&str> = quoted.lines().filter(|line| line.contains("GET /")).collect();
    let mut demo = Command::new("sh");
    demo.args(["-c", "exec \"$0\" --demo --proxy 127.0.0.1:0 >&2", env!("CARGO_BIN_EXE_vaurien")]);
    let mut demo = Program::spawn(&mut demo);
    assert!(calls.len() > 4);
    for call in calls {
        // How long it took is not always the same.
        let call = call.split_once(" after ").map_or(call, |(call, _)| call);
        demo.line(call);
    }
    let seen = demo.seen();
    let first = seen.iter().position(|line| line.starts_with("open http://")).unwrap();
    let head: Vec<&str> = quoted.lines().take(4).collect();
    // The log is written beside it.
    let told = seen[first..].iter().map(String::as_str).filter(|line| !line.contains(" INFO "));
    assert_eq!(shape(told.take(4)), shape(head));
}

#[test]
fn a_daemon_says_what_it_is_said_to() {
    let page = Page::read("docs/deployment.md");
    let command = page.commands().into_iter().find(|line| line.starts_with("vaurien ")).unwrap();
    let backend = Backend::lines();
    let address = backend.address().to_string();
    let arguments = command.strip_prefix("vaurien ").unwrap().replace("localhost:6379", &address);
    let vaurien = Program::spawn(&mut Program::command(&format!("{arguments} --proxy 127.0.0.1:0 --seed 42")));
    let mut client = vaurien.connect();
    // Until a call has been late, so that there is a time to tell. The seed decides which one that is.
    let mut is_late = || {
        let begun = Instant::now();
        client.send("get a\r\n").expect("+get a\r\n");
        begun.elapsed() >= Duration::from_millis(250)
    };
    assert!((0..200).any(|_| is_late()));
    drop(client);
    let lines: Vec<String> = vaurien
        .stop()
        .lines
        .iter()
        .map(|line| line.replace(&address, "localhost:6379").replace(" --proxy 127.0.0.1:0", ""))
        .map(|line| line.replace(env!("CARGO_BIN_EXE_vaurien"), "vaurien"))
        .collect();
    let quoted = page.block("text", "INFO ready");
    assert_eq!(shape(lines.iter().map(String::as_str)), shape(quoted.lines()));
}

#[test]
fn a_call_is_logged_as_it_is_quoted() {
    let code = Page::read("docs/handlers.md").inline_code();
    let quoted = code.iter().find(|code| code.starts_with("TRACE ")).unwrap();
    let mut vaurien = Program::start(&Backend::lines(), "--protocol redis --handler error --log-level trace");
    vaurien.connect().send("get a\r\n").read(1);
    let message = quoted.split(' ').skip(1).take(3).collect::<Vec<_>>().join(" ");
    let line = vaurien.line(&message);
    assert_eq!(shape([line.split_once("TRACE").unwrap().1]), shape([&quoted["TRACE".len()..]]));
}

#[test]
fn a_mistake_is_told_as_it_is_quoted() {
    let page = Page::read("docs/configuration.md");
    let file = page.block("toml", "[handlers.error]").replace("20:delay", "20:delya");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("vaurien.toml"), file).unwrap();
    let ended = Program::run(Program::command("--config vaurien.toml").current_dir(folder.path()));
    let quoted = page.block("text", "delya");
    assert_eq!((ended.code, ended.lines), (Some(2), quoted.lines().map(str::to_owned).collect()));
}

#[test]
fn events_are_as_they_are_quoted() {
    let quoted = Page::read("docs/events.md").block("text", "verdict");
    let file = File::new("");
    let arguments = format!(
        "--protocol redis --handler delay --handler-delay-sleep 1ms --http --http-port 0 --events {}",
        file.path().display()
    );
    let vaurien = Program::start(&Backend::lines(), &arguments);
    vaurien.connect().send("set a\r\n").expect("+set a\r\n");
    assert_eq!(vaurien.api().put("/behavior", r#"{"name": "20:delay,5:error"}"#).status, 200);
    vaurien.stop();
    let events = std::fs::read_to_string(file.path()).unwrap();
    assert_eq!(shape(events.lines()), shape(quoted.lines()));
}

#[test]
fn the_api_answers_as_it_is_quoted() {
    let vaurien = Program::start(&Backend::lines(), "--protocol redis --http --http-port 0");
    let mut answered = 0;
    for line in Page::read("docs/api.md").commands() {
        let (line, answer) = line.split_once("# ").unwrap_or((&line, ""));
        let words = shlex::split(line).unwrap();
        let after = |flag| words.iter().skip_while(|word| *word != flag).nth(1).map_or("", String::as_str);
        let path = words.iter().find_map(|word| word.strip_prefix("localhost:8080")).unwrap();
        let method = if after("-X").is_empty() { "GET" } else { after("-X") };
        let reply = vaurien.api().ask(method, path, "Content-Type: application/json\r\n", after("-d"));
        assert_eq!(reply.status, 200, "{line}: {reply:?}");
        if answer.starts_with('{') {
            assert_eq!(reply.body.trim(), answer.trim());
            answered += 1;
        }
    }
    assert_eq!(answered, 4);
}

/// The command lines of a page's transcripts, each with what it prints.
fn transcripts(page: &Page) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in page.blocks("text").concat().lines() {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push((command.to_owned(), String::new())),
            (None, Some((_, printed))) => printed.extend([line, "\n"]),
            (None, None) => panic!("{line}: no command before it"),
        }
    }
    all
}

#[test]
fn ctl_prints_what_is_quoted() {
    let page = Page::read("docs/ctl.md");
    let backend = Backend::lines();
    let address = backend.address().to_string();
    let started = page.commands().remove(0).replace("localhost:6379", &address);
    let words = shlex::split(started.strip_prefix("vaurien ").unwrap()).unwrap();
    let vaurien = Program::spawn(Program::command("--proxy 127.0.0.1:0 --http-port 0").args(words));
    let mut client = vaurien.connect();
    for request in ["GET user:17\r\n", "GET user:18\r\n", "SET a\r\n"] {
        client.send(request).read_until("\r\n");
    }
    let transcripts = transcripts(&page);
    for (command, quoted) in &transcripts {
        let words = shlex::split(command.strip_prefix("vaurien ").unwrap()).unwrap();
        let mut ctl = Program::command("");
        let ended = Program::run(ctl.args(words).env("VAURIEN_HTTP", vaurien.api().0.to_string()));
        assert_eq!((ended.code, ended.lines.as_slice()), (Some(0), &[][..]), "{command}");
        let printed = ended.stdout.replace(&address, "localhost:6379");
        assert_eq!(shape(printed.lines()), shape(quoted.lines()), "{command}");
    }
    assert!(transcripts.len() >= 14, "{}", transcripts.len());
}
