//! Proxies and toxics in Toxiproxy's JSON: read from requests and files, written in answers.

mod fields; // values of the wrong type
pub(crate) mod json; // values as Go reads them
pub(crate) mod listen; // addresses as Go reads them
pub(crate) mod proxy; // a proxy of a body
pub(crate) mod toxic; // a toxic of a body, and back

/// The version of Toxiproxy whose API this is. Clients switch on at least 2.6.0.
pub(crate) const VERSION: &str = "2.12.0";

/// A mistake in a body. Clients match on these texts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wrong {
    /// JSON, or a value of it.
    Body(String),
    /// A field without which there is no proxy: `name`, `upstream at proxy 2`.
    Missing(String),
    Stream,
    Type,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Body(why) => write!(f, "bad request body: {why}"),
            Self::Missing(field) => write!(f, "missing required field: {field}"),
            Self::Stream => f.write_str("stream was invalid, can be either upstream or downstream"),
            Self::Type => f.write_str("invalid toxic type"),
        }
    }
}
