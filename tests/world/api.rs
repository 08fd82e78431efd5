//! A client of the program's HTTP API.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::{Client, PATIENCE};

/// The address of the API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Api(pub(crate) SocketAddr);

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The status line and headers, with header names in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.split_once(": ").filter(|(known, _)| known.eq_ignore_ascii_case(name)))
            .map(|(_, value)| value)
    }
}

impl Api {
    #[track_caller]
    pub(crate) fn get(self, path: &str) -> Reply {
        self.ask("GET", path, "", "")
    }

    #[track_caller]
    pub(crate) fn put(self, path: &str, body: &str) -> Reply {
        self.ask("PUT", path, "Content-Type: application/json\r\n", body)
    }

    #[track_caller]
    pub(crate) fn patch(self, path: &str, body: &str) -> Reply {
        self.ask("PATCH", path, "Content-Type: application/json\r\n", body)
    }

    #[track_caller]
    pub(crate) fn delete(self, path: &str) -> Reply {
        self.ask("DELETE", path, "", "")
    }

    #[track_caller]
    pub(crate) fn post(self, path: &str) -> Reply {
        self.ask("POST", path, "", "")
    }

    #[track_caller]
    pub(crate) fn post_body(self, path: &str, body: &str) -> Reply {
        self.ask("POST", path, "Content-Type: application/json\r\n", body)
    }

    /// The full state of a proxy.
    #[track_caller]
    pub(crate) fn proxy(self, name: &str) -> Value {
        self.get(&format!("/v1/proxies/{name}")).json()
    }

    /// The first address on which a proxy listens.
    #[track_caller]
    pub(crate) fn address(self, name: &str) -> SocketAddr {
        let proxy = self.proxy(name);
        proxy["status"]["addresses"][0]
            .as_str()
            .unwrap_or_else(|| panic!("the proxy does not listen: {proxy}"))
            .parse()
            .unwrap()
    }

    /// A connection to a proxy.
    #[track_caller]
    pub(crate) fn client(self, name: &str) -> Client {
        Client::connect(self.address(name))
    }

    /// All events so far.
    #[track_caller]
    pub(crate) fn events(self) -> Vec<Value> {
        let reply = self.get("/v1/events?since=0&follow=false");
        let data = reply.body.lines().filter_map(|line| line.trim().strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// Sends a request with these extra headers, each with its line end.
    #[track_caller]
    pub(crate) fn ask(self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let host = if headers.to_ascii_lowercase().contains("host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.0)
        };
        let length = body.len();
        self.raw(format!(
            "{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
    }

    /// Sends these bytes, and reads the response to its end.
    #[track_caller]
    pub(crate) fn raw(self, request: impl AsRef<[u8]>) -> Reply {
        let mut stream = self.connect();
        // A request that is refused early may not be read completely.
        let _ = stream.write_all(request.as_ref());
        let mut reply = Vec::new();
        let read = stream.read_to_end(&mut reply);
        let reply = String::from_utf8(reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no reply ({read:?}), but {reply:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Sends a GET request and leaves the response to the caller.
    pub(crate) fn open(self, path: &str) -> TcpStream {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.0).unwrap();
        stream
    }

    pub(crate) fn connect(self) -> TcpStream {
        let stream = TcpStream::connect(self.0).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}
