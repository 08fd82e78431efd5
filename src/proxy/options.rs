//! The settings structs of a proxy. Flags, keys of the file and help are read off them.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::diagnostic::shown;
use crate::duration::Seconds;
use crate::net::address::Address;
use crate::net::buffer::MAX_READ;
use crate::plan::rule::table::text_of;
use crate::protocol::{MAX_HEAD, Protocol};
use crate::pump::MAX_HELD;
use crate::size::Size;
use crate::toxic::{Profile, Toxic, parse_item};

/// The options of a proxy.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-heading" = "Connection"))]
pub(crate) struct ProxyOptions {
    /// Listen here (port 0: any), or on unix:PATH
    #[schemars(extend("x-heading" = "Proxy", "x-common" = true))]
    pub(crate) proxy: Address,
    /// Address of the backend, or unix:PATH; required
    #[serde(deserialize_with = "backend")]
    #[schemars(with = "Address", extend("x-heading" = "Proxy", "x-common" = true))]
    pub(crate) backend: Option<Address>,
    /// Handler, or a mix of them: 20:delay,5:error
    #[schemars(extend("x-unit" = "mix", "x-heading" = "Handlers", "x-common" = true))]
    pub(crate) handler: String,
    /// Give some calls another mix: 'GET /pay* times=3 => error'
    #[serde(deserialize_with = "rules")]
    #[schemars(with = "Option<Rules>", extend("x-unit" = "rule", "x-heading" = "Handlers", "x-common" = true))]
    pub(crate) rules: Vec<Value>,
    /// Delay, limit or cut bytes: 'latency(latency=100ms)'
    #[serde(deserialize_with = "toxics", serialize_with = "texts")]
    #[schemars(with = "Option<Texts>", extend("x-unit" = "toxic", "x-heading" = "Toxics"))]
    pub(crate) toxics: Vec<Toxic>,
    /// Behave as this network does
    #[schemars(extend("x-unit" = "network", "x-heading" = "Toxics"))]
    pub(crate) profile: Option<Profile>,
    #[serde(flatten)]
    pub(crate) connection: ConnectionOptions,
    /// Most idle backend connections to keep
    #[serde(deserialize_with = "pool_size")]
    #[schemars(extend("x-unit" = "connections"))]
    pub(crate) pool_size: usize,
    /// Close idle backend connections after this time
    pub(crate) pool_timeout: Seconds,
    /// Give up connecting to the backend after this time
    #[serde(deserialize_with = "connect_timeout")]
    pub(crate) connect_timeout: Seconds,
    /// Hold an incomplete head for a handler this long
    #[serde(deserialize_with = "head_timeout")]
    pub(crate) head_timeout: Seconds,
    /// Longest head of an http message
    #[serde(deserialize_with = "max_head")]
    #[schemars(extend("x-unit" = "bytes"))]
    pub(crate) max_head: usize,
    /// Replace the Host of http requests by the backend's
    pub(crate) rewrite_host: bool,
    /// Most bytes that faults hold back in a direction
    #[serde(deserialize_with = "shape_buffer")]
    pub(crate) shape_buffer: Size,
    /// Whether the proxy listens
    #[schemars(extend("x-hidden" = true))]
    pub(crate) enabled: bool,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            proxy: Address::new("localhost", 8000),
            backend: None,
            handler: "dummy".to_owned(),
            rules: Vec::new(),
            toxics: Vec::new(),
            profile: None,
            connection: ConnectionOptions::default(),
            pool_size: 100,
            pool_timeout: Seconds::from_secs(30),
            connect_timeout: Seconds::from_secs(10),
            head_timeout: Seconds::from_secs(5),
            max_head: MAX_HEAD,
            rewrite_host: false,
            shape_buffer: Size::from_bytes(64 * 1024 * 1024),
            enabled: true,
        }
    }
}

/// How rules are given: as a list of texts and tables, or as one text with a rule a line.
struct Rules;

impl JsonSchema for Rules {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rules".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["array", "string"], "items": { "type": ["string", "object"] } })
    }
}

/// How toxics are given: as a list of texts, or as one text with a toxic a line.
struct Texts;

impl JsonSchema for Texts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Texts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["array", "string"], "items": { "type": "string" } })
    }
}

fn toxics<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Toxic>, D::Error> {
    let texts: Vec<Value> = match Value::deserialize(deserializer)? {
        Value::Null => Vec::new(),
        Value::String(lines) => lines.lines().filter(|line| !line.trim().is_empty()).map(Value::from).collect(),
        Value::Array(texts) => texts,
        other => return Err(de::Error::custom(format_args!("{} is no list of toxics", shown(&other)))),
    };
    let read = |text: &Value| parse_item(text).map_err(de::Error::custom);
    let all: Vec<Vec<Toxic>> = texts.iter().map(read).collect::<Result<_, D::Error>>()?;
    Ok(all.concat())
}

fn texts<S: Serializer>(toxics: &[Toxic], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(toxics.iter().map(ToString::to_string))
}

fn rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    let rules: Vec<Value> = match Value::deserialize(deserializer)? {
        Value::Null => Vec::new(),
        Value::String(lines) => lines.lines().filter(|line| !line.trim().is_empty()).map(Value::from).collect(),
        Value::Array(rules) => rules,
        other => return Err(de::Error::custom(format_args!("{} is no list of rules", shown(&other)))),
    };
    let texts = rules.iter().map(|rule| text_of(rule).map(Value::String).map_err(de::Error::custom));
    texts.collect()
}

/// The options of a proxy's connections. Set for a handler of the mix, they override the proxy's.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ConnectionOptions {
    /// Protocol of the calls: tcp, redis, memcache, http, grpc
    #[schemars(extend("x-unit" = "protocol", "x-heading" = "Proxy", "x-common" = true))]
    pub(crate) protocol: Protocol,
    /// Size of one read [default: 2048, growing with traffic]
    #[serde(deserialize_with = "buffer")]
    #[schemars(extend("x-unit" = "bytes"))]
    pub(crate) buffer: Option<usize>,
    /// Keep the client when the backend disconnects
    pub(crate) keep_alive: bool,
    /// Reuse idle backend connections for new clients
    pub(crate) reuse_socket: bool,
}

/// Allowed sizes of one read, in bytes.
pub(crate) const BUFFER: RangeInclusive<usize> = 1..=MAX_READ;

/// Allowed values of the longest head, in bytes: a connection holds no more than that of one that is incomplete.
pub(crate) const HEAD: RangeInclusive<usize> = 1024..=1024 * 1024;

/// Allowed numbers of idle connections: as many as there are ports.
pub(crate) const POOL_SIZE: RangeInclusive<usize> = 1..=65536;

fn buffer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let size = Option::deserialize(deserializer)?;
    size.map(|size| within(size, &BUFFER, "a read takes", "bytes")).transpose()
}

fn pool_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within(usize::deserialize(deserializer)?, &POOL_SIZE, "a pool keeps", "connections")
}

fn max_head<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within(usize::deserialize(deserializer)?, &HEAD, "the longest head has", "bytes")
}

/// Allowed sizes of what faults hold back in a direction, in bytes: from one read to what all directions may hold.
const SHAPE_BUFFER: RangeInclusive<u64> = MAX_READ as u64..=MAX_HELD as u64;

fn shape_buffer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    let size = Size::deserialize(deserializer)?;
    if SHAPE_BUFFER.contains(&size.bytes()) {
        return Ok(size);
    }
    let what = if size.bytes() < *SHAPE_BUFFER.start() { "small" } else { "large" };
    Err(de::Error::custom(format_args!("`{size}` is too {what}: give 256KiB to 512MiB")))
}

fn within<E: de::Error>(number: usize, range: &RangeInclusive<usize>, what: &str, unit: &str) -> Result<usize, E> {
    if range.contains(&number) {
        return Ok(number);
    }
    let size = if number < *range.start() { "small" } else { "large" };
    Err(E::custom(format_args!("`{number}` is too {size}, {what} {} to {} {unit}", range.start(), range.end())))
}

fn backend<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    match Option::<Address>::deserialize(deserializer)? {
        Some(address) if address.is_any_port() => {
            Err(de::Error::custom(format_args!("`{address}` has the port 0, a backend's port is 1 to 65535")))
        }
        address => Ok(address),
    }
}

fn connect_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Seconds, D::Error> {
    some_time(Seconds::deserialize(deserializer)?, "to connect")
}

fn head_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Seconds, D::Error> {
    some_time(Seconds::deserialize(deserializer)?, "for a head in two pieces")
}

fn some_time<E: de::Error>(time: Seconds, purpose: &str) -> Result<Seconds, E> {
    if time == Seconds::default() {
        return Err(E::custom(format_args!("`0` leaves no time {purpose}, give more than 0")));
    }
    Ok(time)
}
