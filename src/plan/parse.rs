//! The grammar of a mix: `delay`, `20:delay,5:error`, or `20:delay(sleep=250ms),1:late=delay(sleep=5s)`.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::mix::{Mix, REST, ROUNDING};
use super::text::{is_outside, name_and_value, split, value_of};
use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::handler::{DynHandler, Entry, Registry, Sequence, Step};
use crate::metrics::summary::COUNTED;
use crate::protocol::grpc::Statuses;
use crate::settings::Field;

/// How long the name of a share may be, in characters.
const LONGEST_NAME: usize = 64;

/// A mix as it is written, before its handlers have the settings that are not in it.
#[derive(Debug, Default)]
pub(crate) struct ParsedMix {
    entries: Vec<ParsedEntry>,
}

#[derive(Debug)]
struct ParsedEntry {
    percent: f64,
    name: String,
    /// One, or a sequence.
    steps: Vec<ParsedHandler>,
}

/// A handler as it is written: `delay(sleep=250ms)`.
#[derive(Debug, Default)]
pub(crate) struct ParsedHandler {
    /// The name that it is registered under.
    pub(crate) name: String,
    /// The settings in place.
    pub(crate) settings: Map<String, Value>,
    /// What stands within the parentheses.
    written: String,
}

/// What is wrong with a mix; it quotes the entry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MixError {
    /// No handler has this name.
    #[error("unknown handler `{name}` {known}")]
    UnknownHandler {
        name: String,
        /// The handlers that there are, and which was probably meant.
        known: String,
    },
    #[error("{0}")]
    Invalid(String),
}

/// What other programs call a handler.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("delay", &["latency", "sleep", "wait", "lag", "jitter"]),
    ("hang", &["timeout", "stall", "freeze", "block"]),
    ("error", &["fail", "failure", "fault", "status", "exception"]),
    ("blackout", &["close", "drop", "down", "disconnect", "refuse"]),
    ("reset", &["rst", "reset_peer"]),
    ("slow", &["bandwidth", "throttle", "rate"]),
    ("cut", &["truncate", "partial", "limit_data"]),
    ("corrupt", &["flip", "garbage"]),
    ("miss", &["nil", "null", "empty", "not_found"]),
    ("reply", &["answer", "respond", "body", "mock"]),
    ("dummy", &["pass", "none", "allow", "off", "noop"]),
];

/// The statuses that `error` answers with.
const STATUSES: std::ops::RangeInclusive<u16> = 200..=599;

impl MixError {
    pub(crate) fn unknown_handler(name: &str, registry: &Registry) -> Self {
        let known: Vec<_> = registry.names().collect();
        let elsewhere = |words: &[&str]| words.contains(&name.to_lowercase().as_str());
        let meant = ELSEWHERE.iter().find(|(ours, words)| known.contains(ours) && elsewhere(words));
        let hint = match meant {
            Some((meant, _)) => format!(", did you mean `{meant}`?"),
            None => did_you_mean(name, known.iter().copied()),
        };
        Self::UnknownHandler { name: name.to_owned(), known: format!("(known: {}){hint}", known.join(", ")) }
    }
}

impl ParsedMix {
    /// Reads `text`, or answers all that is wrong with it.
    pub(crate) fn parse(text: &str, registry: &Registry) -> Result<Self, Vec<MixError>> {
        let (mut entries, mut errors) = (Vec::new(), Vec::new());
        let parts = split(text, ',').map_err(|unclosed| vec![MixError::Invalid(unclosed.within(text))])?;
        let is_alone = parts.len() == 1;
        for entry in parts.into_iter().map(str::trim) {
            if entry.is_empty() {
                let what = format!("`{text}` has an empty entry, write `delay` or `20:delay,5:error`");
                errors.push(MixError::Invalid(what));
            } else {
                entries.extend(ParsedEntry::parse(entry, is_alone, registry, &mut errors));
            }
        }
        for (number, entry @ ParsedEntry { name, .. }) in entries.iter().enumerate() {
            let earlier = entries[..number].iter().filter(|other| other.name == *name).count();
            if earlier == 1 && !name.is_empty() {
                errors.push(MixError::Invalid(twice(name, &entry.kind())));
            }
        }
        let sum: f64 = entries.iter().map(|entry| entry.percent).sum();
        if sum > 100.0 + ROUNDING {
            errors.push(MixError::Invalid(over(sum)));
        }
        if errors.is_empty() { Ok(Self { entries }) } else { Err(errors) }
    }

    /// The handlers in the order of the text, as they are written.
    pub(crate) fn handlers(&self) -> impl Iterator<Item = &ParsedHandler> {
        self.entries.iter().flat_map(|entry| &entry.steps)
    }

    /// The mix with what `handler` makes of each handler in it. It was written in `place`.
    pub(crate) fn build(
        &self,
        place: &str,
        handler: impl Fn(&ParsedHandler) -> Result<Arc<dyn DynHandler>, Diagnostic>,
    ) -> Result<Mix, Diagnostics> {
        let mut diagnostics = Diagnostics::default();
        let mut mix = Mix::rest(handler(&ParsedHandler { name: REST.to_owned(), ..ParsedHandler::default() })?);
        for entry in self.entries.iter().filter(|entry| entry.name != REST) {
            let step =
                |parsed: &ParsedHandler| Ok(Step { name: parsed.name.as_str().into(), handler: handler(parsed)? });
            let steps: Result<Vec<_>, _> = entry.steps.iter().map(step).collect();
            let written = entry.written();
            let sequence = steps.and_then(|steps| {
                Sequence::new(steps).map_err(|why| Diagnostic::new(place, format!("`{written}`: {why}")))
            });
            match sequence {
                Ok(sequence) => mix = mix.add(entry.percent, &entry.name, &written, sequence),
                Err(refused) => diagnostics.push(refused),
            }
        }
        diagnostics.none_or(mix)
    }
}

impl ParsedEntry {
    /// Reads `20:late=delay(sleep=5s)`; without a percentage where it `is_alone`.
    fn parse(entry: &str, is_alone: bool, registry: &Registry, errors: &mut Vec<MixError>) -> Option<Self> {
        let mut invalid = |what: String| errors.push(MixError::Invalid(what));
        if let Some(meant) = meant(entry, registry) {
            invalid(format!("`{entry}` is no handler, write `{meant}`"));
            return None;
        }
        // Before any setting, and any second handler.
        let head = &entry[..entry.find(['(', '+']).unwrap_or(entry.len())];
        let (percent, named) = match head.split_once(':') {
            Some((name, percent)) if registry.get(name).is_some() && percent.parse::<f64>().is_ok() => {
                invalid(format!("`{entry}` is the wrong way round, write `{percent}:{name}`"));
                return None;
            }
            Some((percent, _)) => (percent.trim(), entry[percent.len() + 1..].trim()),
            None if entry.parse::<f64>().is_ok() => (entry, ""),
            None if is_alone => ("100", entry),
            None => ("", entry),
        };
        // Behind the head, `=` stands in settings.
        let (name, handlers) = match named.split_once('=').filter(|_| head.contains('=')) {
            Some((name, handlers)) => (Some(name.trim()), handlers.trim()),
            None => (None, named),
        };
        let steps = split(handlers, '+').unwrap_or_default();
        let step_name = |step: &&str| step[..step.find('(').unwrap_or(step.len())].trim().to_owned();
        let unknown: Vec<_> = steps.iter().map(step_name).filter(|name| registry.get(name).is_none()).collect();
        let number = percent.parse::<f64>().ok().filter(|number| number.is_finite());
        match number {
            // There is no such handler, so there is nothing to write before it.
            _ if percent.is_empty() && unknown.iter().any(|name| !name.is_empty()) => {}
            _ if percent.is_empty() => invalid(format!("`{entry}` has no percentage, write `20:{named}`")),
            None => match percent.strip_suffix('%') {
                Some(number) => invalid(format!("`{percent}` has a percent sign, write `{number}:{named}`")),
                None => invalid(format!("`{percent}` is not a percentage, write `20:delay`")),
            },
            Some(..0.0) => invalid(negative(percent)),
            Some(_) => {}
        }
        for name in &unknown {
            if handlers.is_empty() {
                errors.push(MixError::Invalid(format!("`{entry}` names no handler, write `20:delay`")));
            } else if name.is_empty() {
                errors.push(MixError::Invalid(format!("`{entry}` has an empty step, write `delay+error`")));
            } else {
                errors.push(MixError::unknown_handler(name, registry));
            }
        }
        let parse_step = |step: &&str| {
            let name = step_name(step);
            let settings = step[step.find('(').unwrap_or(step.len())..].trim();
            ParsedHandler::parse(&name, settings, registry.get(&name)).unwrap_or_else(|wrong| {
                errors.extend(wrong.into_iter().map(|what| MixError::Invalid(format!("`{entry}`: {what}"))));
                ParsedHandler { name, ..ParsedHandler::default() }
            })
        };
        let steps: Vec<_> = steps.iter().map(parse_step).collect();
        let mut parsed = Self { percent: number.unwrap_or_default(), name: String::new(), steps };
        let kind = parsed.kind();
        // `dummy` is the rest of the calls, which gets nothing.
        let rest = |name: &str| {
            (name == REST && kind != REST).then(|| format!("`{REST}` is the rest of the calls, write another name"))
        };
        if let Some(what) = name.and_then(|name| wrong_name(name).or_else(|| rest(name))) {
            errors.push(MixError::Invalid(format!("`{entry}`: {what}")));
        }
        parsed.name = name.map_or(kind, str::to_owned);
        number.filter(|number| *number >= 0.0)?;
        Some(parsed)
    }

    /// The names of its handlers: `delay+error`.
    fn kind(&self) -> String {
        let names: Vec<_> = self.steps.iter().map(|step| step.name.as_str()).collect();
        names.join("+")
    }

    /// Its handlers with their settings in place.
    fn written(&self) -> String {
        let written: Vec<_> = self.steps.iter().map(ToString::to_string).collect();
        written.join("+")
    }
}

impl fmt::Display for ParsedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, written, .. } = self;
        if written.is_empty() { f.write_str(name) } else { write!(f, "{name}({written})") }
    }
}

impl ParsedHandler {
    /// Reads the handler `name` with `settings` in parentheses, or none. Without a `known` handler they cannot be checked.
    fn parse(name: &str, settings: &str, known: Option<&Entry>) -> Result<Self, Vec<String>> {
        let (Some(known), Some(opened)) = (known, settings.strip_prefix('(')) else {
            return Ok(Self { name: name.to_owned(), ..Self::default() });
        };
        let Some(within) = opened.strip_suffix(')').filter(|within| is_outside(within)) else {
            return Err(vec!["nothing may follow the settings of a handler but a comma or `+`".to_owned()]);
        };
        let written = within.trim().to_owned();
        let mut parsed = Self { name: name.to_owned(), settings: Map::new(), written };
        let mut wrong = Vec::new();
        let settings = split(within, ',').unwrap_or_default();
        for setting in settings.iter().map(|setting| setting.trim()).filter(|_| !parsed.written.is_empty()) {
            match read_setting(setting, known) {
                Ok((name, _)) if parsed.settings.contains_key(&name) => wrong.push(format!("`{name}` is given twice")),
                Ok((name, value)) => drop(parsed.settings.insert(name, value)),
                Err(what) => wrong.push(what),
            }
        }
        if wrong.is_empty() { Ok(parsed) } else { Err(wrong) }
    }
}

/// What an entry probably means in which a status or settings stand without parentheses: `503`, `error:503`, `error kind=err`.
fn meant(entry: &str, registry: &Registry) -> Option<String> {
    let (percent, named) = match entry.split_once(':') {
        Some((percent, named)) if percent.trim().parse::<f64>().is_ok() => {
            (format!("{}:", percent.trim()), named.trim())
        }
        _ => (String::new(), entry),
    };
    if is_status(named) {
        registry.get("error")?;
        return Some(format!("{percent}error(status={named})"));
    }
    let end = named.find(|char: char| char.is_whitespace() || matches!(char, ':' | '='))?;
    let (handler, settings) = named.split_at(end);
    let known = registry.get(handler)?;
    let is_blank = settings.starts_with(char::is_whitespace);
    let settings = settings.trim_start_matches(|char: char| char.is_whitespace() || matches!(char, ':' | '='));
    if is_status(settings) && known.fields.iter().any(|field| field.name == "status") {
        return Some(format!("{percent}{handler}(status={settings})"));
    }
    let are_settings = is_blank && settings.contains('=') && !settings.contains('(');
    are_settings.then(|| {
        let settings: Vec<_> = settings.split_whitespace().collect();
        format!("{percent}{handler}({})", settings.join(", "))
    })
}

/// Whether a text is a status of `http`, or several: `503`, `500|503`.
fn is_status(text: &str) -> bool {
    text.split('|').all(|part| part.parse().is_ok_and(|status| STATUSES.contains(&status)))
}

/// The name and the value of `sleep=250ms`.
fn read_setting(setting: &str, of: &Entry) -> Result<(String, Value), String> {
    let has = |name: &str| of.fields.iter().any(|field| field.name == name);
    let field_of = |value: &str| {
        let kinds = of.fields.iter().find(|field| field.name == "kind").map(Field::values).unwrap_or_default();
        let is_kind = kinds.contains(&value.to_lowercase());
        if is_kind { Some("kind") } else { Some("status").filter(|status| is_status(value) && has(status)) }
    };
    let is_grpc = |value: &str| has("grpc") && value.parse::<f64>().is_err() && value.parse::<Statuses>().is_ok();
    let grpc = |value: &str| format!("{}(grpc={})", of.name, value.to_uppercase());
    if is_grpc(setting) {
        return Err(format!("`{setting}` is no setting, write `{}` with grpc", grpc(setting)));
    }
    let (name, text) = name_and_value(setting).ok_or_else(|| {
        let first = of.fields.first().map_or("name", |field| &field.name);
        let meant = field_of(setting)
            .map_or_else(|| format!("{first}=…"), |field| format!("{}({field}={})", of.name, setting.to_lowercase()));
        format!("`{setting}` is no setting, write `{meant}`")
    })?;
    let names = || of.fields.iter().map(|field| field.name.as_str());
    let Some(field) = of.fields.iter().find(|field| field.name == name) else {
        if let Some(field) = field_of(text) {
            let meant = format!("{}({field}={})", of.name, text.to_lowercase());
            return Err(format!("unknown setting `{name}`, write `{meant}`"));
        }
        let known = match names().collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => format!("`{}` has no settings", of.name),
            known => format!("known: {known}"),
        };
        return Err(format!("unknown setting `{name}` ({known}){}", did_you_mean(name, names())));
    };
    let value = value_of(field, text).map_err(|why| match name {
        "kind" | "status" if is_grpc(text) => {
            format!("`{setting}` is a status of gRPC, write `{}` with grpc", grpc(text))
        }
        // As every choice, it has been told with those that there are.
        "code" if !why.ends_with('?') => match text.parse::<Statuses>() {
            Ok(status) => {
                format!("{why}, which are codes of HTTP/2: for a status of gRPC write `error(grpc={status})`")
            }
            Err(_) => why,
        },
        _ => why,
    })?;
    Ok((field.name.clone(), value))
}

/// What is wrong with the name of a share or of a rule, if anything.
pub(crate) fn wrong_name(name: &str) -> Option<String> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
        return Some(format!("invalid name `{name}`: write 1 to {LONGEST_NAME} letters, digits, `_` and `-`"));
    }
    COUNTED.contains(&name).then(|| format!("`{name}` is what a count is called, write another name"))
}

pub(super) fn negative(percent: impl std::fmt::Display) -> String {
    format!("`{percent}` is negative, a percentage is 0 to 100")
}

/// What is wrong with a name that is repeated.
pub(super) fn twice(name: &str, handler: &str) -> String {
    format!("`{name}` is given twice, give one of them a name of its own: `NAME={handler}`")
}

/// What is wrong with percentages of more than 100.
pub(super) fn over(sum: f64) -> String {
    // Without what decimals add up to beyond the ninth digit.
    let sum = (sum / ROUNDING).round() * ROUNDING;
    let sum = format!("{sum:.9}");
    let sum = sum.trim_end_matches('0').trim_end_matches('.');
    format!("the percentages add up to {sum}, at most 100 is possible")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        let errors = ParsedMix::parse(text, &Registry::default()).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_other_programs_call_a_handler_is_known() {
        for (text, meant) in [
            ("timeout", "hang"),
            ("latency", "delay"),
            ("20:Latency(latency=1)", "delay"),
            ("drop", "blackout"),
            ("ERROR", "error"),
        ] {
            let wrong = wrong(text);
            assert!(wrong.iter().any(|what| what.ends_with(&format!(", did you mean `{meant}`?"))), "{wrong:?}");
        }
    }

    #[test]
    fn settings_and_names_stand_in_place() {
        for (text, written) in [
            ("delay(sleep=250ms)", "delay(sleep=250ms)"),
            ("20:delay( sleep = 250ms , before = false ),5:error", "20:delay(sleep = 250ms , before = false),5:error"),
            ("10:delay(sleep=100ms),1:slow=delay(sleep=5s)", "10:delay(sleep=100ms),1:slow=delay(sleep=5s)"),
            ("100 : late = delay ( sleep=\"1m 30s\" )", "late=delay(sleep=\"1m 30s\")"),
            ("delay=delay", "delay"),
            ("delay()", "delay"),
            ("calm=dummy", "calm=dummy"),
        ] {
            let mix: Mix = text.parse().unwrap();
            assert_eq!(mix.to_string(), written);
            assert_eq!(written.parse::<Mix>().unwrap().to_string(), written, "it is read as it is written");
        }
    }

    #[test]
    fn settings_in_place_have_their_types() {
        let parsed = ParsedMix::parse("10:delay(sleep=0.25,before=false),1:cut(after=\"10%\")", &Registry::default());
        let settings: Vec<Value> = parsed.unwrap().handlers().map(|handler| handler.settings.clone().into()).collect();
        assert_eq!(
            settings,
            [serde_json::json!({ "sleep": "0.25", "before": false }), serde_json::json!({ "after": "10%" })]
        );
    }

    #[test]
    fn a_mistake_is_quoted_with_what_would_be_right() {
        for (text, message) in [
            (
                "20:delay(slep=1s)",
                "`20:delay(slep=1s)`: unknown setting `slep` (known: sleep, before), did you mean `sleep`?",
            ),
            (
                "delay(sleep=soon)",
                "`delay(sleep=soon)`: `sleep`: invalid duration `soon`: write `10s`, `250ms` or seconds",
            ),
            ("delay(1s)", "`delay(1s)`: `1s` is no setting, write `sleep=…`"),
            ("delay(sleep=)", "`delay(sleep=)`: `sleep=` is no setting, write `sleep=…`"),
            ("delay(sleep=1m 30s)", "`delay(sleep=1m 30s)`: `sleep`: write `\"1m 30s\"`, in double quotes"),
            ("delay(sleep=1s,sleep=2s)", "`delay(sleep=1s,sleep=2s)`: `sleep` is given twice"),
            ("delay(sleep=1s,)", "`delay(sleep=1s,)`: `` is no setting, write `sleep=…`"),
            ("delay(sleep=1s", "`delay(sleep=1s`: a parenthesis is not closed, add `)`"),
            ("delay(sleep=\"1s)", "`delay(sleep=\"1s)`: a quote is not closed, add `\"`"),
            ("delay)sleep=1s(", "`delay)sleep=1s(`: a `)` has no `(`"),
            ("delay(sleep=1s)x", "`delay(sleep=1s)x`: nothing may follow the settings of a handler but a comma or `+`"),
            (
                "delay(sleep=1s)(before=true)",
                "`delay(sleep=1s)(before=true)`: nothing may follow the settings of a handler but a comma or `+`",
            ),
            ("dummy(sleep=1s)", "`dummy(sleep=1s)`: unknown setting `sleep` (`dummy` has no settings)"),
            (
                "delya(sleep=1s)",
                "unknown handler `delya` (known: abort, blackout, corrupt, cut, delay, dummy, error, goaway, hang, miss, reply, reset, slow, tls, transient), did you mean `delay`?",
            ),
            ("503", "`503` is no handler, write `error(status=503)`"),
            ("20:503", "`20:503` is no handler, write `20:error(status=503)`"),
            ("error:503", "`error:503` is no handler, write `error(status=503)`"),
            ("error=500|503", "`error=500|503` is no handler, write `error(status=500|503)`"),
            ("error status=503", "`error status=503` is no handler, write `error(status=503)`"),
            ("5:error kind=err to=a:1", "`5:error kind=err to=a:1` is no handler, write `5:error(kind=err, to=a:1)`"),
            ("error(503)", "`error(503)`: `503` is no setting, write `error(status=503)`"),
            ("error(code=503)", "`error(code=503)`: unknown setting `code`, write `error(status=503)`"),
            ("error(READONLY)", "`error(READONLY)`: `READONLY` is no setting, write `error(kind=readonly)`"),
            (
                "error(UNAVAILABLE)",
                "`error(UNAVAILABLE)`: `UNAVAILABLE` is no setting, write `error(grpc=UNAVAILABLE)` with grpc",
            ),
            (
                "error(status=UNAVAILABLE)",
                "`error(status=UNAVAILABLE)`: `status=UNAVAILABLE` is a status of gRPC, write `error(grpc=UNAVAILABLE)` with grpc",
            ),
            (
                "error(kind=unavailable|internal)",
                "`error(kind=unavailable|internal)`: `kind=unavailable|internal` is a status of gRPC, write \
                 `error(grpc=UNAVAILABLE|INTERNAL)` with grpc",
            ),
            (
                "reset(code=UNAVAILABLE)",
                "`reset(code=UNAVAILABLE)`: `code`: `UNAVAILABLE` is not one of NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, \
                 FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, \
                 COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED, which are \
                 codes of HTTP/2: for a status of gRPC write `error(grpc=UNAVAILABLE)`",
            ),
            (
                "goaway(code=14)",
                "`goaway(code=14)`: `code`: `14` is not one of NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, \
                 SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, \
                 CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED, which are codes of HTTP/2: for \
                 a status of gRPC write `error(grpc=UNAVAILABLE)`",
            ),
            ("delay,error(warmup=1)", "`error(warmup=1)` has no percentage, write `20:error(warmup=1)`"),
            ("10:delay,5:delay", "`delay` is given twice, give one of them a name of its own: `NAME=delay`"),
            ("10:a=delay,5:a=error", "`a` is given twice, give one of them a name of its own: `NAME=error`"),
            ("10:calls=delay", "`10:calls=delay`: `calls` is what a count is called, write another name"),
            ("10:a.b=delay", "`10:a.b=delay`: invalid name `a.b`: write 1 to 64 letters, digits, `_` and `-`"),
            ("10:=delay", "`10:=delay`: invalid name ``: write 1 to 64 letters, digits, `_` and `-`"),
            ("100:dummy=error", "`100:dummy=error`: `dummy` is the rest of the calls, write another name"),
            ("10:slow=", "`10:slow=` names no handler, write `20:delay`"),
        ] {
            assert!(wrong(text).contains(&message.to_owned()), "{text}: {:#?}", wrong(text));
        }
    }
}
