//! The program under the name `toxiproxy-cli`: changes proxies of a running server.

mod http; // requests
mod list; // what there is, for people
mod toxic; // toxics

use std::fmt::Write;

use serde_json::json;

use super::flags::{Flag, Given, taking};
use crate::program::http_client::Failure;
use crate::program::toxiproxy_json::VERSION;
use http::{Server, path};

const USAGE: &str = "\
Usage: toxiproxy-cli [-h HOST] COMMAND, or TOXIPROXY_URL for HOST (default http://localhost:8474)
  list                                                 List all proxies
  inspect PROXY                                        Show a proxy and its toxics
  create -l LISTEN -u UPSTREAM PROXY                   Create a proxy
  toggle PROXY                                         Enable a proxy, or disable it
  delete PROXY                                         Delete a proxy
  toxic add -t TYPE [-n NAME] [-tox 1.0] [-a KEY=VALUE]… [-upstream|-downstream] PROXY
  toxic update -n NAME [-t TYPE] [-tox 1.0] [-a KEY=VALUE]… PROXY
  toxic remove -n NAME PROXY
  --version                                            Print the version
";

/// Flags that stand before the command. With `-h` alone or `help` the usage is shown.
const HOST: Flag = taking(&["host", "h"]);

/// Does what the arguments ask for, which are without the program's name, and answers what to print. `url` is the server unless a
/// flag names one.
pub(crate) fn run(args: &[String], url: Option<&str>) -> Result<String, Failure> {
    let asks_for_help = |word: &String| matches!(word.as_str(), "help" | "--help" | "-help");
    if args.is_empty() || args.iter().any(asks_for_help) || args.len() == 1 && args[0] == "-h" {
        return Ok(USAGE.to_owned());
    }
    if matches!(args[0].as_str(), "--version" | "-version" | "--v" | "-v") {
        return Ok(format!("toxiproxy-cli version {VERSION}\n"));
    }
    // Flags of the whole program end at the command.
    let begins = |at: usize| {
        !args[at].starts_with('-') && (at == 0 || !matches!(args[at - 1].as_str(), "-h" | "-host" | "--host" | "--h"))
    };
    let begin = (0..args.len()).find(|at| begins(*at)).unwrap_or(args.len());
    let given = Given::read(&args[..begin], &[HOST])?;
    let server = Server::new(given.value("host").or(url))?;
    let Some((command, rest)) = args[begin..].split_first() else {
        return Err(Failure::Use("no command: list, inspect, create, toggle, delete or toxic".to_owned()));
    };
    match command.as_str() {
        "list" | "l" | "li" | "ls" => {
            Given::read(rest, &[])?;
            list::all(&server)
        }
        "inspect" | "i" | "ins" => list::one(&server, &proxy(&Given::read(rest, &[])?)?),
        "create" | "c" | "new" => create(&server, rest),
        "toggle" | "tog" => toggle(&server, &proxy(&Given::read(rest, &[])?)?),
        "delete" | "d" => {
            let name = proxy(&Given::read(rest, &[])?)?;
            server.ask("DELETE", &path(&[&name]), None)?;
            Ok(format!("Deleted proxy {name}\n"))
        }
        "toxic" | "t" => toxic::run(&server, rest),
        other => Err(Failure::Use(format!(
            "unknown command `{other}` (known: list, inspect, create, toggle, delete, toxic)"
        ))),
    }
}

/// The one word of a command: the proxy.
fn proxy(given: &Given) -> Result<String, Failure> {
    match given.words.as_slice() {
        [name] => Ok(name.clone()),
        [] => Err(Failure::Use("the name of the proxy is missing".to_owned())),
        [_, more, ..] => Err(Failure::Use(format!("`{more}` is one word too many"))),
    }
}

fn create(server: &Server, rest: &[String]) -> Result<String, Failure> {
    let given = Given::read(rest, &[taking(&["listen", "l"]), taking(&["upstream", "u"])])?;
    let name = proxy(&given)?;
    let needed = |flag| given.value(flag).ok_or_else(|| Failure::Use(format!("the flag -{flag} is missing")));
    let body = json!({ "name": name, "listen": needed("listen")?, "upstream": needed("upstream")? });
    server.ask("POST", &path(&[]), Some(&body))?;
    Ok(format!("Created new proxy {name}\n"))
}

fn toggle(server: &Server, name: &str) -> Result<String, Failure> {
    let path = path(&[name]);
    let is_enabled = server.ask("GET", &path, None)?["enabled"] == json!(true);
    server.ask("POST", &path, Some(&json!({ "enabled": !is_enabled })))?;
    let mut text = String::new();
    let _ = writeln!(text, "Proxy {name} is now {}", list::state(!is_enabled));
    Ok(text)
}
