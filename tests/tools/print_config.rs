//! `--print-config` prints a file that means what was asked for, and says of each value where it is from.

use std::path::Path;

use crate::world::{File, Program};
use crate::{assert_complains, printed, printed_by};

/// The lines without where their values are from.
fn values(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split("  #").next().unwrap().trim_end()).collect()
}

#[track_caller]
fn printed_again(text: &str) -> String {
    let file = File::new(text);
    printed(&format!("--print-config --config {}", file.path().display()))
}

#[test]
fn defaults_are_all_there() {
    let text = printed("--print-config --backend localhost:6379");
    for line in [
        "proxy = \"localhost:8000\"    # default",
        "backend = \"localhost:6379\"  # --backend",
        "# buffer =                  # default: 2048, growing with traffic",
        "enabled = true              # default",
        "# seed =                    # default: random",
        "log_level = \"info\"          # default",
        "# events =                  # default: none",
        "[http]",
        "enabled = false     # default",
        "[statsd]",
        "[tls]",
        "auto = false  # default",
        "# cert =      # default: none",
        "[backend_tls]",
        "# name =          # default: its host",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    let again = printed_again(&text);
    assert_eq!(values(&again), values(&text));
    // Nothing is by default any more but what has no value.
    assert_eq!(again.lines().find(|line| line.ends_with("# default")), None, "{again}");
}

#[test]
fn each_value_says_where_it_is_from() {
    let file = File::new("seed = 18446744073709551615\nproxy = 'localhost:9'\nhandler = 'hang'\n[statsd]\n");
    let mut command = Program::command("--print-config --handler 20:delay,5:error --handler-delay-protocol redis");
    command.arg("--config").arg(file.path());
    command.envs([
        ("VAURIEN_BACKEND", "a:1"),
        ("VAURIEN_HANDLER_DELAY_SLEEP", "250ms"),
        ("VAURIEN_HTTP_ALLOW_HOST", "a,b:1"),
    ]);
    let text = printed_by(&mut command);
    let path = file.path().display();
    for (value, place) in [
        ("seed = 18446744073709551615", &*format!("{path}:1")),
        ("proxy = \"localhost:9\"", &format!("{path}:2")),
        ("backend = \"a:1\"", "VAURIEN_BACKEND"),
        ("handler = \"20:delay,5:error\"", "--handler"),
        ("protocol = \"tcp\"", "default, but \"redis\" for delay"),
        ("sleep = 0.25", "VAURIEN_HANDLER_DELAY_SLEEP"),
        ("protocol = \"redis\"", "--handler-delay-protocol"),
        ("warmup = 0", "default"),
        ("allow_host = [\"a\", \"b:1\"]", "VAURIEN_HTTP_ALLOW_HOST"),
        ("enabled = true", &format!("{path}:4")),
    ] {
        let is = |line: &str| {
            line.split_once("  # ").is_some_and(|(left, right)| (left.trim_end(), right) == (value, place))
        };
        assert!(text.lines().any(is), "{value} # {place}\n{text}");
    }
    // `hang` is in no mix, and nobody set it.
    assert!(!text.contains("[handlers.hang]"), "{text}");
    assert_eq!(values(&printed_again(&text)), values(&text));
}

#[test]
fn several_proxies_have_a_table_each() {
    let file = File::new(
        "[proxies.cache]\nbackend = 'a:1'\nproxy = 'a:2'\nhandler = 'delay'\n\n[proxies.api]\nbackend = 'b:1'\n\n\
         [proxies.api.handlers.error]\nwarmup = 3\nbuffer = 9\n",
    );
    let text = printed(&format!("--print-config --config {}", file.path().display()));
    let tables: Vec<_> = text.lines().filter(|line| line.starts_with('[')).collect();
    let [cache, api] = ["[proxies.cache]", "[proxies.api]"];
    let (delay, error) = ("[proxies.cache.handlers.delay]", "[proxies.api.handlers.error]");
    let [cache_tls, cache_backend] = ["[proxies.cache.tls]", "[proxies.cache.backend_tls]"];
    let [api_tls, api_backend] = ["[proxies.api.tls]", "[proxies.api.backend_tls]"];
    assert_eq!(
        tables,
        ["[run]", "[http]", "[statsd]", cache, cache_tls, cache_backend, delay, api, api_tls, api_backend, error]
    );
    assert!(!text.contains("inject"), "of a handler that is not in the mix only what was given\n{text}");
    assert_eq!(values(&printed_again(&text)), values(&text));
}

#[test]
fn what_turns_tls_on_is_shown() {
    let text = printed("--print-config --backend a:1 --backend-name b --tls auto --tls-dir absent");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "tls_dir = \"absent\" # --tls-dir",
        "auto = true # --tls",
        "enabled = true # --backend-name",
        "name = \"b\" # --backend-name",
    ] {
        assert!(text.lines().any(|known| words(known) == line), "{line}\n{text}");
    }
    assert_eq!(values(&printed_again(&text)), values(&text));
    assert!(!Path::new("absent").exists());
}

#[test]
fn a_profile_shows_its_toxics() {
    let file =
        File::new("[proxies.a]\nbackend = 'a:1'\nprofile = 'dsl'\n[proxies.b]\nbackend = 'b:1'\nproxy = 'b:2'\n");
    let text = printed(&format!("--print-config --config {}", file.path().display()));
    let toxics = "upstream:latency(latency=15ms,jitter=2ms); upstream:bandwidth(rate=125KB/s); \
                  latency(latency=15ms,jitter=2ms); bandwidth(rate=2MB/s)";
    let profiles: Vec<_> = text.lines().filter(|line| line.contains("profile =")).collect();
    let [of_one, of_other] = profiles[..] else { panic!("{text}") };
    assert!(of_one.starts_with("profile = \"dsl\" "), "{of_one}");
    assert!(of_one.ends_with(&format!("# {}:3, stands for {toxics}", file.path().display())), "{of_one}");
    assert!(of_other.starts_with("# profile =") && of_other.ends_with("# default: none"), "{of_other}");
    let again = File::new(&text);
    let check = |file: &File| printed(&format!("--check --seed 1 --config {}", file.path().display()));
    assert_eq!(check(&again), check(&file));
    assert!(check(&file).contains("toxic latency_upstream: upstream:latency(latency=15ms,jitter=2ms)"));
    assert_eq!(values(&printed_again(&text)), values(&text));
}

#[test]
fn the_examples_mean_the_same() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut tried = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = printed(&format!("--print-config --config {}", path.display()));
            let again = File::new(&text);
            let check = |path: &Path| printed(&format!("--check --seed 1 --config {}", path.display()));
            assert_eq!(check(again.path()), check(&path), "{}", path.display());
            assert_eq!(values(&printed_again(&text)), values(&text));
            tried += 1;
        }
    }
    assert!(tried >= 4);
}

#[test]
fn secrets_are_not_shown() {
    let mut command = Program::command("--print-config --backend a:1 --http");
    let text = printed_by(command.env("VAURIEN_HTTP_TOKEN", "hush-hush"));
    assert!(!text.contains("hush"), "{text}");
    let line = text.lines().position(|line| line.starts_with("token = ")).expect(&text);
    let why = "VAURIEN_HTTP_TOKEN, not shown: write it here, or take this line out";
    let (value, place) = text.lines().nth(line).unwrap().split_once('#').unwrap();
    assert_eq!((value.trim_end(), place.trim()), ("token = \"\"", why));
    // Nobody is let in without it because the file was used as it is.
    let file = File::new(&text);
    let complaint = format!("{}:{}: http.token: the token is empty", file.path().display(), line + 1);
    assert_complains(&format!("--check --config {}", file.path().display()), 2, &[&complaint]);
    printed_again(&text.replace("token = \"\"", "token = \"hush\""));
}

#[test]
fn with_a_command_ports_are_free_ones() {
    let text = printed("--print-config --backend a:1 --http -- true");
    for line in ["proxy = \"localhost:0\"  # default with a command", "port = 0 # default with a command"] {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.lines().any(|known| words(known) == words(line)), "{line}\n{text}");
    }
    let file = File::new(&text);
    let check = |arguments: &str| printed(&format!("--check --seed 1 {arguments}"));
    let expected = check("--backend a:1 --http -- true");
    assert_eq!(check(&format!("--config {} -- true", file.path().display())), expected);
    assert!(expected.contains("localhost:0 -> a:1") && expected.contains("http://localhost:0"), "{expected}");
    let text = printed("--print-config --backend a:1 --proxy localhost:9 --http-port 8 -- true");
    assert!(!text.contains("default with"), "{text}");
    // That nobody asked for the API is no reason to warn.
    let ended = Program::run(&mut Program::command("--check --backend localhost:8000 -- true"));
    assert_eq!((ended.code, ended.lines), (Some(0), Vec::new()));
}

#[test]
fn a_demo_is_no_file() {
    let line = "--demo: no file can ask for the built-in backend, leave out `--print-config`";
    assert_complains("--demo --print-config", 2, &[line]);
}

#[test]
fn all_that_is_wrong_is_told() {
    let line = "--buffer: `0` is too small, a read takes 1 to 262144 bytes";
    assert_complains("--print-config --backend a:1 --buffer 0", 2, &[line]);
    let line = "--config: cannot read `/nowhere/vaurien.toml`: no such file or directory";
    assert_complains("--print-config --config /nowhere/vaurien.toml", 2, &[line]);
}
