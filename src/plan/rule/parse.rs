//! The grammar of a rule: `[command [key]] [condition=value …] => mix`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Rule;
use super::counts::{Counts, Per};
use super::matcher::{Field, Matcher, Place};
use super::pattern::Pattern;
use super::words::{Words, value};
use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::handler::{DynHandler, Registry};
use crate::plan::parse::{ParsedHandler, ParsedMix, wrong_name};

/// The conditions, as a rule names them.
const CONDITIONS: [&str; 15] = [
    "header.NAME",
    "query.NAME",
    "client",
    "connection",
    "after",
    "every",
    "times",
    "during",
    "per",
    "name",
    "command",
    "key",
    "method",
    "path",
    "service",
];

/// What stands before the arrow.
#[derive(Debug, Default, Clone)]
pub(super) struct Conditions {
    /// The rule's own name, if it has one.
    pub(super) name: Option<String>,
    /// As they were written, without the name.
    pub(super) written: String,
    pub(super) matcher: Matcher,
    pub(super) counts: Counts,
}

/// A rule as it is written, before its handlers have the settings that are not in it.
#[derive(Debug)]
pub(crate) struct ParsedRule {
    conditions: Conditions,
    mix: ParsedMix,
    /// The mix as it was written.
    written: String,
}

impl ParsedRule {
    /// Reads `text`, or answers all that is wrong with it.
    pub(crate) fn parse(text: &str, registry: &Registry) -> Result<Self, Vec<String>> {
        let quote = |what: String| format!("`{text}`: {what}");
        let Words { words, mix } = Words::split(text).map_err(|what| vec![quote(what)])?;
        if let Some(arrow) = other_arrow(&words, mix.is_some()) {
            return Err(vec![quote(format!("write `=>` before the handler in place of `{arrow}`"))]);
        }
        let (conditions, wrong) = Conditions::read(&words);
        let mut wrong: Vec<String> = wrong.into_iter().map(quote).collect();
        let written = mix.unwrap_or_default();
        let mix = match mix {
            None => Err(vec!["a rule needs a `=>` and a handler, write `GET /pay* => error`".to_owned()]),
            Some("") => Err(vec!["nothing follows `=>`, write `=> error` or `=> 20:delay`".to_owned()]),
            Some(mix) => ParsedMix::parse(mix, registry)
                .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>()),
        };
        match mix {
            Ok(mix) if wrong.is_empty() => Ok(Self { conditions, mix, written: written.to_owned() }),
            Ok(_) => Err(wrong),
            Err(errors) => {
                wrong.extend(errors.into_iter().map(quote));
                Err(wrong)
            }
        }
    }

    /// The handlers of the mix, as they are written.
    pub(crate) fn handlers(&self) -> impl Iterator<Item = &ParsedHandler> {
        self.mix.handlers()
    }

    /// The rule with what `handler` makes of each handler in it, and with the settings that it has for that. It was written in
    /// `place`.
    pub(crate) fn build(
        self,
        place: &str,
        handler: impl Fn(&ParsedHandler) -> Result<(Arc<dyn DynHandler>, Map<String, Value>), Diagnostic>,
    ) -> Result<Rule, Diagnostics> {
        let settings = std::cell::RefCell::default();
        let mix = self.mix.build(place, |parsed| {
            let (built, of) = handler(parsed)?;
            let settings: &mut Vec<_> = &mut *settings.borrow_mut();
            settings.push((parsed.name.clone(), of));
            Ok(built)
        })?;
        Ok(Rule::new(self.conditions, mix, self.written, Some(settings.into_inner())))
    }
}

impl Conditions {
    /// Reads `text`, in which no `=>` stands.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let quote = |what: String| format!("`{text}`: {what}");
        let words = match Words::split(text).map_err(|what| vec![quote(what)])? {
            Words { words, mix: None } => words,
            Words { .. } => return Err(vec![quote("the handlers are given as a value, leave out `=>`".to_owned())]),
        };
        let (conditions, wrong) = Self::read(&words);
        if wrong.is_empty() { Ok(conditions) } else { Err(wrong.into_iter().map(quote).collect()) }
    }

    /// The conditions, and what is wrong with them.
    fn read(all: &[&str]) -> (Self, Vec<String>) {
        let (mut conditions, mut wrong) = (Self::default(), Vec::new());
        let (mut leading, mut given) = (Vec::new(), Vec::new());
        let mut words = all.iter().copied().peekable();
        while let Some(word) = words.next() {
            if let Some(meant) = words.peek().and_then(|value| field_with_colon(word, value)) {
                let value = words.next().unwrap_or_default();
                wrong.push(format!("`{word} {value}`: write `{meant}`"));
                continue;
            }
            let done = match word.split_once('=').filter(|_| !word.starts_with('"')) {
                Some((name, text)) => {
                    let name = if name.starts_with("header.") { name.to_ascii_lowercase() } else { name.to_owned() };
                    let is_twice = given.contains(&name);
                    given.push(name.clone());
                    if is_twice { Err(format!("`{name}` is given twice")) } else { conditions.take(&name, text, word) }
                }
                None if !given.is_empty() => Err(format!("`{word}` has to stand before the conditions")),
                None => {
                    leading.push(word);
                    Ok(())
                }
            };
            wrong.extend(done.err());
        }
        wrong.extend(conditions.take_leading(&leading).err());
        if given.iter().any(|name| name == "per") && !conditions.counts.has_numbers() && wrong.is_empty() {
            wrong.push("`per` says over what is counted, add `after`, `every` or `times`".to_owned());
        }
        let is_name = |word: &&&str| word.starts_with("name=");
        let written: Vec<&str> = all.iter().filter(|word| !is_name(word)).copied().collect();
        conditions.written = written.join(" ");
        (conditions, wrong)
    }

    /// The command and the key.
    fn take_leading(&mut self, words: &[&str]) -> Result<(), String> {
        if let Some(meant) = with_bars(words) {
            return Err(format!("`{}`: write alternatives as `{meant}`", words.join(" ")));
        }
        let (command, key) = match words {
            [] => (None, None),
            [path, method, ..] if path.trim_start_matches('"').starts_with('/') => {
                return Err(format!("`{path} {method}`: the method stands first, write `{method} {path}`"));
            }
            [path] if path.trim_start_matches('"').starts_with('/') => (None, Some(path)),
            [command] => (Some(command), None),
            [command, key] => (Some(command), Some(key)),
            [.., more] => {
                return Err(format!("`{more}` is a third word, a rule begins with a command and a key at most"));
            }
        };
        if let Some(command) = command {
            set(&mut self.matcher.command, "command", &value(command)?, true)?;
        }
        if let Some(key) = key {
            set(&mut self.matcher.key, "key", &value(key)?, false)?;
        }
        Ok(())
    }

    /// The condition `name` with its value, which stand in `word`.
    fn take(&mut self, name: &str, text: &str, word: &str) -> Result<(), String> {
        let value = value(text).map_err(|what| format!("`{name}`: {what}"))?;
        let number = |least: u64| {
            let number = value.parse().ok().filter(|number| *number >= least);
            number.ok_or_else(|| format!("`{word}`: write a whole number, {least} or more"))
        };
        let Matcher { command, key, method, fields, clients, connections, named } = &mut self.matcher;
        if let Some((place, field)) = field_of(name) {
            named.push(format!("`{name}`"));
            let value = Pattern::parse(&value, false).map_err(|what| format!("`{name}`: {what}"))?;
            fields.push(Field { place, name: field.to_owned(), value });
            return Ok(());
        }
        match name {
            "command" => set(command, name, &value, true)?,
            "method" => {
                set(command, name, &value, true)?;
                // With `grpc` it is that of gRPC.
                set(method, name, &value, false)?;
            }
            "service" => {
                let value = Pattern::parse(&value, false)?;
                fields.push(Field { place: Place::Service, name: name.to_owned(), value });
            }
            "key" | "path" => set(key, name, &value, false)?,
            "client" => *clients = listed(&value)?,
            "connection" => {
                // They are numbered from 1.
                let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
                let wrong = || format!("`{word}`: write the number of a connection, or several: `connection=1|2`");
                *connections = value.split('|').map(number).collect::<Option<_>>().ok_or_else(wrong)?;
            }
            "after" => self.counts.after = number(0)?,
            "every" => self.counts.every = number(1)?,
            "times" => self.counts.times = Some(number(1)?),
            "during" => self.counts.during = Some(value.parse()?),
            "per" => {
                self.counts.per = match value.as_str() {
                    "proxy" => Per::Proxy,
                    "connection" => Per::Connection,
                    _ => return Err(format!("`{word}`: write `per=connection` or `per=proxy`")),
                }
            }
            "name" => {
                wrong_name(&value).map_or(Ok(()), Err)?;
                self.name = Some(value);
            }
            unknown => {
                if let Some(meant) = with_query(word) {
                    return Err(format!("`{word}`: the query is a condition of its own, write `{meant}`"));
                }
                // What gRPC calls header fields.
                if let Some((_, field)) = word.split_once('.').filter(|(place, _)| *place == "metadata") {
                    return Err(format!("unknown condition `{unknown}`, write `header.{field}`"));
                }
                let hint = did_you_mean(unknown, CONDITIONS);
                let known = CONDITIONS.join(", ");
                let quote = format!("quote a command or a key: `\"{word}\"`");
                if hint.is_empty() && is_field_name(unknown) {
                    let fields = format!("`header.{word}` or `query.{word}`");
                    let fields = if unknown.contains(|char: char| char == '-' || char.is_ascii_uppercase()) {
                        format!("`header.{word}`")
                    } else {
                        fields
                    };
                    return Err(format!(
                        "unknown condition `{unknown}`, with http write {fields}; {quote} (known: {known})"
                    ));
                }
                return Err(format!("unknown condition `{unknown}`, {quote} (known: {known}){hint}"));
            }
        }
        if matches!(name, "command" | "method" | "key" | "path" | "service") {
            self.matcher.named.push(format!("`{name}`"));
        }
        Ok(())
    }
}

/// What stands where `=>` belongs, if something does.
fn other_arrow<'w>(words: &[&'w str], has_mix: bool) -> Option<&'w str> {
    const ARROWS: [&str; 9] = ["->", "-->", "==", "=", "→", "⇒", "~>", ">", ":"];
    let word = words.iter().copied().find(|word| ARROWS.contains(word));
    if has_mix {
        // `==>` and `= =>` end with the right one.
        return word.filter(|word| word.starts_with('=')).map(|word| if word == "=" { "==>" } else { word });
    }
    let within = || words.iter().any(|word| !word.starts_with('"') && word.contains("->")).then_some("->");
    word.or_else(within)
}

/// The condition that a header field is written as that has a colon: `X-Tenant: acme`, `header.X-Tenant: acme`.
fn field_with_colon(word: &str, value: &str) -> Option<String> {
    let name = word.strip_suffix(':')?;
    let is_plain = is_field_name(name.trim_start_matches("header.").trim_start_matches("query."));
    let field =
        if field_of(name).is_some() || CONDITIONS.contains(&name) { name.to_owned() } else { format!("header.{name}") };
    (is_plain && !value.contains('=')).then(|| format!("{field}={value}"))
}

fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '-' || char == '_')
}

/// What `/pay?id=7` is as a path and conditions: `/pay query.id=7`.
fn with_query(word: &str) -> Option<String> {
    let (path, query) = word.split_once('?').filter(|(path, _)| path.starts_with('*') || path.contains('/'))?;
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    let conditions: Vec<_> = parameters.map(|parameter| format!(" query.{parameter}")).collect();
    Some(format!("{path}{}", conditions.concat()))
}

/// The words in which commas, or bars with blanks beside them, separate commands, as they are right: `SET|DEL user:*`.
fn with_bars(words: &[&str]) -> Option<String> {
    const SEPARATORS: [char; 2] = [',', '|'];
    if words.iter().any(|word| word.starts_with(['~', '"'])) {
        return None;
    }
    let mut merged: Vec<String> = Vec::new();
    for word in words {
        match merged.last_mut() {
            // The second of two words is a key, which may begin so.
            Some(last) if last.ends_with(SEPARATORS) || words.len() > 2 && word.starts_with(SEPARATORS) => {
                let begin = last.trim_end_matches(SEPARATORS).len();
                last.truncate(begin);
                last.push('|');
                last.push_str(word.trim_start_matches(SEPARATORS));
            }
            _ => merged.push((*word).to_owned()),
        }
    }
    if merged.len() > 1 || !words.first()?.starts_with('/') {
        merged[0] = merged[0].replace(',', "|");
    }
    let meant = merged.join(" ");
    (meant != words.join(" ") && merged.len() <= 2).then_some(meant)
}

/// What `header.x-tenant` or `query.id` is about.
fn field_of(name: &str) -> Option<(Place, &str)> {
    let (place, name) = name.split_once('.').filter(|(_, name)| !name.is_empty())?;
    match place {
        "header" => Some((Place::Header, name)),
        "query" => Some((Place::Query, name)),
        _ => None,
    }
}

/// Sets a pattern that is not set yet; `*` says nothing.
fn set(pattern: &mut Option<Pattern>, what: &str, text: &str, ignores_case: bool) -> Result<(), String> {
    if pattern.is_some() {
        return Err(format!("the {what} is given twice"));
    }
    *pattern = Some(Pattern::parse(text, ignores_case)?).filter(|pattern| !pattern.is_anything());
    Ok(())
}

fn listed<T: std::str::FromStr>(text: &str) -> Result<Vec<T>, T::Err> {
    text.split('|').map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        ParsedRule::parse(text, &Registry::default()).err().unwrap_or_default()
    }

    #[test]
    fn rules_are_read() {
        for text in [
            "GET /api/pay* times=3 => error",
            "SET user:* => 30:error(warmup=1)",
            "* header.x-tenant=acme after=100 every=10 => 50:delay(sleep=1s)",
            "AUTH|HELLO|CLIENT => dummy",
            "=> delay",
            "client=10.0.0.0/8|::1 connection=7|9 => dummy",
            "/api query.id=~^[0-9]+$ => 20:a=delay,5:error",
            r#"GET "a=b =>" name=pay => error"#,
            "during=10s..20s/60s times=1 per=connection => reset",
            "GET a,b => error",
            "GET ,a => error",
            "/a,b => error",
            "user: => error",
        ] {
            assert_eq!(wrong(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_quoted_with_what_would_be_right() {
        for (text, message) in [
            ("GET /a", "`GET /a`: a rule needs a `=>` and a handler, write `GET /pay* => error`"),
            ("GET =>", "`GET =>`: nothing follows `=>`, write `=> error` or `=> 20:delay`"),
            ("a b c => error", "`a b c => error`: `c` is a third word, a rule begins with a command and a key at most"),
            ("GET -> error", "`GET -> error`: write `=>` before the handler in place of `->`"),
            ("GET->error", "`GET->error`: write `=>` before the handler in place of `->`"),
            ("times=3 = error", "`times=3 = error`: write `=>` before the handler in place of `=`"),
            ("GET ==> error", "`GET ==> error`: write `=>` before the handler in place of `==>`"),
            (
                "GET /pay?id=7&b=1 => error",
                "`GET /pay?id=7&b=1 => error`: `/pay?id=7&b=1`: the query is a condition of its own, write `/pay query.id=7 query.b=1`",
            ),
            (
                "X-Tenant=acme => error",
                "`X-Tenant=acme => error`: unknown condition `X-Tenant`, with http write `header.X-Tenant=acme`; quote a command \
                 or a key: `\"X-Tenant=acme\"` (known: header.NAME, query.NAME, client, connection, after, every, times, \
                 during, per, name, command, key, method, path, service)",
            ),
            (
                "metadata.x-tenant=acme => error",
                "`metadata.x-tenant=acme => error`: unknown condition `metadata.x-tenant`, write `header.x-tenant=acme`",
            ),
            (
                "header.X-Tenant: acme times=1 => error",
                "`header.X-Tenant: acme times=1 => error`: `header.X-Tenant: acme`: write `header.X-Tenant=acme`",
            ),
            (
                "GET /a X-Tenant: acme => error",
                "`GET /a X-Tenant: acme => error`: `X-Tenant: acme`: write `header.X-Tenant=acme`",
            ),
            ("/pay GET => error", "`/pay GET => error`: `/pay GET`: the method stands first, write `GET /pay`"),
            (
                "SET, DEL user:* => error",
                "`SET, DEL user:* => error`: `SET, DEL user:*`: write alternatives as `SET|DEL user:*`",
            ),
            ("SET,DEL => error", "`SET,DEL => error`: `SET,DEL`: write alternatives as `SET|DEL`"),
            ("SET | DEL a => error", "`SET | DEL a => error`: `SET | DEL a`: write alternatives as `SET|DEL a`"),
            ("times=1 GET => error", "`times=1 GET => error`: `GET` has to stand before the conditions"),
            ("times=0 => error", "`times=0 => error`: `times=0`: write a whole number, 1 or more"),
            ("after=x => error", "`after=x => error`: `after=x`: write a whole number, 0 or more"),
            ("every=2 every=3 => error", "`every=2 every=3 => error`: `every` is given twice"),
            (
                "per=connection => error",
                "`per=connection => error`: `per` says over what is counted, add `after`, `every` or `times`",
            ),
            (
                "times=1 per=call => error",
                "`times=1 per=call => error`: `per=call`: write `per=connection` or `per=proxy`",
            ),
            (
                "client=here => error",
                "`client=here => error`: `here` is no network, write `10.0.0.0/8` or an IP address",
            ),
            (
                "connection=0|2 => error",
                "`connection=0|2 => error`: `connection=0|2`: write the number of a connection, or several: `connection=1|2`",
            ),
            ("GET command=SET => error", "`GET command=SET => error`: the command is given twice"),
            (
                "name=a.b => error",
                "`name=a.b => error`: invalid name `a.b`: write 1 to 64 letters, digits, `_` and `-`",
            ),
            ("~( => error", "`~( => error`: invalid regular expression `(`: unclosed group"),
            (
                "tims=3 => error",
                "`tims=3 => error`: unknown condition `tims`, quote a command or a key: `\"tims=3\"` (known: header.NAME, \
                 query.NAME, client, connection, after, every, times, during, per, name, command, key, method, path, service), did \
                 you mean `times`?",
            ),
            (
                "GET => eror",
                "`GET => eror`: unknown handler `eror` (known: abort, blackout, corrupt, cut, delay, dummy, error, goaway, hang, \
                 miss, reply, reset, slow, tls, transient), did you mean `error`?",
            ),
        ] {
            assert_eq!(wrong(text), [message], "{text}");
        }
        assert_eq!(wrong("every=0 => 20:delay,90:error").len(), 2, "all mistakes are told");
    }
}
