//! What is right: flags, variables and the file mean the same, and the stronger wins.

use std::time::Duration;

use vaurien::Mix;
use vaurien::Seconds;
use vaurien::handler::Delay;
use vaurien::program::config::{Address, Config, Format, Level, ProxyConfig};
use vaurien::protocol::Protocol;

use crate::{MISSING, Start};

#[test]
fn a_backend_is_all_it_needs() {
    let config = Start::args("--backend localhost:6379").config();
    assert_eq!(config.proxies[0].name, "default");
    assert_eq!(config.proxies[0].listen, Address::new("localhost", 8000));
    assert_eq!(config.proxies[0].backend, Address::new("localhost", 6379));
    assert_eq!(config.proxies[0].protocol, Protocol::Tcp);
    assert_eq!(config.proxies[0].mix.to_string(), "dummy");
    assert_eq!(config.proxies[0].buffer, None);
    assert_eq!((config.proxies[0].keep_alive, config.proxies[0].reuse_socket), (false, false));
    assert_eq!(config.proxies[0].pool_size, 100);
    assert_eq!(config.proxies[0].pool_timeout, Duration::from_secs(30));
    assert_eq!(config.proxies[0].connect_timeout, Duration::from_secs(10));
    assert_eq!((config.proxies[0].head_timeout, config.proxies[0].max_head), (Duration::from_secs(5), 65536));
    assert!(!config.proxies[0].rewrite_host);
    assert_eq!((config.log.level, config.log.format), (Level::Info, Format::Text));
    assert!(!config.demo);
}

/// All that can be asked for, the same by flags, variables and file.
fn assert_everything(config: &Config) {
    assert_eq!(config.proxies[0].listen.to_string(), "[::1]:0");
    assert_eq!(config.proxies[0].backend.to_string(), "db.example:6379");
    assert_eq!(config.proxies[0].protocol, Protocol::Memcache);
    assert_eq!(config.proxies[0].mix.to_string(), "20:delay,0.5:error");
    assert_eq!(config.proxies[0].buffer, Some(1));
    assert_eq!((config.proxies[0].keep_alive, config.proxies[0].reuse_socket), (true, true));
    assert_eq!(config.proxies[0].pool_size, 7);
    assert_eq!(config.proxies[0].pool_timeout, Duration::from_millis(1500));
    assert_eq!(config.proxies[0].connect_timeout, Duration::from_millis(250));
    assert_eq!(config.seed, u64::MAX);
    assert_eq!((config.log.level, config.log.format), (Level::Trace, Format::Json));
}

#[test]
fn flags_variables_and_file_mean_the_same() {
    let flags = "--proxy [::1]:0 --backend db.example:6379 --protocol memache --handler 20:delay,0.5:error --buffer 1 \
                 --keep-alive --reuse-socket true --pool-size 7 --pool-timeout 1.5 --connect-timeout 250ms \
                 --seed 18446744073709551615 --log-level trace --log-format json";
    assert_everything(&Start::args(flags).config());

    let variables = [
        ("VAURIEN_PROXY", "[::1]:0"),
        ("VAURIEN_BACKEND", "db.example:6379"),
        ("VAURIEN_PROTOCOL", "memcache"),
        ("VAURIEN_HANDLER", "20:delay,0.5:error"),
        ("VAURIEN_BUFFER", "1"),
        ("VAURIEN_KEEP_ALIVE", "true"),
        ("VAURIEN_REUSE_SOCKET", "true"),
        ("VAURIEN_POOL_SIZE", "7"),
        ("VAURIEN_POOL_TIMEOUT", "1500ms"),
        ("VAURIEN_CONNECT_TIMEOUT", "0.25"),
        ("VAURIEN_SEED", "18446744073709551615"),
        ("VAURIEN_LOG_LEVEL", "trace"),
        ("VAURIEN_LOG_FORMAT", "json"),
    ];
    let start = variables.iter().fold(Start::default(), |start, (name, value)| start.and_env(name, value));
    assert_everything(&start.config());

    let file = "proxy = '[::1]:0'\nbackend = 'db.example:6379'\nprotocol = 'memcache'\nhandler = '20:delay,0.5:error'\n\
                buffer = 0x1\nkeep_alive = true\nreuse_socket = true\npool_size = 7\npool_timeout = 1.5\n\
                connect_timeout = '250ms'\nseed = 18446744073709551615\nlog_level = 'trace'\nlog_format = 'json'\n";
    assert_everything(&Start::file(file).config());
}

#[test]
fn a_host_is_rewritten_with_http_alone() {
    let of_http = "backend = 'a:1'\nprotocol = 'http'\n";
    let of_a_handler = "backend = 'a:1'\nhandler = 'delay'\nhandlers.delay.protocol = 'http'\n";
    for start in [
        Start::args("--backend a:1 --protocol http --rewrite-host"),
        Start::file(of_http).and_env("VAURIEN_REWRITE_HOST", "true"),
        Start::file(&format!("{of_http}rewrite_host = true")),
        Start::file(of_a_handler).and_env("VAURIEN_REWRITE_HOST", "true"),
    ] {
        assert!(start.config().proxies[0].rewrite_host);
    }
    assert!(!Start::args("--backend a:1 --rewrite-host false").config().proxies[0].rewrite_host);
    let why = "rewrite_host: it needs protocol http, this proxy has tcp";
    assert_eq!(Start::file("backend = 'a:1'\nrewrite_host = true").lines(), [format!("vaurien.toml:2: {why}")]);
    let several = "[proxies.x]\nproxy = 'a:1'\nrewrite_host = true\nbackend = 'a:2'";
    assert_eq!(Start::file(several).lines(), [format!("vaurien.toml:3: proxies.x.{why}")]);
    let wrong = Start::args("--backend a:1 --protocol htp --rewrite-host").lines();
    assert_eq!(wrong.len(), 1, "a protocol that is none is told alone: {wrong:?}");
}

#[test]
fn the_command_line_beats_the_environment_beats_the_file() {
    let file = "backend = 'file:1'\nbuffer = 10\npool_size = 10\nkeep_alive = true";
    let start = Start::args("--buffer 30 --keep-alive false").and_file(file);
    let start = start.and_env("VAURIEN_BUFFER", "20").and_env("VAURIEN_POOL_SIZE", "20");
    let config = start.config();
    assert_eq!((config.proxies[0].buffer, config.proxies[0].pool_size), (Some(30), 20));
    assert_eq!(config.proxies[0].backend.tcp().unwrap().host, "file");
    assert!(!config.proxies[0].keep_alive);
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let start = Start::file("backend = 'file:1'").and_env("VAURIEN_BACKEND", "").and_env("VAURIEN_CONFIG", "");
    assert_eq!(start.config().proxies[0].backend.tcp().unwrap().host, "file");
    assert_eq!(Start::default().and_env("VAURIEN_BACKEND", "").lines(), [MISSING]);
}

#[test]
fn a_variable_can_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.toml");
    std::fs::write(&path, "backend = 'there:1'").unwrap();
    let start = Start::default().and_env("VAURIEN_CONFIG", path.to_str().unwrap());
    assert_eq!(start.config().proxies[0].backend.tcp().unwrap().host, "there");
    // The flag's file is the only one then.
    assert_eq!(start.and_file("backend = 'here:1'").config().proxies[0].backend.tcp().unwrap().host, "here");
}

#[test]
fn a_switch_alone_means_true() {
    for (line, keep_alive) in [
        ("--keep-alive", true),
        ("--keep-alive --buffer 5", true),
        ("--keep-alive true", true),
        ("--keep-alive=true", true),
        ("--keep-alive false", false),
    ] {
        assert_eq!(Start::with(line).config().proxies[0].keep_alive, keep_alive, "{line}");
    }
}

#[test]
fn behavior_is_handler() {
    let config = Start::with("--behavior 20:delay --behavior-delay-sleep 250ms").config();
    assert_eq!(config.proxies[0].mix.to_string(), "20:delay");
    assert_eq!(Start::with("--behavior-delay-sleep x").lines().len(), 1);
}

#[test]
fn the_seed_is_random_unless_given() {
    let start = Start::with("");
    assert_ne!(start.config().seed, start.config().seed);
    assert_eq!(Start::with("--seed 42").config().seed, 42);
}

#[test]
fn the_demo_needs_no_backend() {
    let config = Start::args("--demo").config();
    assert!(config.demo);
    assert_eq!(config.proxies[0].protocol, Protocol::Http);
    let drawn: Vec<_> = config.proxies[0].mix.shares().iter().map(|share| share.name().to_owned()).collect();
    assert_eq!(drawn.len(), 5, "all five handlers: {drawn:?}");
    let config = Start::args("--demo --handler 5:hang").config();
    assert_eq!(config.proxies[0].mix.to_string(), "5:hang");
}

#[test]
fn a_connection_option_of_a_handler_in_the_mix_is_the_proxys() {
    let line =
        "--protocol redis --buffer 10 --handler 20:delay --handler-delay-protocol http --handler-error-buffer 20";
    let config = Start::with(line).config();
    assert_eq!(config.proxies[0].protocol, Protocol::Http);
    assert_eq!(config.proxies[0].buffer, Some(10), "`error` is not in the mix");

    let file = "backend = 'a:1'\nhandler = 'delay'\n[handlers.delay]\nkeep_alive = true\nreuse_socket = true\n";
    let config = Start::file(file).config();
    assert_eq!((config.proxies[0].keep_alive, config.proxies[0].reuse_socket), (true, true));

    // What is left of the mix is `dummy`'s, so that is in the mix as well.
    assert_eq!(Start::with("--handler 20:delay --handler-dummy-buffer 3").config().proxies[0].buffer, Some(3));
    assert_eq!(Start::with("--handler 100:delay --handler-dummy-buffer 3").config().proxies[0].buffer, None);
}

#[test]
fn handlers_that_agree_do_not_disagree() {
    let line = "--handler 20:delay,5:error --handler-delay-protocol memache --handler-error-protocol memcache";
    assert_eq!(Start::with(line).config().proxies[0].protocol, Protocol::Memcache);
}

#[test]
fn a_proxy_can_be_configured_without_a_file() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let backend = listener.local_addr().unwrap();
    let slow = Delay { sleep: Seconds::from_millis(5).into(), before: false };
    let config = ProxyConfig::new("127.0.0.1:0", backend).unwrap().handler(Mix::of("delay", slow));
    assert_eq!(config.backend.tcp().unwrap().port, backend.port());
    assert_eq!(config.mix.to_string(), "delay");
    assert_eq!((config.pool_size, config.connect_timeout), (100, Duration::from_secs(10)));

    let mistakes = ProxyConfig::new("localhost", ":1").unwrap_err().to_string();
    assert_eq!(
        mistakes,
        "proxy: `localhost` has no port, write `localhost:PORT`\n\
         backend: `:1` has no host, write `localhost:1`, or `0.0.0.0:1` for every interface"
    );
}

#[test]
fn a_protocol_is_written_as_it_is_read() {
    for protocol in Protocol::ALL {
        assert_eq!(protocol.to_string().parse(), Ok(protocol));
        assert_eq!(serde_json::to_value(protocol).unwrap(), protocol.name());
    }
    assert_eq!("memache".parse(), Ok(Protocol::Memcache));
    let unknown = "smtp".parse::<Protocol>().unwrap_err();
    assert_eq!(unknown.to_string(), "`smtp` is not one of tcp, redis, memcache, http, grpc");
}
