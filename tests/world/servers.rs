//! Real servers for tests.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::{Server, program};
use super::{eventually, noise};

/// The name of the Unix socket on which Redis and nginx listen as well, in their folder.
pub(crate) const SOCKET: &str = "socket";

/// A Redis without persistence. `options` are split at blanks.
pub(crate) fn redis(options: &str) -> Server {
    let version = program("redis-server").arg("--version").output().expect("redis-server, which tests/run.sh installs");
    let is_old = String::from_utf8(version.stdout).unwrap().contains("v=6");
    let debug = if is_old { "" } else { "--enable-debug-command local" };
    Server::start(("INFO server\r\n", "process_id:"), |address, folder| {
        let mut command = program("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
        command
            .arg("--dir")
            .arg(folder)
            .args(["--unixsocket", SOCKET])
            .args(debug.split_ascii_whitespace())
            .args(options.split_ascii_whitespace());
        command
    })
}

/// A memcached. `options` are split at blanks.
pub(crate) fn memcached(options: &str) -> Server {
    Server::start(("stats\r\n", "STAT pid "), |address, _| {
        let mut command = program("memcached");
        // As root it runs only with `-u`.
        command.args(["-l", "127.0.0.1", "-U", "0", "-u", "root", "-p", &address.port().to_string()]);
        command.args(options.split_ascii_whitespace());
        command
    })
}

/// The configuration of nginx around its servers. It writes only into its own folder.
const CONFIGURATION: &str = r"
daemon off;
master_process off;
error_log stderr;
pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    client_max_body_size 0;
    keepalive_requests 1000000;
    large_client_header_buffers 16 8k;
    SERVERS
}
";

/// What it serves without TLS.
const SERVER: &str = r#"
    server {
        listen ADDRESS;
        listen unix:SOCKET;
        root files;
        location = /none { return 204; }
        location = /host { return 200 "$http_host $host\n"; }
        location /api/ { default_type application/json; return 200 "{\"ok\": true}\n"; }
        # Server-sent events. SSI leaves their length open.
        location = /events { default_type text/event-stream; ssi on; ssi_types text/event-stream; }
        location = /chunked { gzip on; gzip_min_length 0; gzip_types *; }
        location /upload/ { dav_methods PUT DELETE; create_full_put_path on; }
    }
"#;

/// An nginx with a few files.
pub(crate) fn nginx() -> Server {
    nginx_with(SERVER)
}

/// An nginx with these servers, which listen on ADDRESS, and a few files.
pub(crate) fn nginx_with(servers: &str) -> Server {
    // It writes its process id once it listens.
    let pid = |_, folder: &Path| fs::read_to_string(folder.join("nginx.pid")).ok()?.trim().parse().ok();
    Server::start_known_by(pid, |address, folder| {
        let files = folder.join("files");
        fs::create_dir(&files).unwrap();
        for (name, len) in [("index.html", 20), ("small", 100), ("large", 300_000), ("chunked", 100_000)] {
            fs::write(files.join(name), noise(len as u64, len)).unwrap();
        }
        let events = [1, 2, 3, 4].map(|step| format!("data: {{\"step\": {step}}}\n\n")).concat();
        fs::write(files.join("events"), events).unwrap();
        let text = CONFIGURATION.replace("SERVERS", servers).replace("ADDRESS", &address.to_string());
        let text = text.replace("SOCKET", folder.join(SOCKET).to_str().unwrap());
        let configuration = folder.join("nginx.conf");
        fs::write(&configuration, text).unwrap();
        let mut command = program("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(configuration);
        command
    })
}

/// An HAProxy in TCP mode: from its address to the Unix socket `proxy` in its folder, and from the Unix socket `back` there to `backend`.
pub(crate) fn haproxy(backend: SocketAddr) -> Server {
    let pid = |_, folder: &Path| {
        let mut stream = UnixStream::connect(folder.join("stats")).ok()?;
        stream.write_all(b"show info\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.lines().find_map(|line| line.strip_prefix("Pid: "))?.parse().ok()
    };
    Server::start_known_by(pid, |address, folder| {
        let at = |name: &str| folder.join(name).display().to_string();
        let text = format!(
            "global\n stats socket {}\ndefaults\n mode tcp\n timeout connect 30s\n timeout client 30s\n timeout server 30s\n\
             listen front\n bind {address}\n server proxy unix@{}\n\
             listen back\n bind unix@{}\n server backend {backend}\n",
            at("stats"),
            at("proxy"),
            at("back")
        );
        let configuration = folder.join("haproxy.cfg");
        fs::write(&configuration, text).unwrap();
        let mut command = program("haproxy");
        command.arg("-db").arg("-f").arg(configuration);
        command
    })
}

/// A Postgres with TLS, whose user `postgres` needs no password.
pub(crate) struct Postgres(Server);

impl Postgres {
    pub(crate) fn start() -> Self {
        let programs = fs::read_dir("/usr/lib/postgresql").expect("postgresql, which tests/run.sh installs");
        let programs = programs.map(|version| version.unwrap().path().join("bin")).max().unwrap();
        let start = |address: SocketAddr, folder: &Path| {
            hand_over(folder);
            let data = folder.join("data");
            let mut create = as_postgres(&programs.join("initdb"));
            succeed(create.args(["--username", "postgres", "--auth", "trust", "--no-sync", "--pgdata"]).arg(&data));
            let mut certificate = as_postgres(Path::new("openssl"));
            certificate.args(["req", "-new", "-x509", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key"]);
            succeed(certificate.args(["-out", "server.crt"]).current_dir(&data));
            let mut server = as_postgres(&programs.join("postgres"));
            server.args([
                "-h",
                "127.0.0.1",
                "-p",
                &address.port().to_string(),
                "-c",
                "ssl=on",
                "-c",
                "fsync=off",
                "-D",
            ]);
            server.arg(&data).arg("-k").arg(folder);
            server
        };
        Self(Server::start_known_by(|_, folder| ready(&folder.join("data/postmaster.pid")), start))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Its Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.folder().join(format!(".s.PGSQL.{}", self.address().port()))
    }
}

/// Ends the server's child processes as well.
impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-s", "INT", &self.0.pid().to_string()]).status();
        let file = self.0.folder().join("data/postmaster.pid");
        eventually("PostgreSQL ends", || !file.exists());
    }
}

/// The process id in this file, once the file says that the server is ready.
fn ready(file: &Path) -> Option<u32> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().last()?.starts_with("ready").then(|| text.lines().next()?.parse().ok())?
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Postgres refuses to run as root: there it runs as the user that its package creates.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = postgres_for_root() {
        command.uid(user).gid(group);
    }
    command
}

fn hand_over(folder: &Path) {
    if let Some((user, group)) = postgres_for_root() {
        chown(folder, Some(user), Some(group)).unwrap();
    }
}

/// The user and group under which root runs Postgres.
fn postgres_for_root() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let id = |option| {
        let output = Command::new("id").args([option, "postgres"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    };
    Some((id("-u"), id("-g")))
}
