//! What toxics there are, and their settings.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{Speed, Time};
use crate::fault::{
    self, ByteFault, CutOff, End, LateEof, Link, RateLimit, SharedLimit, SharedRate, Silence, Slice, Stall,
};
use crate::settings::{self, Field};
use crate::size::Size;

/// A type of toxic.
#[derive(Debug)]
pub(crate) struct ToxicType {
    pub(crate) name: &'static str,
    /// What it does, in one sentence.
    pub(crate) help: String,
    pub(crate) fields: Vec<Field>,
    /// The settings without which it does nothing.
    pub(crate) needed: &'static [&'static str],
    pub(crate) build: fn(Map<String, Value>) -> Result<Kind, String>,
}

/// Declares the types: the name of each, and the settings without which it does nothing.
macro_rules! kinds {
    ($($kind:ident $name:literal $needed:expr;)*) => {
        /// What a toxic does, with its settings.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Kind {
            $(#[doc = concat!("`", $name, "`")] $kind($kind),)*
        }

        /// Read once, as each toxic that is read or written needs them.
        static TYPES: LazyLock<Vec<ToxicType>> = LazyLock::new(|| {
            vec![$(ToxicType {
                name: $name,
                help: settings::help::<$kind>(),
                fields: settings::fields::<$kind>(),
                needed: $needed,
                build: |values| settings::build::<$kind>(values).map(Kind::$kind),
            },)*]
        });

        impl Kind {
            /// The name of its type.
            pub(crate) fn name(&self) -> &'static str {
                match self { $(Self::$kind(_) => $name,)* }
            }

            /// Its settings as they are written in text and in JSON, in their order.
            pub(crate) fn settings(&self) -> Map<String, Value> {
                let settings = match self { $(Self::$kind(settings) => serde_json::to_value(settings),)* };
                settings.ok().and_then(|value| value.as_object().cloned()).unwrap_or_default()
            }
        }
    };
}

/// All types.
pub(crate) fn types() -> &'static [ToxicType] {
    &TYPES
}

kinds! {
    Latency "latency" &["latency"];
    Bandwidth "bandwidth" &["rate"];
    SlowClose "slow_close" &["delay"];
    Timeout "timeout" &[];
    ResetPeer "reset_peer" &[];
    Slicer "slicer" &["average_size"];
    LimitData "limit_data" &["bytes"];
    Loss "loss" &["rate"];
    Corrupt "corrupt" &["rate"];
    Noop "noop" &[];
}

/// Delays bytes.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Latency {
    /// How late bytes are
    pub(crate) latency: Time,
    /// How much earlier or later they may be than that; none is early
    pub(crate) jitter: Time,
}

/// Limits how many bytes pass each second.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Bandwidth {
    /// How many bytes pass each second; with 0 none, and the connection stays open
    pub(crate) rate: Speed,
    /// Whether all connections of the proxy share the rate
    pub(crate) shared: bool,
}

/// Delays the end of the stream.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SlowClose {
    /// How late the end is
    pub(crate) delay: Time,
}

/// Drops all bytes, and closes the connection after a silence.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Timeout {
    /// How long no bytes arrive before the connection is closed; with 0 it stays open
    pub(crate) timeout: Time,
}

/// Drops all bytes, and resets the connection a time after the first of them.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ResetPeer {
    /// How long after the first bytes, or the end of the stream
    pub(crate) timeout: Time,
}

/// Cuts bytes into small pieces.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Slicer {
    /// How large a piece is on average; 0 is taken for 1
    pub(crate) average_size: Size,
    /// How much smaller or larger a piece may be; none is empty
    pub(crate) size_variation: Size,
    /// How long after a piece the next one passes
    pub(crate) delay: Time,
}

/// Closes the connection after so many bytes.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitData {
    /// How many bytes pass; with 0 the first ones close the connection
    pub(crate) bytes: Size,
    /// Whether all connections of the proxy share them
    pub(crate) shared: bool,
}

/// Delays bytes as a network does that loses segments of 1460 bytes and sends them again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Loss {
    /// The probability that a segment is lost, from 0 to 1
    #[serde(deserialize_with = "share")]
    #[schemars(range(min = 0, max = 1))]
    pub(crate) rate: f64,
    /// How much more probable a loss is behind another one, from 0 to 1; as many are lost as without
    #[serde(deserialize_with = "share")]
    #[schemars(range(min = 0, max = 1))]
    pub(crate) correlation: f64,
    /// How late a lost segment is, and all that follows on it at least
    pub(crate) rto: Time,
}

/// The shortest time after which Linux sends a lost segment again.
const RTO: Duration = Duration::from_millis(200);

impl Default for Loss {
    fn default() -> Self {
        Self { rate: 0.0, correlation: 0.0, rto: Time(RTO) }
    }
}

/// Flips bits.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Corrupt {
    /// The probability that a byte is hit, from 0 to 1
    #[serde(deserialize_with = "share")]
    #[schemars(range(min = 0, max = 1))]
    pub(crate) rate: f64,
}

/// Does nothing.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Noop {}

/// A number from 0 to 1.
fn share<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(serde::de::Error::custom(format!("`{share}` is not from 0 to 1")))
}

/// What the connections of a proxy share of a toxic.
#[derive(Debug)]
pub(crate) struct SharedState {
    link: Arc<Link>,
    /// How many bytes have passed.
    passed: Arc<AtomicU64>,
}

impl SharedState {
    pub(super) fn new(now: Instant) -> Self {
        Self { link: Arc::new(Link::new(now)), passed: Arc::default() }
    }

    /// The same for other settings: a link on which nothing is booked.
    pub(super) fn changed(&self, now: Instant) -> Self {
        Self { passed: self.passed.clone(), ..Self::new(now) }
    }
}

impl Kind {
    /// Its settings as they are written in place, without those that have their default.
    pub(crate) fn written(&self) -> Vec<String> {
        let Some(known) = types().iter().find(|known| known.name == self.name()) else { return Vec::new() };
        let settings = self.settings();
        let given = |field: &&Field| {
            let is_needed = known.needed.contains(&field.name.as_str());
            settings.get(&field.name).is_some_and(|value| is_needed || *value != field.default)
        };
        let write = |field: &Field| {
            let value = &settings[&field.name];
            format!("{}={}", field.name, value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        known.fields.iter().filter(given).map(write).collect()
    }

    /// The fault of a connection that has it from `now` on, perhaps in the place of what it was before.
    pub(crate) fn fault(
        &self,
        now: Instant,
        before: Option<&dyn ByteFault>,
        shared: &SharedState,
    ) -> Box<dyn ByteFault> {
        match self {
            Self::Latency(Latency { latency, jitter }) => Box::new(fault::Latency::new(latency.0, jitter.0)),
            Self::Bandwidth(Bandwidth { rate, shared: is_shared }) => match NonZeroU64::new(rate.0) {
                None => Box::new(Stall::for_ever()),
                Some(rate) if *is_shared => Box::new(SharedRate::new(rate, shared.link.clone(), now)),
                Some(rate) => Box::new(RateLimit::new(rate, 0).since(now)),
            },
            Self::SlowClose(SlowClose { delay }) => Box::new(LateEof::new(delay.0)),
            Self::Timeout(Timeout { timeout }) => {
                let time = Some(timeout.0).filter(|time| !time.is_zero());
                let silence = Silence::new(time, now);
                Box::new(if let Some(before) = before { silence.behind(before) } else { silence })
            }
            Self::ResetPeer(ResetPeer { timeout }) => Box::new(CutOff::new(timeout.0)),
            Self::Slicer(Slicer { average_size, size_variation, delay }) => {
                let bytes = |size: &Size| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
                let size = NonZeroUsize::new(bytes(average_size)).unwrap_or(NonZeroUsize::MIN);
                Box::new(Slice::new(size, bytes(size_variation), delay.0).since(now))
            }
            Self::LimitData(LimitData { bytes, shared: true }) => {
                Box::new(SharedLimit::new(bytes.bytes(), shared.passed.clone(), End::Close))
            }
            Self::LimitData(LimitData { bytes, shared: false }) => {
                let passed = before.map_or(0, ByteFault::passed);
                Box::new(fault::Limit::new(bytes.bytes(), End::Close).after(passed))
            }
            Self::Loss(Loss { rate, correlation, rto }) => Box::new(Stall::correlated(*rate, *correlation, rto.0)),
            Self::Corrupt(Corrupt { rate }) => Box::new(fault::Corrupt::with(*rate)),
            Self::Noop(Noop {}) => Box::new(LateEof::new(Duration::ZERO)),
        }
    }
}
