//! Reads a request: its body, with limits of size and time, its path and its query.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::answer::{Failure, Location};
use super::connections::Connection;
use super::routes;

/// The largest body, in bytes.
pub(super) const BODY: usize = 64 * 1024;

/// How long reading a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body of any type.
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let failure = |status, what: &str| Err(Failure::of(status, Location::Body, "", what));
        let connection = request.extensions().get::<Arc<Connection>>().cloned();
        match timeout(BODY_TIMEOUT, Limited::new(request.into_body(), BODY).collect()).await {
            Ok(Ok(whole)) => {
                connection.inspect(|connection| connection.works());
                Ok(Self(whole.to_bytes()))
            }
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                failure(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is too large, send at most {BODY} bytes"))
            }
            Ok(Err(_)) => failure(StatusCode::BAD_REQUEST, "the body is incomplete"),
            Err(_) => {
                let limit = BODY_TIMEOUT.as_secs();
                failure(StatusCode::REQUEST_TIMEOUT, &format!("the body is too slow, send it within {limit} s"))
            }
        }
    }
}

/// A body that is a JSON object. Its `Content-Type` is ignored: `curl -d` sends that of a form.
pub(super) struct Object(pub(super) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Object {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let example = example(&request);
        let Body(body) = Body::from_request(request, state).await?;
        match json(&body) {
            Ok(Value::Object(keys)) => Ok(Self(keys)),
            Ok(_) => Err(Failure::body("", format!("the body is not a JSON object, write `{example}`"))),
            // The keys are wrong.
            Err(why) if why.is_data() => Err(Failure::body("", why.to_string())),
            Err(_) if body.trim_ascii().is_empty() => {
                Err(Failure::body("", format!("the body is empty, write a JSON object such as `{example}`")))
            }
            Err(why) => {
                let (line, column) = (why.line(), why.column());
                let what = format!("the body is not JSON, write `{example}` (line {line}, column {column})");
                Err(Failure::body("", what))
            }
        }
    }
}

/// The template of the path, by which the router has found the handler.
fn route(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str)
}

/// What a body may be.
fn example(request: &Request) -> &'static str {
    let has = |word| route(request).split('/').any(|part| part == word);
    if has("toxics") {
        r#"{"toxic": "latency(latency=100ms)"}"#
    } else if has("rules") {
        r#"{"rule": "GET user:* => error"}"#
    } else {
        r#"{"handler": "delay"}"#
    }
}

/// No body, or one that says nothing. What is removed is removed for good: a `for` that is ignored would leave it so.
pub(super) struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let instead = match route(&request) {
            routes::TOXIC => "`PATCH` with `{\"toxicity\": 0, \"for\": \"10s\"}` takes it away for a time",
            routes::TOXICS => {
                "`PATCH` the proxy with `{\"toxics\": [], \"for\": \"10s\"}` to take them away for a time"
            }
            routes::PROXY => "`PATCH` with `{\"enabled\": false, \"for\": \"10s\"}` stops it for a time",
            _ => "leave it out",
        };
        let Body(body) = Body::from_request(request, state).await?;
        match body.trim_ascii() {
            b"" | b"{}" => Ok(Self),
            _ => Err(Failure::body("", format!("DELETE removes for good and takes no body: {instead}"))),
        }
    }
}

/// A body's value. `2.0` is read as `2`: many clients have only floating point numbers.
pub(super) fn json(body: &[u8]) -> serde_json::Result<Value> {
    let UniqueKeys(mut value) = serde_json::from_slice(body)?;
    make_whole(&mut value);
    Ok(value)
}

/// A value in which no object has a key twice: of two values, a reader cannot know which one counts.
struct UniqueKeys(Value);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeysVisitor).map(Self)
    }
}

struct UniqueKeysVisitor;

impl<'de> Visitor<'de> for UniqueKeysVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(UniqueKeys(value)) = values.next_element()? {
            array.push(value);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(de::Error::custom(format_args!("the key `{key}` is repeated")));
            }
            let UniqueKeys(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

fn make_whole(value: &mut Value) {
    match value {
        // Up to 2^53 a float is exact, and its text is that of the integer.
        Value::Number(number) if number.is_f64() => {
            let exact = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0);
            if let Some(whole) = exact.and_then(|float| format!("{float:.0}").parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(make_whole),
        Value::Object(keys) => keys.values_mut().for_each(make_whole),
        _ => {}
    }
}

pub(super) struct PathParams<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathParams<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let named = Path::from_request_parts(parts, state).await;
        named.map(|Path(named)| Self(named)).map_err(|why| {
            let what = format!("the path is not UTF-8: {}", why.body_text());
            Failure::of(StatusCode::BAD_REQUEST, Location::Path, "", what)
        })
    }
}

pub(super) struct QueryParams(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let pairs = Query::from_request_parts(parts, state).await;
        pairs.map(|Query(pairs)| Self(pairs)).map_err(|why| bad_query("", why.body_text()))
    }
}

impl QueryParams {
    /// The same, if there are only `known` ones, each once.
    pub(super) fn only(self, known: &[&str]) -> Result<Self, Failure> {
        for (at, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(bad_query(name, format!("unknown parameter `{name}` (known: {})", known.join(", "))));
            }
            if self.0[..at].iter().any(|(other, _)| other == name) {
                return Err(bad_query(name, format!("`{name}` is given twice, give it once")));
            }
        }
        Ok(self)
    }

    /// The parameter of this name; `right` says what its value has to be.
    pub(super) fn get<T: FromStr>(&self, name: &str, right: &str) -> Result<Option<T>, Failure> {
        let Some((_, text)) = self.0.iter().find(|(known, _)| known == name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| bad_query(name, format!("`{text}` is not {right}")))
    }
}

fn bad_query(name: &str, what: impl Into<String>) -> Failure {
    Failure::of(StatusCode::BAD_REQUEST, Location::Query, name, what)
}
