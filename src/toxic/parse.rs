//! The grammar of a toxic: `[upstream:|downstream:|both:][NAME=]TYPE(setting=value, …, toxicity=0.5)`.

use std::borrow::Cow;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::{Kind, Toxic, ToxicType, types, wrong_name, wrong_own_name};
use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean, shown};
use crate::fault::Direction;
use crate::plan::text::{self, Quotes, is_outside, name_and_value, split, unquote, value_of};
use crate::settings::Field;

/// What a text may begin with, and the directions of that.
const DIRECTIONS: [(&str, &[Direction]); 3] = [
    ("upstream", &[Direction::ToBackend]),
    ("downstream", &[Direction::ToClient]),
    ("both", &[Direction::ToBackend, Direction::ToClient]),
];

impl Toxic {
    /// Reads one toxic, or with `both:` two.
    ///
    /// # Errors
    ///
    /// A diagnostic for each mistake in the text.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, Diagnostics> {
        let (directions, rest) = split_direction(text)?;
        let known = types();
        let mut quotes = Quotes::default();
        let open = rest.char_indices().find(|(_, char)| quotes.is_outside(*char) && *char == '(');
        let (kind, settings) = rest.split_at(open.map_or(rest.len(), |(at, _)| at));
        let (kind, settings) = (kind.trim(), settings.trim());
        let (written, kind) = match split(kind, '=').unwrap_or_default().as_slice() {
            [name, kind] => (Some(name.trim()), kind.trim()),
            _ => (None, kind),
        };
        let name = written.map(unquote);
        let wrong = |what: String| Diagnostic::new("", format!("`{text}`: {what}"));
        let name = name.transpose().map_err(wrong)?;
        // Toxiproxy's API may call one as a count is called, and then its text has quotes.
        let check = if written.is_some_and(|name| name.starts_with('"')) { wrong_name } else { wrong_own_name };
        if let Some(what) = name.as_deref().and_then(check) {
            return Err(wrong(what).into());
        }
        let names = || known.iter().map(|known| known.name);
        let Some(of) = known.iter().find(|known| known.name == kind) else {
            let hint = did_you_mean(kind, names());
            return Err(wrong(format!(
                "unknown toxic `{kind}` (known: {}){hint}",
                names().collect::<Vec<_>>().join(", ")
            ))
            .into());
        };
        let (kind, toxicity) =
            read_settings(settings, of).map_err(|all| all.into_iter().map(wrong).collect::<Diagnostics>())?;
        let toxic = |direction: &Direction| Self { toxicity, ..Self::new(name.as_deref(), *direction, kind.clone()) };
        let toxics: Vec<_> = directions.iter().map(toxic).collect();
        if toxics.len() > 1 && name.is_some() {
            let name = name.unwrap_or_default();
            return Err(wrong(format!(
                "`both:` makes two toxics, which cannot both be called `{name}`: write one for each direction"
            ))
            .into());
        }
        Ok(toxics)
    }
}

/// Reads an item of a list of toxics, which has to be a text.
pub(crate) fn parse_item(item: &Value) -> Result<Vec<Toxic>, Diagnostics> {
    let what = || format!("{} is no text, write `\"latency(latency=100ms)\"`", shown(item));
    item.as_str().map_or_else(|| Err(Diagnostic::new("", what()).into()), Toxic::parse_all)
}

impl FromStr for Toxic {
    type Err = Diagnostics;

    fn from_str(text: &str) -> Result<Self, Diagnostics> {
        let mut toxics = Self::parse_all(text)?;
        match toxics.pop() {
            Some(toxic) if toxics.is_empty() => Ok(toxic),
            _ => Err(Diagnostic::new("", format!("`{text}` are two toxics, write one")).into()),
        }
    }
}

/// The directions that `text` begins with, and what follows.
fn split_direction(text: &str) -> Result<(&'static [Direction], &str), Diagnostic> {
    let text = text.trim();
    let head = &text[..text.find(['(', '=', '"']).unwrap_or(text.len())];
    let Some((word, _)) = head.split_once(':') else { return Ok((&[Direction::ToClient], text)) };
    let rest = text[word.len() + 1..].trim();
    match DIRECTIONS.iter().find(|(known, _)| *known == word.trim()) {
        Some((_, directions)) => Ok((directions, rest)),
        None => Err(Diagnostic::new(
            "",
            format!("`{text}`: unknown direction `{word}`, write `upstream:`, `downstream:` or `both:`"),
        )),
    }
}

/// Reads `(latency=100ms, toxicity=0.5)`, or nothing.
fn read_settings(text: &str, of: &ToxicType) -> Result<(Kind, f64), Vec<String>> {
    let within = match text.strip_prefix('(') {
        None => "",
        Some(opened) => opened
            .strip_suffix(')')
            .filter(|within| is_outside(within))
            .ok_or_else(|| vec!["nothing may follow the settings of a toxic, and each `(` needs its `)`".to_owned()])?,
    };
    let mut wrong = Vec::new();
    let (mut settings, mut toxicity) = (Map::new(), None);
    for setting in split(within, ',').unwrap_or_default().iter().map(|setting| setting.trim()) {
        if within.trim().is_empty() {
            break;
        }
        match read_setting(setting, of) {
            Ok((name, _)) if settings.contains_key(&name) || name == TOXICITY && toxicity.is_some() => {
                wrong.push(format!("`{name}` is given twice"));
            }
            Ok((name, value)) if name == TOXICITY => toxicity = value.as_f64(),
            Ok((name, value)) => drop(settings.insert(name, value)),
            Err(what) => wrong.push(what),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let kind = build(settings, of).map_err(|what| vec![what])?;
    Ok((kind, toxicity.unwrap_or(1.0)))
}

const TOXICITY: &str = "toxicity";

/// Builds a toxic of this type, which needs some settings.
pub(crate) fn build(settings: Map<String, Value>, of: &ToxicType) -> Result<Kind, String> {
    if let Some(missing) = of.needed.iter().find(|needed| !settings.contains_key(**needed)) {
        let example = of.fields.iter().find(|field| field.name == **missing).map_or("…", example);
        return Err(format!("`{}` needs `{missing}`, write `{}({missing}={example})`", of.name, of.name));
    }
    (of.build)(settings)
}

/// A value to show.
fn example(field: &Field) -> &'static str {
    match field.unit() {
        Some("time") => "100ms",
        Some("rate") => "50KB/s",
        Some(_) => "1KB",
        None => "0.01",
    }
}

/// The name and the value of `latency=100ms`.
fn read_setting(setting: &str, of: &ToxicType) -> Result<(String, Value), String> {
    let (name, text) = name_and_value(setting).ok_or_else(|| {
        let first = of.fields.first().map_or(TOXICITY, |field| &field.name);
        format!("`{setting}` is no setting, write `{first}=…`")
    })?;
    if name == TOXICITY {
        let text = unquote(text).map_err(|why| format!("`{name}`: {why}"))?;
        let toxicity = text.parse::<f64>().ok().filter(|toxicity| (0.0..=1.0).contains(toxicity));
        return toxicity.map(|toxicity| (name.to_owned(), toxicity.into())).ok_or_else(|| {
            format!("invalid toxicity `{text}`: write 0 to 1, the part of the connections that have it")
        });
    }
    let names = || of.fields.iter().map(|field| field.name.as_str()).chain([TOXICITY]);
    let Some(field) = of.fields.iter().find(|field| field.name == name) else {
        let known = names().collect::<Vec<_>>().join(", ");
        return Err(format!("unknown setting `{name}` (known: {known}){}", did_you_mean(name, names())));
    };
    Ok((field.name.clone(), value_of(field, text)?))
}

/// A name as it is read back.
pub(super) fn quoted(name: &str) -> Cow<'_, str> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
    if name.chars().all(is_plain) && wrong_own_name(name).is_none() { name.into() } else { text::quoted(name).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        Toxic::parse_all(text).unwrap().iter().map(ToString::to_string).collect()
    }

    fn wrong(text: &str) -> Vec<String> {
        Toxic::parse_all(text).err().iter().flat_map(Diagnostics::iter).map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_that_a_count_has_is_quoted() {
        let toxic = Toxic { name: "calls".to_owned(), ..Toxic::parse_all("noop").unwrap().remove(0) };
        assert_eq!(toxic.to_string(), "\"calls\"=noop");
        assert_eq!(Toxic::parse_all(&toxic.to_string()).unwrap(), [toxic]);
        assert!(Toxic::parse_all("calls=noop").is_err());
    }

    #[test]
    fn a_toxic_is_written_as_it_is_read() {
        for (text, written) in [
            ("latency(latency=100ms)", "latency(latency=100ms)"),
            (" downstream: latency ( latency = 100ms , jitter = 20ms ) ", "latency(latency=100ms,jitter=20ms)"),
            ("upstream:slow=bandwidth(rate=50KB/s, toxicity=0.5)", "upstream:slow=bandwidth(rate=50KB/s,toxicity=0.5)"),
            ("bandwidth(rate=0)", "bandwidth(rate=0)"),
            ("bandwidth_downstream=bandwidth(rate=1MB/s,shared=true)", "bandwidth(rate=1MB/s,shared=true)"),
            ("timeout", "timeout"),
            ("reset_peer(timeout=2s)", "reset_peer(timeout=2s)"),
            ("\"a b\\\"(:=\"=noop()", "\"a b\\\"(:=\"=noop"),
            (
                "slicer(average_size=64, size_variation=32, delay=10us)",
                "slicer(average_size=64,size_variation=32,delay=10us)",
            ),
            ("limit_data(bytes=1KiB)", "limit_data(bytes=1KiB)"),
            ("loss(rate=0.01,correlation=0.5,rto=1s)", "loss(rate=0.01,correlation=0.5,rto=1s)"),
            ("corrupt(rate=0.001)", "corrupt(rate=0.001)"),
            ("slow_close(delay=1m30s)", "slow_close(delay=1m30s)"),
        ] {
            assert_eq!(all(text), [written], "{text}");
            assert_eq!(all(written), [written]);
        }
        assert_eq!(all("both:latency(latency=1s)"), ["upstream:latency(latency=1s)", "latency(latency=1s)"]);
    }

    #[test]
    fn names_are_those_of_toxiproxy() {
        let names: Vec<_> =
            Toxic::parse_all("both:noop").unwrap().iter().map(|toxic| toxic.name().to_owned()).collect();
        assert_eq!(names, ["noop_upstream", "noop_downstream"]);
    }

    #[test]
    fn a_mistake_is_quoted_with_what_would_be_right() {
        let types = "latency, bandwidth, slow_close, timeout, reset_peer, slicer, limit_data, loss, corrupt, noop";
        for (text, messages) in [
            ("latenci(latency=1s)", vec![format!("unknown toxic `latenci` (known: {types}), did you mean `latency`?")]),
            ("latency(latency=100)", vec!["`latency`: `100` has no unit, write `100ms` or `100s`".to_owned()]),
            ("bandwidth(rate=50)", vec!["`rate`: `50` has no unit, write `50KB/s`".to_owned()]),
            ("latency", vec!["`latency` needs `latency`, write `latency(latency=100ms)`".to_owned()]),
            ("bandwidth", vec!["`bandwidth` needs `rate`, write `bandwidth(rate=50KB/s)`".to_owned()]),
            ("limit_data()", vec!["`limit_data` needs `bytes`, write `limit_data(bytes=1KB)`".to_owned()]),
            ("loss", vec!["`loss` needs `rate`, write `loss(rate=0.01)`".to_owned()]),
            ("up:noop", vec!["unknown direction `up`, write `upstream:`, `downstream:` or `both:`".to_owned()]),
            (
                "noop(toxicity=2)",
                vec!["invalid toxicity `2`: write 0 to 1, the part of the connections that have it".to_owned()],
            ),
            ("corrupt(rate=1.5)", vec!["`rate`: `1.5` is not from 0 to 1".to_owned()]),
            (
                "latency(latenc=1s, latency=x)",
                vec![
                    "unknown setting `latenc` (known: latency, jitter, toxicity), did you mean `latency`?".to_owned(),
                    "`latency`: invalid time `x`: write `100ms`, at most a year".to_owned(),
                ],
            ),
            (
                "latency(latency=1s) x",
                vec!["nothing may follow the settings of a toxic, and each `(` needs its `)`".to_owned()],
            ),
            ("noop(toxicity=0.5,toxicity=0.2)", vec!["`toxicity` is given twice".to_owned()]),
            ("calls=noop", vec!["`calls` is what a count is called, write another name".to_owned()]),
            ("latency(1s)", vec!["`1s` is no setting, write `latency=…`".to_owned()]),
            (
                "both:a=noop",
                vec![
                    "`both:` makes two toxics, which cannot both be called `a`: write one for each direction"
                        .to_owned(),
                ],
            ),
        ] {
            let messages: Vec<_> = messages.iter().map(|message| format!("`{text}`: {message}")).collect();
            assert_eq!(wrong(text), messages);
        }
    }
}
