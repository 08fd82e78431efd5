//! Several proxies in one file.

use vaurien::Config;
use vaurien::protocol::Protocol;

use crate::{KNOWN, Start};

fn names(config: &Config) -> Vec<&str> {
    config.proxies.iter().map(|proxy| proxy.name.as_str()).collect()
}

#[test]
fn each_has_the_keys_of_one_and_handlers_of_its_own() {
    let file = "\
seed = 7
[http]
[proxies.web-1]
proxy = 'localhost:81'
backend = 'web:80'
protocol = 'http'
handler = '5:error'
[proxies.cache]
proxy = 'localhost:0'
backend = 'localhost:6379'
handler = '20:delay'
enabled = false
[proxies.cache.handlers.delay]
protocol = 'redis'
buffer = 9
[proxies.Also_free]
proxy = 'localhost:0'
backend = 'localhost:6379'
";
    let start = Start::args("--seed 8 --log-level warn --http-port 0").and_file(file);
    let config = start.config();
    assert_eq!(names(&config), ["web-1", "cache", "Also_free"]);
    let [web, cache, free] = config.proxies.as_slice() else { panic!("three") };
    assert_eq!((web.protocol, web.mix.to_string().as_str(), web.buffer), (Protocol::Http, "5:error", None));
    assert_eq!((cache.protocol, cache.mix.to_string().as_str(), cache.buffer), (Protocol::Redis, "20:delay", Some(9)));
    assert_eq!((web.enabled, cache.enabled, free.enabled), (true, false, true));
    assert_eq!((free.protocol, free.mix.to_string().as_str()), (Protocol::Tcp, "dummy"));
    assert_eq!((config.seed, config.http.as_ref().map(|http| http.port)), (8, Some(0)));
    // Nothing is left of it: read again, it is the same.
    assert_eq!(format!("{config:?}"), format!("{:?}", start.config()));
}

#[test]
fn the_single_form_is_one_proxy_called_default() {
    let config = Start::file("backend = 'a:1'\nenabled = false").config();
    assert_eq!(names(&config), ["default"]);
    assert!(!config.proxies[0].enabled);
}

#[test]
fn all_mistakes_of_all_proxies_are_told_together() {
    let file = "\
sed = 1
[http]
port = -1
[proxies.cache]
bakend = 'a:1'
handler = '20:delya'
[proxies.cache.handlers.delay]
sleep = -1
slep = 1
[proxies.cache.handlers.blackout]
protocol = 'tcp'
[proxies.api]
proxy = 'localhost'
backend = 'localhost:8000'
buffer = 0
handlers = 5
delay.sleep = 1
[proxies.own]
backend = 'localhost:8000'
[proxies.'']
[proxies.five]
proxy = 'localhost:5'
[proxies]
six = 6
";
    assert_eq!(
        Start::file(file).lines(),
        [
            "vaurien.toml:1: unknown key `sed`, did you mean `seed`?".to_owned(),
            "vaurien.toml:3: http.port: `-1` is not a whole number, 0 to 65535".to_owned(),
            "vaurien.toml:5: unknown key `bakend` in `[proxies.cache]`, did you mean `backend`?".to_owned(),
            format!("vaurien.toml:6: unknown handler `delya` {KNOWN}, did you mean `delay`?"),
            "vaurien.toml:8: proxies.cache.handlers.delay.sleep: invalid duration `-1`: it is negative, write 0 or more".to_owned(),
            "vaurien.toml:9: unknown key `slep` in `[proxies.cache.handlers.delay]`, did you mean `sleep`?".to_owned(),
            "vaurien.toml:11: unknown key `protocol` in `[proxies.cache.handlers.blackout]` (it has no keys)".to_owned(),
            "vaurien.toml:13: proxies.api.proxy: `localhost` has no port, write `localhost:PORT`".to_owned(),
            "vaurien.toml:15: proxies.api.buffer: `0` is too small, a read takes 1 to 262144 bytes".to_owned(),
            "vaurien.toml:16: `proxies.api.handlers` is `5`, write a table, `[proxies.api.handlers.delay]`".to_owned(),
            "vaurien.toml:17: unknown key `proxies.api.delay`, did you mean `proxies.api.handlers.delay`?".to_owned(),
            "vaurien.toml:20: invalid proxy name ``: use 1 to 255 bytes without control characters".to_owned(),
            "vaurien.toml:24: `proxies.six` is `6`, write a table, `[proxies.six]`".to_owned(),
            "vaurien.toml:4: proxies.cache: the backend is missing, write `backend = \"HOST:PORT\"`".to_owned(),
            "vaurien.toml:18: proxies.own: `localhost:8000` is both `backend` and `proxy`, listen somewhere else"
                .to_owned(),
            "vaurien.toml:21: proxies.five: the backend is missing, write `backend = \"HOST:PORT\"`".to_owned(),
            "vaurien.toml:18: proxies.own: `cache` and `own` both listen on `localhost:8000` by default, \
             give each its own `proxy`"
                .to_owned(),
        ]
    );
}

#[test]
fn what_is_the_programs_is_told_to_be_so() {
    for (key, wrong) in [
        ("seed = 1", "`seed` is for all proxies together, write it at the top of the file, before all tables"),
        (
            "log_level = 'warn'",
            "`log_level` is for all proxies together, write it at the top of the file, before all tables",
        ),
        ("repeat = 2", "`repeat` is for all proxies together, write it under `[run]`"),
        ("http.port = 1", "`http` is for all proxies together, write `[http]` without `proxies`"),
        ("port = 1", "unknown key `port` in `[proxies.cache]`, did you mean `proxy`?"),
    ] {
        let file = format!("[proxies.cache]\nbackend = 'a:1'\n{key}\n");
        assert_eq!(Start::file(&file).lines(), [format!("vaurien.toml:3: {wrong}")]);
    }
}

#[test]
fn listen_addresses_are_unique() {
    let file = "\
[proxies.a]
proxy = 'localhost:1'
backend = 'b:1'
[proxies.b]
proxy = 'Localhost:1'
backend = 'b:1'
[proxies.c]
backend = 'b:1'
[proxies.d]
proxy = 'localhost:8000'
backend = 'b:1'
enabled = false
";
    assert_eq!(
        Start::file(file).lines(),
        [
            "vaurien.toml:5: proxies.b.proxy: `a` and `b` both listen on `Localhost:1`, give one another `proxy`",
            "vaurien.toml:10: proxies.d.proxy: `c` and `d` both listen on `localhost:8000`, give one another `proxy`",
        ]
    );
}

#[test]
fn what_belongs_to_one_proxy_has_its_place() {
    let file = "\
backend = 'a:1'
handlers.error.warmup = 1
[proxies.cache]
backend = 'a:1'
";
    let start = Start::args("--buffer 5 --handler-delay-sleep 1 --seed 1").and_file(file);
    assert_eq!(
        start.and_env("VAURIEN_PROXY", "localhost:1").lines(),
        [
            "vaurien.toml:1: `backend` belongs to one proxy, write it under `[proxies.cache]`",
            "vaurien.toml:2: `handlers` belongs to one proxy, write `[proxies.cache.handlers.error]`",
            "VAURIEN_PROXY: belongs to one proxy, write `proxy` under `[proxies.cache]` in the file",
            "--buffer: belongs to one proxy, write `buffer` under `[proxies.cache]` in the file",
            "--handler-delay-sleep: belongs to one proxy, write `sleep` under `[proxies.cache.handlers.delay]` in the file",
        ]
    );
    assert_eq!(
        Start::args("--demo").and_file("[proxies.cache]\nbackend = 'a:1'").lines()[0],
        "--demo: the demo has one proxy, and the file has `[proxies]`, leave one of them out"
    );
}

#[test]
fn proxies_may_be_called_as_tables_are() {
    let file = "[proxies.handlers]\nbackend = 'a:1'\nproxy = 'a:2'\n[proxies.proxies]\n[proxies.http]\nport = 1\n";
    assert_eq!(
        Start::file(file).lines(),
        [
            "vaurien.toml:6: unknown key `port` in `[proxies.http]`, did you mean `proxy`?",
            "vaurien.toml:4: proxies.proxies: the backend is missing, write `backend = \"HOST:PORT\"`",
            "vaurien.toml:5: proxies.http: the backend is missing, write `backend = \"HOST:PORT\"`",
            "vaurien.toml:5: proxies.http: `proxies` and `http` both listen on `localhost:8000` by default, \
             give each its own `proxy`",
        ]
    );
}

#[test]
fn keys_of_other_tools_are_hinted_at() {
    for (key, hint) in [
        ("listen", "did you mean `proxy`?"),
        ("port", "did you mean `proxy`?"),
        ("target", "did you mean `backend`?"),
        ("toxicity", "percentages are in the mix: `20:delay`"),
    ] {
        let file = format!("[proxies.cache]\nbackend = 'a:1'\n{key} = 1");
        let line = format!("vaurien.toml:3: unknown key `{key}` in `[proxies.cache]`, {hint}");
        assert_eq!(Start::file(&file).lines(), [line]);
    }
}

#[test]
fn a_file_without_one_proxy_says_how_to_write_it() {
    for (text, message) in [
        ("[proxies]", "`[proxies]` is empty, write a table for each proxy, `[proxies.cache]`"),
        ("proxies = 5", "`proxies` is `5`, write a table, `[proxies.cache]`"),
        ("[proxy.cache]", "`proxy` is where to listen, proxies are in `[proxies.cache]`"),
        ("[proxys.cache]", "unknown key `proxys`, did you mean `proxies`?"),
        ("proxies.'' = {}", "invalid proxy name ``: use 1 to 255 bytes without control characters"),
    ] {
        assert_eq!(Start::file(text).lines()[0], format!("vaurien.toml:1: {message}"), "{text}");
    }
    let name = "x".repeat(255);
    let file = |name: &str| format!("[proxies.{name}]\nbackend = 'a:1'");
    assert_eq!(names(&Start::file(&file(&name)).config()), [name.as_str()]);
    assert_eq!(Start::file(&file(&format!("{name}x"))).lines().len(), 1);
    assert_eq!(names(&Start::file(&file("\"redis:6379\"")).config()), ["redis:6379"]);
    let twice = "[proxies.a]\nbackend = 'a:1'\n[proxies.a]\nbuffer = 1";
    assert_eq!(Start::file(twice).lines(), ["vaurien.toml:3: duplicate key `a`, give it once"]);
}
