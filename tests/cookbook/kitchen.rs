//! Runs the cookbook's commands with bash, in a folder with `examples/` and in front of real servers.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::recipe::Recipe;
use super::world::servers::{Postgres, memcached, nginx, redis};
use super::world::{Backend, Program, Server};
use super::{example, python};

/// The most seconds that one recipe may take.
const SECONDS: &str = "300";

pub(crate) struct Kitchen {
    redis: Server,
    memcached: Server,
    nginx: Server,
    model: Backend,
    postgres: Postgres,
    folder: TempDir,
}

impl Kitchen {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(example("examples"), folder.path().join("examples")).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_vaurien"), folder.path().join("bin/vaurien")).unwrap();
        Self {
            redis: redis(""),
            memcached: memcached(""),
            nginx: nginx(),
            model: model(),
            postgres: Postgres::start(),
            folder,
        }
    }

    /// Runs the commands unchanged except for the ports of servers. Returns the exit code and the output. A command that fails is
    /// the last one.
    pub(crate) fn cook(&self, recipe: &Recipe) -> (Option<i32>, String) {
        let daemon = recipe.lines.contains("localhost:8080").then(|| self.daemon(&recipe.title));
        let mut ports = vec![
            ("localhost:6379", self.redis.address()),
            ("localhost:11211", self.memcached.address()),
            ("localhost:3000", self.nginx.address()),
            ("localhost:11434", self.model.address()),
            ("localhost:5432", self.postgres.address()),
        ];
        ports.extend(daemon.as_ref().map(|daemon| ("localhost:8080", daemon.api().0)));
        let here = |address: &SocketAddr| format!("localhost:{}", address.port());
        let lines = ports.iter().fold(recipe.lines.clone(), |lines, (known, at)| lines.replace(known, &here(at)));
        let mut bash = Command::new("timeout");
        bash.args([SECONDS, "bash", "-euo", "pipefail", "-c", &format!("exec 2>&1 </dev/null\n{lines}")]);
        let output = python::quiet(self.clean(&mut bash)).output().unwrap();
        let seen = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), ports.iter().fold(seen, |seen, (known, at)| seen.replace(&here(at), known)))
    }

    /// Runs in the folder, with the program in the path, and without variables that the program would read.
    fn clean<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let reads = |name: &str| name.starts_with("VAURIEN_") || name.starts_with("GITHUB_");
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(reads)) {
            command.env_remove(name);
        }
        let own = self.folder.path().join("bin");
        // Python's lines are written whole: a line of the log does not come into the middle of one.
        command.env_remove("PYTHONUNBUFFERED");
        let path = format!("{}:{}:{}", own.display(), python::programs().display(), env::var("PATH").unwrap());
        command.env("PATH", path).current_dir(self.folder.path())
    }

    /// Runs here what the recipe runs in a container or a pod.
    fn daemon(&self, title: &str) -> Program {
        let file = match title {
            "In docker compose" => example("examples/docker/vaurien.toml"),
            "In a Kubernetes pod" => self.configuration_of_a_pod(),
            other => panic!("{other}: nothing listens on 8080"),
        };
        let mut command = Program::command("--proxy 127.0.0.1:0 --http-host 127.0.0.1 --http-port 0 --config");
        Program::spawn(command.arg(file).args(["--backend", &self.redis.address().to_string()]))
    }

    /// The file in the `ConfigMap`, without its indentation.
    fn configuration_of_a_pod(&self) -> PathBuf {
        let pod = fs::read_to_string(example("examples/kubernetes/sidecar.yaml")).unwrap();
        let (_, text) = pod.split_once("  vaurien.toml: |\n").unwrap();
        let text = text.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
        let path = self.folder.path().join("vaurien.toml");
        fs::write(&path, text.map(|line| line.trim_start().to_owned() + "\n").collect::<String>()).unwrap();
        path
    }
}

/// A service with the API of `OpenAI`, which answers each request with the same stream of tokens, one chunk each.
fn model() -> Backend {
    Backend::new(|stream| {
        let mut to = stream.try_clone().unwrap();
        let mut from = BufReader::new(stream);
        // All requests are `{"stream": true}`.
        while matches!(from.read_until(b'}', &mut Vec::new()), Ok(1..)) {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            let tokens = ["One", " token", " at", " a", " time"];
            let events = tokens.map(|token| format!(r#"{{"choices":[{{"delta":{{"content":"{token}"}}}}]}}"#));
            let chunk = |data: &str| format!("{:x}\r\ndata: {data}\n\n\r\n", "data: \n\n".len() + data.len());
            let chunks = events.iter().map(String::as_str).chain(["[DONE]"]).map(chunk);
            for piece in [head.to_owned()].into_iter().chain(chunks).chain(["0\r\n\r\n".to_owned()]) {
                if to.write_all(piece.as_bytes()).is_err() {
                    return;
                }
            }
        }
    })
}
