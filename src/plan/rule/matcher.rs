//! The conditions of a rule that depend on the call alone.

use super::network::Network;
use super::pattern::{Outline, Pattern};
use crate::plan::facts::Facts;
use crate::protocol::Protocol;

/// Which calls a rule is about.
#[derive(Debug, Default, Clone)]
pub(crate) struct Matcher {
    /// The command, with `http` the method.
    pub(super) command: Option<Pattern>,
    /// The key, with `http` the path.
    pub(super) key: Option<Pattern>,
    /// `method=` once more, as `grpc` has it, where it is the method of gRPC and case matters.
    pub(super) method: Option<Pattern>,
    pub(super) fields: Vec<Field>,
    /// The client is in one of them; none: it does not matter.
    pub(super) clients: Vec<Network>,
    /// The numbers of connections; none: they do not matter.
    pub(super) connections: Vec<u64>,
    /// The conditions that only some protocols have, as they were named.
    pub(super) named: Vec<String>,
}

/// A condition on a header field, on a parameter of the query, or on a part of the path with `grpc`.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) value: Pattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Header,
    Query,
    Service,
    Method,
}

impl Matcher {
    /// What it means to calls of this protocol.
    pub(crate) fn with(&self, protocol: Protocol) -> Self {
        let mut matcher = self.clone();
        if let Some(value) = matcher.method.take()
            && protocol == Protocol::Grpc
        {
            matcher.command = None;
            matcher.fields.push(Field { place: Place::Method, name: "method".to_owned(), value });
        }
        matcher
    }

    /// Whether it depends on the head of the request.
    pub(crate) fn needs_head(&self) -> bool {
        self.command.is_some() || self.key.is_some() || !self.fields.is_empty()
    }

    /// Whether the connection is one that it is about.
    #[inline]
    pub(crate) fn fits_connection(&self, call: &Facts<'_>) -> bool {
        if !self.connections.is_empty() && !self.connections.contains(&call.connection()) {
            return false;
        }
        self.clients.is_empty()
            || call.client.is_some_and(|client| self.clients.iter().any(|network| network.contains(client)))
    }

    /// Whether the head is one that it is about.
    #[inline]
    pub(crate) fn fits_head(&self, call: &Facts<'_>) -> bool {
        self.command.as_ref().is_none_or(|command| command.matches(call.command()))
            && self.key.as_ref().is_none_or(|key| key.matches(call.key()))
            && self.fields.iter().all(|field| field.fits(call))
    }

    /// What is certain of the command and of the key that it is about, for each alternative.
    pub(crate) fn outlines(&self) -> [Option<Vec<Outline>>; 2] {
        [&self.command, &self.key].map(|pattern| pattern.as_ref().and_then(Pattern::outlines))
    }

    /// The commands that it may be about, if they are only a few.
    pub(crate) fn commands(&self) -> Option<Vec<&[u8]>> {
        self.command.as_ref()?.exact()
    }

    /// Whether it fits every call that `other` fits. Both are for the same protocol.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let pattern = |ours: &Option<Pattern>, theirs: &Option<Pattern>| match (ours, theirs) {
            (None, _) => true,
            (Some(ours), Some(theirs)) => ours.covers(theirs),
            (Some(_), None) => false,
        };
        let clients = || {
            !other.clients.is_empty()
                && other.clients.iter().all(|theirs| self.clients.iter().any(|ours| ours.covers(theirs)))
        };
        let connections = || {
            !other.connections.is_empty() && other.connections.iter().all(|number| self.connections.contains(number))
        };
        pattern(&self.command, &other.command)
            && pattern(&self.key, &other.key)
            && self.fields.iter().all(|ours| other.fields.iter().any(|theirs| ours.covers(theirs)))
            && (self.clients.is_empty() || clients())
            && (self.connections.is_empty() || connections())
    }

    /// The first condition that `protocol` does not have, and what to do about it.
    pub(super) fn foreign_to(&self, protocol: Protocol) -> Option<String> {
        if protocol == Protocol::Tcp {
            let what = "cannot be told with protocol tcp, which knows `client`, `connection` and counts only";
            let is_path = |key: &Pattern| key.beginnings().iter().any(|(begin, _)| begin.starts_with('/'));
            if self.key.as_ref().is_some_and(is_path) {
                return Some(format!("the path {what}: add `--protocol http`, or grpc"));
            }
            let named = self.named.first().cloned();
            let named = named.or_else(|| self.command.is_some().then(|| "the command".to_owned()));
            return named
                .or_else(|| self.key.is_some().then(|| "the key".to_owned()))
                .map(|name| format!("{name} {what}"));
        }
        let is_http = protocol.is_http();
        let command =
            self.command.as_ref().filter(|_| is_http && (protocol == Protocol::Http || self.method.is_none()));
        if let Some(path) = command.and_then(Pattern::text_of_path) {
            let is_call = protocol == Protocol::Grpc && path.starts_with(|first: char| first.is_ascii_alphabetic());
            let right = if is_call { format!("/{path}") } else { format!("path={path}") };
            return Some(format!("`{path}` is compared with the method, write `{right}`"));
        }
        if let Some(service) =
            self.fields.iter().find(|field| field.place == Place::Service && protocol != Protocol::Grpc)
        {
            let right = format!("write `path=/{}/*`", service.value.text());
            let right = if is_http { format!("with {protocol} {right}") } else { format!("this proxy has {protocol}") };
            return Some(format!("`service` needs protocol grpc, {right}"));
        }
        let name = self.named.iter().find(|name| is_http == matches!(name.as_str(), "`command`" | "`key`"))?;
        Some(match name.as_str() {
            "`command`" => format!("`command` is not for protocol {protocol}, write `method`"),
            "`key`" => format!("`key` is not for protocol {protocol}, write `path`"),
            "`method`" => format!("`method` needs protocol http, with {protocol} write `command`"),
            "`path`" => format!("`path` needs protocol http, with {protocol} write `key`"),
            name => format!("{name} needs protocol http, this proxy has {protocol}"),
        })
    }
}

impl Field {
    fn fits(&self, call: &Facts<'_>) -> bool {
        match self.place {
            Place::Header => call.any_header(&self.name, |value| self.value.matches(value)),
            Place::Query => call.any_query(&self.name, |value| self.value.matches(value)),
            Place::Service => call.service_and_method().is_some_and(|(service, _)| self.value.matches(service)),
            Place::Method => call.service_and_method().is_some_and(|(_, method)| self.value.matches(method)),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        self.place == other.place && self.name == other.name && self.value.covers(&other.value)
    }
}
