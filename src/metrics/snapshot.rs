//! Snapshots of a proxy's counters, from which reports, metrics and statsd are made.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::counters::{Waited, label};
use super::histogram::Histogram;
use super::summary::Summary;
use crate::protocol::Protocol;

/// A proxy's counts since it was created, and its current settings.
#[derive(Debug, Clone)]
pub(crate) struct ProxySnapshot {
    pub(crate) name: String,
    pub(crate) backend: String,
    pub(crate) protocol: Protocol,
    /// The mix in its text form: `20:delay,5:error`.
    pub(crate) mix: String,
    pub(crate) enabled: bool,
    pub(crate) connections: ConnectionTotals,
    /// How often a client had to wait because no connection could be accepted.
    pub(crate) refused: u64,
    /// Connections that turned opaque.
    pub(crate) opaque: u64,
    /// Why, and how many for each reason; the most frequent one first.
    pub(crate) opaque_reasons: Vec<(String, u64)>,
    /// Connections for which the backend could not be reached.
    pub(crate) dial_failures: u64,
    /// Why, as with opaque ones.
    pub(crate) dial_reasons: Vec<(String, u64)>,
    /// Connections of clients with which there is no TLS, which was not intended.
    pub(crate) handshake_failures: u64,
    /// Why, as with opaque ones.
    pub(crate) handshake_reasons: Vec<(String, u64)>,
    /// The rules in their text form, with their names.
    pub(crate) rules: Vec<RuleSnapshot>,
    /// Those that it has, in their order, then those that it had.
    pub(crate) toxics: Vec<ToxicSnapshot>,
    /// The handlers of the rules and of the mix in their order, then those of earlier plans by name.
    pub(crate) handlers: Vec<HandlerSnapshot>,
    pub(crate) dial: Arc<Histogram>,
    /// How long passing a read on took where no fault touched it; a sample of all reads.
    pub(crate) pass: Arc<Histogram>,
}

/// A proxy's counts for one handler, as reports have it. Names are unique within a rule, and within the mix.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct HandlerSnapshot {
    pub(crate) name: String,
    /// The rule that it belongs to; none for the mix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    /// Whether the proxy has it now.
    #[serde(skip)]
    pub(crate) in_mix: bool,
    pub(crate) calls: u64,
    /// The calls to which the handler did something.
    pub(crate) faults: u64,
    /// How long the handler delayed calls; `None` if it delayed none.
    #[serde(skip)]
    pub(crate) delay: Option<Arc<Histogram>>,
    pub(crate) waited: Option<Waited>,
}

impl HandlerSnapshot {
    /// Its name with that of its rule: `pay.error`.
    pub(crate) fn label(&self) -> String {
        label(self.rule.as_deref(), &self.name)
    }
}

/// A toxic as reports have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct ToxicSnapshot {
    /// Its name: its own, or `TYPE_STREAM`.
    pub(crate) name: String,
    /// The toxic as text; null once it is removed.
    pub(crate) toxic: Option<String>,
    /// Connections that had it.
    pub(crate) connections: u64,
    /// Connections to whose bytes it did something.
    pub(crate) faults: u64,
}

/// A rule as reports have it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct RuleSnapshot {
    /// Its name: its own, or `rule-N`.
    pub(crate) name: String,
    /// The rule as text.
    pub(crate) rule: String,
    /// The calls that it has decided.
    pub(crate) calls: u64,
    /// The calls to which its handlers did something. Reports have them for each handler.
    #[serde(skip)]
    pub(crate) faults: u64,
    /// The calls that met its conditions and that `after`, `every`, `times` or `during` left to the next rule, since it came into
    /// force.
    pub(crate) excluded: u64,
    /// How many more calls its `times` has room for; null without one, and with `per=connection`.
    pub(crate) times_left: Option<u64>,
    /// All that it does is to keep calls from later rules.
    #[serde(skip)]
    pub(crate) is_protective: bool,
}

/// Totals over the connections of a proxy.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ConnectionTotals {
    /// Connections accepted.
    pub(crate) accepted: u64,
    /// Connections open now.
    pub(crate) open: u64,
    /// Sent by clients.
    pub(crate) to_backend: Traffic,
    /// Sent by backends.
    pub(crate) to_client: Traffic,
}

/// Bytes and reads of one direction.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) bytes: u64,
    pub(crate) reads: u64,
}

impl ConnectionTotals {
    /// The sum of both.
    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            open: self.open + other.open,
            to_backend: self.to_backend.with(other.to_backend),
            to_client: self.to_client.with(other.to_client),
        }
    }
}

impl Traffic {
    /// The sum of both.
    pub(crate) fn with(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, reads: self.reads + other.reads }
    }
}

impl ProxySnapshot {
    /// The part for people and tests.
    pub(crate) fn summary(&self) -> Summary {
        let handlers = || self.handlers.iter().filter(|handler| handler.in_mix || handler.calls > 0);
        Summary {
            calls: handlers().map(|handler| (handler.label(), handler.calls)).collect(),
            faults: handlers().map(|handler| (handler.label(), handler.faults)).collect(),
            toxics: self.toxics.iter().map(|toxic| (toxic.name.clone(), toxic.faults)).collect(),
            connections: self.connections.accepted,
            open: self.connections.open,
            to_backend: self.connections.to_backend.bytes,
            to_client: self.connections.to_client.bytes,
            opaque: self.opaque,
            opaque_reasons: self.opaque_reasons.clone(),
            backend_failures: self.dial_failures,
            backend_reasons: self.dial_reasons.clone(),
            handshake_failures: self.handshake_failures,
            handshake_reasons: self.handshake_reasons.clone(),
        }
    }
}
