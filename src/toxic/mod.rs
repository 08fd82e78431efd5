//! Toxics: what happens to the bytes of one direction of a connection, whatever calls they belong to.
//!
//! The vocabulary is Toxiproxy's. A toxic is a value; [`ActiveToxics`] are those of a proxy, which change while connections are
//! open.

mod active; // those of a proxy, and their changes
mod kinds; // what there is, with its settings
mod parse; // `upstream:slow=latency(latency=100ms)`
mod profile; // the toxics of a network
mod values; // times and rates with their units

use std::fmt;

pub(crate) use active::{ActiveToxic, ActiveToxics, ConnectionToxics, Toxics};
pub(crate) use kinds::{Kind, ToxicType, types};

pub(crate) use parse::{build, parse_item};
pub(crate) use profile::Profile;
pub(crate) use values::{Speed, Time};

use crate::fault::Direction;
use crate::metrics::summary::COUNTED;
use crate::plan::text::{LONGEST_ANY_NAME, is_any_name};

/// What happens to the bytes of one direction of a connection: `latency(latency=100ms, jitter=20ms)`.
///
/// ```
/// let toxic: vaurien::Toxic = "upstream:slow=latency(latency=100ms, toxicity=0.5)".parse()?;
/// assert_eq!(toxic.name(), "slow");
/// assert_eq!(toxic.to_string(), "upstream:slow=latency(latency=100ms,toxicity=0.5)");
/// # Ok::<(), vaurien::Diagnostics>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Toxic {
    pub(crate) name: String,
    pub(crate) direction: Direction,
    /// The probability that a connection has it, from 0 to 1.
    pub(crate) toxicity: f64,
    pub(crate) kind: Kind,
}

impl Toxic {
    /// A toxic of every connection. Without a name it is called after its type and its direction.
    pub(crate) fn new(name: Option<&str>, direction: Direction, kind: Kind) -> Self {
        let name = name.map_or_else(|| default_name(&kind, direction), str::to_owned);
        Self { name, direction, toxicity: 1.0, kind }
    }

    /// Whether it was given a name.
    pub(crate) fn has_own_name(&self) -> bool {
        self.name != default_name(&self.kind, self.direction)
    }

    /// Whether it can do something to a connection.
    pub(crate) fn does_something(&self) -> bool {
        self.toxicity > 0.0 && !matches!(self.kind, Kind::Noop(_))
    }

    /// Its name, which no other toxic of the proxy has: `TYPE_STREAM` unless it was given one.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The name of a toxic that was given none, as Toxiproxy has it: `latency_downstream`.
fn default_name(kind: &Kind, direction: Direction) -> String {
    format!("{}_{}", kind.name(), stream(direction))
}

/// Toxiproxy's word for a direction.
pub(crate) fn stream(direction: Direction) -> &'static str {
    match direction {
        Direction::ToBackend => "upstream",
        Direction::ToClient => "downstream",
    }
}

/// What is wrong with the name of a toxic, if anything.
pub(crate) fn wrong_name(name: &str) -> Option<String> {
    (!is_any_name(name)).then(|| {
        let shown = name.escape_debug();
        format!("invalid name `{shown}`: write 1 to {LONGEST_ANY_NAME} bytes without control characters")
    })
}

/// The same for one that people can expect something of by its name.
pub(crate) fn wrong_own_name(name: &str) -> Option<String> {
    let is_count =
        || COUNTED.contains(&name).then(|| format!("`{name}` is what a count is called, write another name"));
    wrong_name(name).or_else(is_count)
}

/// What is wrong with toxics of one proxy: each of them has a name of its own.
pub(crate) fn conflicts(toxics: &[Toxic]) -> impl Iterator<Item = String> {
    let is_second = |place: usize| toxics[..place].iter().filter(|other| other.name == toxics[place].name).count() == 1;
    let seconds = (0..toxics.len()).filter(move |place| is_second(*place)).map(|place| &toxics[place]);
    seconds
        .map(|toxic| format!("`{toxic}`: another toxic is called `{}`, write `NAME={}`", toxic.name, toxic.kind.name()))
}

impl fmt::Display for Toxic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.direction == Direction::ToBackend {
            f.write_str("upstream:")?;
        }
        if self.has_own_name() {
            write!(f, "{}=", parse::quoted(&self.name))?;
        }
        let mut settings = self.kind.written();
        if self.toxicity < 1.0 {
            settings.push(format!("toxicity={}", self.toxicity));
        }
        f.write_str(self.kind.name())?;
        if settings.is_empty() { Ok(()) } else { write!(f, "({})", settings.join(",")) }
    }
}
