//! A proxy: `{"name": "redis", "listen": "localhost:0", "upstream": "localhost:6379", "enabled": true, "toxics": []}`.

use super::fields::{Field, Mistakes, keys};
use super::json::Json;
use super::toxic::{Draft, given_name};
use super::{Wrong, ignored};
use crate::net::host_port::HostPort;
use crate::toxic::Toxic;

/// What a body says of a proxy; none where it says nothing.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Body {
    pub(crate) name: String,
    pub(crate) listen: Option<String>,
    pub(crate) upstream: Option<String>,
    pub(crate) enabled: Option<bool>,
    /// Each with its stream as the client wrote it.
    pub(crate) toxics: Option<Vec<(Toxic, String)>>,
    /// What is there and is probably not what was meant.
    pub(crate) doubts: Vec<String>,
}

/// The keys of a proxy. What Toxiproxy answers has a `Logger`, and clients send what they have read.
const KEYS: [&str; 6] = ["name", "listen", "upstream", "enabled", "toxics", "Logger"];

impl Body {
    /// That of a request for one proxy.
    pub(crate) fn read(body: &Json) -> Result<Self, Wrong> {
        first_of(Self::of(keys(body, "toxiproxy.Proxy")?, "Proxy"))
    }

    /// The same without its toxics: an update leaves them alone, and clients send what they have read.
    pub(crate) fn read_update(body: &Json) -> Result<Self, Wrong> {
        let keys = keys(body, "toxiproxy.Proxy")?;
        let others: Vec<_> = keys.iter().filter(|(key, _)| !key.eq_ignore_ascii_case("toxics")).cloned().collect();
        first_of(Self::of(&others, "Proxy"))
    }

    /// The proxies of a list, each with a name and an upstream.
    pub(crate) fn read_all(body: &Json) -> Result<Vec<Self>, Wrong> {
        let named = |(number, (proxy, wrong)): (usize, (Self, Vec<Wrong>))| {
            let place = if proxy.name.is_empty() { number.to_string() } else { format!("`{}`", proxy.name) };
            let placed = |wrong| match wrong {
                Wrong::In(toxic, wrong) => Wrong::In(format!("proxy {place}, {toxic}"), wrong),
                other => other,
            };
            first_of((proxy, wrong.into_iter().map(placed).collect()))
        };
        let proxies = (1..).zip(Self::each(body)?).map(named).collect::<Result<Vec<_>, _>>()?;
        for (number, proxy) in (1..).zip(&proxies) {
            proxy.check().map_err(|field| Wrong::Missing(format!("{field} at proxy {number}")))?;
        }
        Ok(proxies)
    }

    /// The proxies of a list, each as far as it can be read, with what is wrong with its values.
    pub(crate) fn each(body: &Json) -> Result<Vec<(Self, Vec<Wrong>)>, Wrong> {
        let go_type = "[]struct { toxiproxy.Proxy; Enabled *bool \"json:\\\"enabled\\\"\" }";
        let items = match body {
            Json::Null => &[],
            Json::Array(items) => items.as_slice(),
            other => return Err(Wrong::of_type(other, go_type)),
        };
        let proxy = |item: &Json| match keys(item, &go_type[2..]) {
            Ok(keys) => Self::of(keys, ""),
            Err(wrong) => (Self::default(), vec![wrong]),
        };
        Ok(items.iter().map(proxy).collect())
    }

    fn of(keys: &[(String, Json)], of: &str) -> (Self, Vec<Wrong>) {
        let (mut read, mut mistakes) = (Self::default(), Mistakes::default());
        for (key, value) in keys {
            let field = |name| Field { of, name };
            match key.to_ascii_lowercase().as_str() {
                "name" => read.name = mistakes.take(field("name").text(value)).unwrap_or(read.name),
                "listen" => read.listen = mistakes.take(field("listen").text(value)).or(read.listen),
                "upstream" => read.upstream = mistakes.take(field("upstream").text(value)).or(read.upstream),
                "enabled" => read.enabled = mistakes.take(field("enabled").truth(value)).or(read.enabled),
                "toxics" => read.toxics = toxics(value, &mut mistakes, &mut read.doubts).or(read.toxics),
                "logger" => {}
                _ => read.doubts.push(ignored("key", key, KEYS)),
            }
        }
        (read, mistakes.0)
    }

    /// The field that a new proxy has to have and that is missing.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match () {
            () if self.name.is_empty() => Err("name"),
            () if self.upstream.as_deref().unwrap_or_default().is_empty() => Err("upstream"),
            () => Ok(()),
        }
    }

    /// The same, for a request for one proxy.
    pub(crate) fn check_new(&self) -> Result<(), Wrong> {
        self.check().map_err(|field| Wrong::Missing(field.to_owned()))
    }
}

/// A body for a request, which is told the first mistake.
fn first_of((body, wrong): (Body, Vec<Wrong>)) -> Result<Body, Wrong> {
    wrong.into_iter().next().map_or(Ok(body), Err)
}

/// Toxiproxy ignores the toxics of a new proxy.
fn toxics(value: &Json, mistakes: &mut Mistakes, doubts: &mut Vec<String>) -> Option<Vec<(Toxic, String)>> {
    let items = match value {
        Json::Null => return None,
        Json::Array(items) => items,
        other => {
            let what = format!("toxics: a list is due, not a value of type {}", other.kind());
            mistakes.0.push(Wrong::Body(what));
            return None;
        }
    };
    let mut toxics: Vec<(Toxic, String)> = Vec::new();
    for (number, item) in (1..).zip(items) {
        let mut place = match given_name(item) {
            Some(name) => format!("toxic `{}`", name.escape_debug()),
            None => format!("toxic {number}"),
        };
        let read = Draft::read(item).and_then(|draft| {
            place = format!("toxic `{}`", draft.name.escape_debug());
            if toxics.iter().any(|(toxic, _)| toxic.name() == draft.name) {
                return Err(vec![Wrong::Body(format!("toxics: two are called {}", draft.name))]);
            }
            doubts.extend(draft.doubts().into_iter().map(|doubt| format!("{place}: {doubt}")));
            let stream = draft.stream.clone();
            Ok((draft.toxic()?, stream))
        });
        match read {
            Ok(toxic) => toxics.push(toxic),
            Err(wrong) => mistakes.0.extend(wrong.into_iter().map(|wrong| Wrong::In(place.clone(), Box::new(wrong)))),
        }
    }
    Some(toxics)
}

/// The address of an upstream. What is none, such as a URL, is a name that no server knows: dialling it fails, as it does in
/// Toxiproxy.
pub(crate) fn upstream(text: &str) -> HostPort {
    let address = text.parse().ok().filter(|address: &HostPort| address.port != 0);
    address
        .or_else(|| Some(HostPort::new("localhost", text.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?)))
        .unwrap_or_else(|| HostPort::new(text, 0))
}

#[cfg(test)]
mod tests {
    use super::super::json::first;
    use super::*;

    fn read(body: &str) -> Result<Body, String> {
        Body::read(&first(body.as_bytes()).unwrap()).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn keys_are_read_in_any_case_and_null_is_absent() {
        let body = read(
            r#"{"NAME":"a","name":null,"Upstream":"b:1","upstream":"c:1","ENABLED":null,"Logger":{},"toxics":null}"#,
        );
        let upstream = Some("c:1".to_owned());
        assert_eq!(body, Ok(Body { name: "a".to_owned(), upstream, ..Body::default() }));
        assert_eq!(read("null"), Ok(Body::default()));
    }

    #[test]
    fn the_first_value_of_the_wrong_type_is_told() {
        for (body, message) in [
            (
                r#"{"enabled":"true","name":1}"#,
                "bad request body: json: cannot unmarshal string into Go struct field Proxy.enabled of type bool",
            ),
            ("[]", "bad request body: json: cannot unmarshal array into Go value of type toxiproxy.Proxy"),
            (r#"{"toxics":{}}"#, "bad request body: toxics: a list is due, not a value of type object"),
            (r#"{"toxics":[{"type":"x"}]}"#, "invalid toxic type (toxic 1)"),
            (
                r#"{"toxics":[{"type":"noop"},{"type":"noop"}]}"#,
                "bad request body: toxics: two are called noop_downstream (toxic `noop_downstream`)",
            ),
        ] {
            assert_eq!(read(body), Err(message.to_owned()));
        }
    }

    #[test]
    fn all_proxies_of_a_list_have_a_name_and_an_upstream() {
        let read = |body: &str| Body::read_all(&first(body.as_bytes()).unwrap()).map_err(|wrong| wrong.to_string());
        assert_eq!(read("[]"), Ok(Vec::new()));
        assert_eq!(
            read(r#"[{"name":"a","upstream":"b:1"},null]"#),
            Err("missing required field: name at proxy 2".into())
        );
        assert_eq!(read(r#"[{"name":"a"}]"#), Err("missing required field: upstream at proxy 1".into()));
        assert!(read("{}").unwrap_err().starts_with("bad request body: json: cannot unmarshal object into Go value"));
    }

    #[test]
    fn an_upstream_that_is_no_address_cannot_be_reached() {
        for (text, host, port) in [
            ("somehost:12345", "somehost", 12345),
            (":6379", "localhost", 6379),
            ("http://a", "http://a", 0),
            ("a", "a", 0),
            ("a:0", "a:0", 0),
        ] {
            assert_eq!(upstream(text), HostPort::new(host, port));
        }
    }
}
