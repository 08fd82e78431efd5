//! A toxic: `{"type": "latency", "stream": "downstream", "toxicity": 1, "attributes": {"latency": 1000, "jitter": 0}}`.
//!
//! Its integers are milliseconds, KB/s of 1000 bytes, bytes, and for `slicer` microseconds.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Number, Value};

use super::fields::{Field, Mistakes, keys};
use super::json::Json;
use super::{Wrong, ignored};
use crate::duration::Seconds;
use crate::fault::Direction;
use crate::size::Size;
use crate::toxic::{self, Kind, Speed, Time, Toxic, ToxicType, stream, wrong_name};

/// Bytes a second in one of Toxiproxy's units of rate.
const KB: u64 = 1000;

/// A toxic as a body asks for it, before its attributes are read.
#[derive(Debug)]
pub(crate) struct Draft<'j> {
    pub(crate) name: String,
    /// As the client wrote it: `UPSTREAM`.
    pub(crate) stream: String,
    direction: Direction,
    of: &'static ToxicType,
    toxicity: f64,
    attributes: &'j Json,
    unknown: Vec<&'j str>,
}

impl<'j> Draft<'j> {
    pub(crate) fn read(body: &'j Json) -> Result<Self, Vec<Wrong>> {
        let (mut name, mut kind, mut spelled) = (String::new(), String::new(), "downstream".to_owned());
        let (mut toxicity, mut attributes, mut unknown) = (1.0, &Json::Null, Vec::new());
        let mut mistakes = Mistakes::default();
        for (key, value) in keys(body, "toxics.ToxicWrapper").map_err(|wrong| vec![wrong])? {
            let field = |name| Field { of: "ToxicWrapper", name };
            match key.to_ascii_lowercase().as_str() {
                "name" => name = mistakes.take(field("name").text(value)).unwrap_or(name),
                "type" => kind = mistakes.take(field("type").text(value)).unwrap_or(kind),
                "stream" => spelled = mistakes.take(field("stream").text(value)).unwrap_or(spelled),
                "toxicity" => toxicity = mistakes.take(field("toxicity").float(value)).unwrap_or(toxicity),
                "attributes" => {
                    mistakes.take(field("attributes").object(value, "toxics.NoopToxic").map(Some));
                    attributes = value;
                }
                _ => unknown.push(key.as_str()),
            }
        }
        mistakes.none_or(())?;
        let mut wrong = Vec::new();
        let direction = match spelled.to_lowercase().as_str() {
            "upstream" => Direction::ToBackend,
            "downstream" => Direction::ToClient,
            _ => {
                wrong.push(Wrong::Stream(spelled.clone()));
                Direction::ToClient
            }
        };
        let of = toxic::types().iter().find(|of| of.name == kind);
        if of.is_none() {
            wrong.push(Wrong::Type(kind.clone()));
        }
        if name.is_empty() {
            name = format!("{kind}_{spelled}");
        }
        wrong.extend(wrong_name(&name).map(Wrong::Body));
        wrong.extend(check_toxicity(toxicity).err());
        let Some(of) = of.filter(|_| wrong.is_empty()) else {
            // Those of the attributes come last.
            wrong.extend(of.and_then(|of| of_attributes(of, attributes).err()).into_iter().flatten());
            return Err(wrong);
        };
        Ok(Self { name, stream: spelled, direction, of, toxicity, attributes, unknown })
    }

    /// What is there and has no effect.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let unknown = self.unknown.iter().map(|key| ignored("key", key, KEYS));
        unknown.chain(unknown_attributes(self.of, self.attributes)).collect()
    }

    /// The toxic that the body asks for.
    pub(crate) fn toxic(self) -> Result<Toxic, Vec<Wrong>> {
        let kind = of_attributes(self.of, self.attributes)?;
        let toxic = Toxic::new(Some(&self.name), self.direction, kind);
        Ok(Toxic { toxicity: self.toxicity, ..toxic })
    }
}

/// A change of a toxic: only what is given changes.
#[derive(Debug)]
pub(crate) struct Update {
    toxicity: Option<f64>,
    attributes: Json,
    unknown: Vec<String>,
}

impl Update {
    pub(crate) fn read(body: &Json) -> Result<Self, Wrong> {
        let (mut mistakes, mut update) =
            (Mistakes::default(), Self { toxicity: None, attributes: Json::Null, unknown: Vec::new() });
        let of_body = "struct { Attributes interface {} \"json:\\\"attributes\\\"\"; Toxicity float32 \"json:\\\"toxicity\\\"\" }";
        for (key, value) in keys(body, of_body)? {
            match key.to_ascii_lowercase().as_str() {
                "toxicity" => {
                    let read = Field { of: "", name: "toxicity" }.float(value);
                    update.toxicity = mistakes.take(read).or(update.toxicity);
                }
                "attributes" => update.attributes = value.clone(),
                key if KEYS.contains(&key) => {}
                _ => update.unknown.push(key.clone()),
            }
        }
        mistakes.none_or(()).map_err(first)?;
        update.toxicity.map_or(Ok(()), check_toxicity)?;
        Ok(update)
    }

    /// What is there and has no effect on a toxic of this kind.
    pub(crate) fn doubts(&self, kind: &Kind) -> Vec<String> {
        let unknown = self.unknown.iter().map(|key| ignored("key", key, KEYS));
        let of = toxic::types().iter().find(|of| of.name == kind.name());
        unknown.chain(of.map(|of| unknown_attributes(of, &self.attributes)).unwrap_or_default()).collect()
    }

    /// The toxic as it is after the change, or what is wrong with an attribute.
    pub(crate) fn of(&self, before: &Toxic) -> Result<Toxic, Wrong> {
        let kind = changed(before.kind.clone(), &self.attributes).map_err(first)?;
        Ok(Toxic { kind, toxicity: self.toxicity.unwrap_or(before.toxicity), ..before.clone() })
    }
}

/// The keys of a toxic.
const KEYS: [&str; 5] = ["name", "type", "stream", "toxicity", "attributes"];

/// A request is told the first mistake. There is one.
pub(crate) fn first(wrong: Vec<Wrong>) -> Wrong {
    wrong.into_iter().next().unwrap_or_else(|| Wrong::Body(String::new()))
}

fn check_toxicity(toxicity: f64) -> Result<(), Wrong> {
    let is_share = (0.0..=1.0).contains(&toxicity);
    if is_share { Ok(()) } else { Err(Wrong::Body(format!("toxicity {toxicity} is not from 0 to 1"))) }
}

/// A new toxic's kind. Those of Toxiproxy have defaults for all of their attributes; our own need what they need elsewhere.
fn of_attributes(of: &ToxicType, attributes: &Json) -> Result<Kind, Vec<Wrong>> {
    let kind = (of.build)(Map::new()).map_err(|why| vec![Wrong::Body(why)])?;
    let is_own = matches!(kind, Kind::Loss(_) | Kind::Corrupt(_));
    let kind = changed(kind, attributes)?;
    let given =
        |needed: &str| keys_of(attributes).any(|(key, value)| key.eq_ignore_ascii_case(needed) && *value != Json::Null);
    match of.needed.iter().find(|needed| is_own && !given(needed)) {
        None => Ok(kind),
        Some(needed) => {
            let what = format!("`{}` needs `{needed}`, write `\"attributes\": {{\"{needed}\": 0.01}}`", of.name);
            Err(vec![Wrong::Body(what)])
        }
    }
}

fn unknown_attributes(of: &ToxicType, attributes: &Json) -> Vec<String> {
    let known = || of.fields.iter().map(|field| field.name.as_str());
    let unknown = keys_of(attributes).filter(|(key, _)| !known().any(|known| key.eq_ignore_ascii_case(known)));
    unknown.map(|(key, _)| ignored("attribute", key, known())).collect()
}

/// The name that a toxic is given, whatever else is wrong with it.
pub(super) fn given_name(toxic: &Json) -> Option<&str> {
    keys_of(toxic).find_map(|(key, value)| match value {
        Json::Text(name) if key.eq_ignore_ascii_case("name") && !name.is_empty() => Some(name.as_str()),
        _ => None,
    })
}

/// The keys of an object; none of all else.
fn keys_of(value: &Json) -> impl Iterator<Item = &(String, Json)> {
    if let Json::Object(keys) = value { keys.as_slice() } else { &[] }.iter()
}

/// `kind` with these attributes; those that are not given stay.
fn changed(mut kind: Kind, attributes: &Json) -> Result<Kind, Vec<Wrong>> {
    let (of, go_type) = go_names(&kind);
    let attributes = Field { of: "ToxicWrapper", name: "attributes" }.object(attributes, &format!("toxics.{of}"));
    let attributes = attributes.map_err(|wrong| vec![wrong])?;
    let mut first = Mistakes::default();
    for (key, value) in attributes {
        let key = key.to_ascii_lowercase();
        let name = format!("attributes.{key}");
        let field = Field { of, name: &name };
        let integer = || match field.integer(value, go_type) {
            Ok(Some(negative @ ..0)) => Err(Wrong::Body(format!("{key}: {negative} is negative, write 0 or more"))),
            read => read.map(|read| read.map(i64::unsigned_abs)),
        };
        let time = |unit: fn(u64) -> Duration| {
            integer().map(|read| read.map(|number| Time(unit(number).min(Seconds::MAX.duration()))))
        };
        let bytes = || integer().map(|read| read.map(|number| number.min(Size::MAX.bytes())));
        let share = || match field.float(value) {
            Ok(Some(share)) if !(0.0..=1.0).contains(&share) => {
                Err(Wrong::Body(format!("{key}: {share} is not from 0 to 1")))
            }
            read => read,
        };
        match (&mut kind, key.as_str()) {
            (Kind::Latency(it), "latency") => put(&mut it.latency, first.take(time(Duration::from_millis))),
            (Kind::Latency(it), "jitter") => put(&mut it.jitter, first.take(time(Duration::from_millis))),
            (Kind::Bandwidth(it), "rate") => {
                let rate = first.take(integer());
                put(&mut it.rate, rate.map(|rate| Speed(rate.saturating_mul(KB).min(Size::MAX.bytes()))));
            }
            (Kind::Bandwidth(it), "shared") => put(&mut it.shared, first.take(field.truth(value))),
            (Kind::SlowClose(it), "delay") => put(&mut it.delay, first.take(time(Duration::from_millis))),
            (Kind::Timeout(it), "timeout") => put(&mut it.timeout, first.take(time(Duration::from_millis))),
            (Kind::ResetPeer(it), "timeout") => put(&mut it.timeout, first.take(time(Duration::from_millis))),
            (Kind::Slicer(it), "average_size") => put(&mut it.average_size, first.take(bytes()).map(Size::from_bytes)),
            (Kind::Slicer(it), "size_variation") => {
                put(&mut it.size_variation, first.take(bytes()).map(Size::from_bytes));
            }
            (Kind::Slicer(it), "delay") => put(&mut it.delay, first.take(time(Duration::from_micros))),
            (Kind::LimitData(it), "bytes") => put(&mut it.bytes, first.take(bytes()).map(Size::from_bytes)),
            (Kind::LimitData(it), "shared") => put(&mut it.shared, first.take(field.truth(value))),
            (Kind::Loss(it), "rate") => put(&mut it.rate, first.take(share())),
            (Kind::Loss(it), "correlation") => put(&mut it.correlation, first.take(share())),
            (Kind::Loss(it), "rto") => put(&mut it.rto, first.take(time(Duration::from_millis))),
            (Kind::Corrupt(it), "rate") => put(&mut it.rate, first.take(share())),
            _ => {}
        }
    }
    first.none_or(kind)
}

fn put<T>(into: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *into = value;
    }
}

/// Toxiproxy's name for the attributes of a type, and Go's for that of an integer.
fn go_names(kind: &Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Latency(_) => ("LatencyToxic", "int64"),
        Kind::Bandwidth(_) => ("BandwidthToxic", "int64"),
        Kind::SlowClose(_) => ("SlowCloseToxic", "int64"),
        Kind::Timeout(_) => ("TimeoutToxic", "int64"),
        Kind::ResetPeer(_) => ("ResetToxic", "int64"),
        Kind::Slicer(_) => ("SlicerToxic", "int"),
        Kind::LimitData(_) => ("LimitDataToxic", "int64"),
        Kind::Loss(_) => ("LossToxic", "int64"),
        Kind::Corrupt(_) => ("CorruptToxic", "int64"),
        Kind::Noop(_) => ("NoopToxic", "int64"),
    }
}

/// A toxic as answers have it, with all of its attributes.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    attributes: Map<String, Value>,
    name: String,
    r#type: &'static str,
    stream: String,
    toxicity: Number,
}

impl Shown {
    /// `stream` is as the client wrote it, if that is known.
    pub(crate) fn of(toxic: &Toxic, spelled: Option<String>) -> Self {
        Self {
            attributes: attributes(&toxic.kind),
            name: toxic.name().to_owned(),
            r#type: toxic.kind.name(),
            stream: spelled.unwrap_or_else(|| stream(toxic.direction).to_owned()),
            toxicity: number(toxic.toxicity),
        }
    }
}

/// The numbers of a type. Clients take them for integers: so what a type has beyond Toxiproxy's is shown only where it is set.
fn attributes(kind: &Kind) -> Map<String, Value> {
    let time = |Time(time): Time| Value::from(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let bytes = |size: Size| Value::from(size.bytes());
    let share = |share: f64| Value::Number(number(share));
    let mut attributes = Map::new();
    let mut add = |name: &str, value| attributes.insert(name.to_owned(), value);
    match kind {
        Kind::Latency(it) => {
            add("latency", time(it.latency));
            add("jitter", time(it.jitter));
        }
        Kind::Bandwidth(it) => {
            add("rate", (it.rate.0 / KB).into());
            if it.shared {
                add("shared", true.into());
            }
        }
        Kind::SlowClose(it) => drop(add("delay", time(it.delay))),
        Kind::Timeout(it) => drop(add("timeout", time(it.timeout))),
        Kind::ResetPeer(it) => drop(add("timeout", time(it.timeout))),
        Kind::Slicer(it) => {
            add("average_size", bytes(it.average_size));
            add("size_variation", bytes(it.size_variation));
            add("delay", u64::try_from(it.delay.0.as_micros()).unwrap_or(u64::MAX).into());
        }
        Kind::LimitData(it) => {
            add("bytes", bytes(it.bytes));
            if it.shared {
                add("shared", true.into());
            }
        }
        Kind::Loss(it) => {
            add("rate", share(it.rate));
            add("correlation", share(it.correlation));
            add("rto", time(it.rto));
        }
        Kind::Corrupt(it) => drop(add("rate", share(it.rate))),
        Kind::Noop(_) => {}
    }
    attributes
}

/// A share as Go writes it: 1, not 1.0.
fn number(share: f64) -> Number {
    match share {
        0.0 => 0.into(),
        1.0 => 1.into(),
        share => Number::from_f64(share).unwrap_or_else(|| 0.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::json::first;
    use super::*;

    fn read(body: &Value) -> Result<Toxic, String> {
        let body = first(body.to_string().as_bytes()).unwrap();
        Draft::read(&body).and_then(Draft::toxic).map_err(|wrong| super::first(wrong).to_string())
    }

    #[test]
    fn a_toxic_is_read_in_its_units_and_shown_with_all_attributes() {
        for (asked, text, shown) in [
            (json!({ "latency": 100 }), "latency(latency=100ms)", json!({ "latency": 100, "jitter": 0 })),
            (json!({ "rate": 50 }), "bandwidth(rate=50KB/s)", json!({ "rate": 50 })),
            (json!({ "delay": 1 }), "slow_close(delay=1ms)", json!({ "delay": 1 })),
            (json!({ "timeout": 0 }), "timeout", json!({ "timeout": 0 })),
            (json!({ "timeout": 2000 }), "reset_peer(timeout=2s)", json!({ "timeout": 2000 })),
            (
                json!({ "average_size": 1000, "SIZE_VARIATION": 500, "delay": 10, "unknown": "x" }),
                "slicer(average_size=1000,size_variation=500,delay=10us)",
                json!({ "average_size": 1000, "size_variation": 500, "delay": 10 }),
            ),
            (json!({ "bytes": 5 }), "limit_data(bytes=5)", json!({ "bytes": 5 })),
            (Value::Null, "noop", json!({})),
            (json!({ "rate": 0.1 }), "loss(rate=0.1)", json!({ "rate": 0.1, "correlation": 0, "rto": 200 })),
            (json!({ "rate": 0.5 }), "corrupt(rate=0.5)", json!({ "rate": 0.5 })),
        ] {
            let meant: Toxic = text.parse().unwrap();
            let kind = meant.kind.name();
            let toxic = read(&json!({ "type": kind, "attributes": asked })).unwrap();
            assert_eq!((&toxic, toxic.to_string().parse()), (&meant, Ok(meant.clone())), "{text}");
            let name = format!("{kind}_downstream");
            let expected = json!({
                "attributes": shown, "name": name, "type": kind, "stream": "downstream", "toxicity": 1,
            });
            assert_eq!(json!(Shown::of(&toxic, None)).to_string(), expected.to_string());
        }
    }

    #[test]
    fn the_largest_numbers_are_clamped_and_can_be_read_again() {
        let most = i64::MAX;
        for (kind, attributes, shown) in [
            ("latency", json!({ "latency": most, "jitter": most }), "latency(latency=1year,jitter=1year)"),
            ("bandwidth", json!({ "rate": most }), "bandwidth(rate=1TiB/s)"),
            ("limit_data", json!({ "bytes": most }), "limit_data(bytes=1TiB)"),
            ("slicer", json!({ "average_size": most, "size_variation": most, "delay": most }), ""),
        ] {
            let toxic = read(&json!({ "type": kind, "attributes": attributes })).unwrap();
            assert_eq!(toxic.to_string().parse(), Ok(toxic.clone()), "{toxic}");
            let _ = shown;
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_toxiproxys_words() {
        let of = |kind: &str, attributes: Value| json!({ "type": kind, "attributes": attributes });
        for (body, message) in [
            (
                json!({ "type": "latency", "stream": "sideways" }),
                "stream was invalid, can be either upstream or downstream",
            ),
            (json!({ "type": "packet_loss" }), "invalid toxic type"),
            (json!({ "type": "" }), "invalid toxic type"),
            (json!([]), "bad request body: json: cannot unmarshal array into Go value of type toxics.ToxicWrapper"),
            (
                json!({ "type": 1 }),
                "bad request body: json: cannot unmarshal number into Go struct field ToxicWrapper.type of type string",
            ),
            (
                json!({ "type": "latency", "toxicity": "1" }),
                "bad request body: json: cannot unmarshal string into Go struct field ToxicWrapper.toxicity of type float32",
            ),
            (
                of("latency", json!({ "latency": 1000.0 })),
                "bad request body: json: cannot unmarshal number 1000.0 into Go struct field LatencyToxic.attributes.latency of type int64",
            ),
            (
                of("slicer", json!({ "average_size": "1" })),
                "bad request body: json: cannot unmarshal string into Go struct field SlicerToxic.attributes.average_size of type int",
            ),
            (
                of("corrupt", json!({ "probability": 1 })),
                "bad request body: `corrupt` needs `rate`, write `\"attributes\": {\"rate\": 0.01}`",
            ),
            (
                of("loss", json!({ "rate": null })),
                "bad request body: `loss` needs `rate`, write `\"attributes\": {\"rate\": 0.01}`",
            ),
            (of("bandwidth", json!({ "rate": -1 })), "bad request body: rate: -1 is negative, write 0 or more"),
            (json!({ "type": "noop", "toxicity": 2.5 }), "bad request body: toxicity 2.5 is not from 0 to 1"),
            (json!({ "type": "noop", "toxicity": -1 }), "bad request body: toxicity -1 is not from 0 to 1"),
        ] {
            assert_eq!(read(&body), Err(message.to_owned()));
        }
        let named = read(&json!({ "type": "noop", "stream": "UPSTREAM", "toxicity": 0.1 })).unwrap();
        assert_eq!((named.name(), named.direction, named.toxicity), ("noop_UPSTREAM", Direction::ToBackend, 0.1));
    }

    #[test]
    fn an_update_changes_what_it_names() {
        let before = read(&json!({ "type": "latency", "attributes": { "latency": 5, "jitter": 2 } })).unwrap();
        let update = |body: Value| Update::read(&first(body.to_string().as_bytes()).unwrap()).unwrap().of(&before);
        let after = update(json!({ "attributes": { "latency": 9, "jitter": null }, "toxicity": 0.5, "name": "other" }));
        assert_eq!(after.unwrap().to_string(), "latency(latency=9ms,jitter=2ms,toxicity=0.5)");
        assert_eq!(update(json!({ "attributes": null })), Ok(before.clone()));
        assert!(update(json!({ "attributes": { "latency": 9, "jitter": -1 } })).is_err());
    }
}
