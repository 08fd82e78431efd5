//! `grpc`: the statuses of gRPC, and how a server sends one in place of a reply (gRPC over HTTP/2). Its messages are those of
//! HTTP.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::http::Response;
use super::{Failure, FailureKind};
use crate::diagnostic::did_you_mean;
use crate::text_value::text_value;

pub(crate) use super::failure::INJECTED;

/// Header fields that [`trailers_only`] writes itself.
pub(crate) const OWN: [&str; 2] = ["grpc-status", "grpc-message"];

/// How a call fails. In settings by its name, whatever its case, or its number: `UNAVAILABLE`, `14`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// 1: the caller gave up.
    Cancelled = 1,
    /// 2: nothing is known of the failure.
    Unknown,
    /// 3: the request can never work.
    InvalidArgument,
    /// 4: the deadline passed before the call was done.
    DeadlineExceeded,
    /// 5: there is no such thing.
    NotFound,
    /// 6: there is such a thing already.
    AlreadyExists,
    /// 7: the caller may not do it.
    PermissionDenied,
    /// 8: a quota is used up, or something is full.
    ResourceExhausted,
    /// 9: the system is not in the state for it.
    FailedPrecondition,
    /// 10: it collided with something else, such as a transaction.
    Aborted,
    /// 11: past the valid range.
    OutOfRange,
    /// 12: the server has no such method.
    Unimplemented,
    /// 13: the server is broken.
    Internal,
    /// 14: the server cannot be reached now: try again.
    Unavailable,
    /// 15: data is lost.
    DataLoss,
    /// 16: nobody knows who the caller is.
    Unauthenticated,
}

impl Status {
    /// All that say that a call failed, by their number from 1.
    pub const ALL: [Self; 16] = [
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The name in the documents of gRPC: `DEADLINE_EXCEEDED`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text or number that is no status of a failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotStatus {
    /// The status of a call that worked.
    #[error("`{0}` is no error, write `UNAVAILABLE`, or use the handler `dummy` where calls are to work")]
    Ok(String),
    /// No name and no number.
    #[error("`{0}` is no status of gRPC, write its name or number, 1 to 16{hint}", hint = hint(.0))]
    Unknown(String),
}

fn hint(text: &str) -> String {
    let hint = did_you_mean(&text.to_ascii_uppercase(), Status::ALL.map(Status::name));
    if hint.is_empty() { ": `UNAVAILABLE`".to_owned() } else { hint }
}

impl FromStr for Status {
    type Err = NotStatus;

    fn from_str(text: &str) -> Result<Self, NotStatus> {
        if matches!(text, "0") || text.eq_ignore_ascii_case("ok") {
            return Err(NotStatus::Ok(text.to_owned()));
        }
        let is = |status: &Self| status.name().eq_ignore_ascii_case(text) || status.code().to_string() == text;
        Self::ALL.into_iter().find(is).ok_or_else(|| NotStatus::Unknown(text.to_owned()))
    }
}

/// One status, or several to draw from: `UNAVAILABLE`, `UNAVAILABLE|INTERNAL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<Status>);

impl Statuses {
    /// At least one.
    #[must_use]
    pub fn all(&self) -> &[Status] {
        &self.0
    }
}

impl From<Status> for Statuses {
    fn from(status: Status) -> Self {
        Self(vec![status])
    }
}

impl FromStr for Statuses {
    type Err = NotStatus;

    fn from_str(text: &str) -> Result<Self, NotStatus> {
        text.split('|').map(|status| status.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(|status| status.name()).collect::<Vec<_>>().join("|"))
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

text_value!(Statuses, "write a status or several: `UNAVAILABLE|INTERNAL`", {
    "type": ["integer", "string"], "minimum": 1, "maximum": 16
});

/// The response of a server whose call failed before it said anything: over HTTP/2 trailers alone.
///
/// ```
/// use vaurien::Answer;
/// use vaurien::protocol::grpc::{Status, trailers_only};
///
/// let full = Answer::response(trailers_only(Status::ResourceExhausted, "too many orders"));
/// # drop(full);
/// ```
#[must_use]
pub fn trailers_only(status: Status, message: &str) -> Response {
    let response = Response::new(200).of_type("application/grpc").body("");
    response.with_field("grpc-status", &status.code().to_string()).with_field("grpc-message", &percent_encoded(message))
}

/// The service and the method in the path of a request: `pkg.Service` and `Method` of `/pkg.Service/Method`. None if that is the
/// path of no call of gRPC.
pub(crate) fn service_and_method(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let path = path.strip_prefix(b"/")?;
    let slash = memchr::memrchr(b'/', path).filter(|slash| *slash > 0)?;
    Some((&path[..slash], &path[slash + 1..]))
}

/// What says the same as `failure`.
pub(crate) fn failed(failure: &Failure) -> Response {
    use FailureKind as Kind;
    let status = match failure.kind {
        Kind::Oom => Status::ResourceExhausted,
        Kind::Readonly | Kind::Misconf => Status::FailedPrecondition,
        Kind::Noauth | Kind::Wrongpass => Status::Unauthenticated,
        Kind::Noscript => Status::NotFound,
        Kind::ClientError => Status::InvalidArgument,
        Kind::ServerError => Status::Internal,
        Kind::Error => Status::Unimplemented,
        Kind::Err
        | Kind::Loading
        | Kind::Busy
        | Kind::Moved
        | Kind::Ask
        | Kind::Tryagain
        | Kind::Clusterdown
        | Kind::Masterdown => Status::Unavailable,
    };
    trailers_only(status, failure.text())
}

/// That there is nothing.
pub(crate) fn missed() -> Response {
    trailers_only(Status::NotFound, INJECTED)
}

/// `message` as `grpc-message` has it: printable ASCII but for the percent sign stands for itself.
fn percent_encoded(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b'%' | ..b' ' | 0x7f.. => {
                // Writing to a text does not fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
            plain => encoded.push(char::from(plain)),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::protocol::http::respond;

    #[test]
    fn a_status_has_a_name_and_a_number() {
        for (number, status) in (1..).zip(Status::ALL) {
            assert_eq!(status.code(), number);
            let read = [status.name().to_owned(), status.name().to_lowercase(), number.to_string()];
            assert_eq!(read.map(|text| text.parse()), [Ok(status), Ok(status), Ok(status)]);
        }
        assert_eq!((Status::Unavailable.code(), Status::Unauthenticated.code()), (14, 16));
    }

    #[test]
    fn what_is_no_status_says_what_would_be() {
        for (text, why) in [
            (
                "UNAVAILBLE",
                "`UNAVAILBLE` is no status of gRPC, write its name or number, 1 to 16, did you mean `UNAVAILABLE`?",
            ),
            ("17", "`17` is no status of gRPC, write its name or number, 1 to 16: `UNAVAILABLE`"),
            ("", "`` is no status of gRPC, write its name or number, 1 to 16: `UNAVAILABLE`"),
            ("ok", "`ok` is no error, write `UNAVAILABLE`, or use the handler `dummy` where calls are to work"),
            ("0", "`0` is no error, write `UNAVAILABLE`, or use the handler `dummy` where calls are to work"),
        ] {
            assert_eq!(text.parse::<Status>().unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn statuses_are_read_from_texts_and_numbers() {
        let read = |value: serde_json::Value| serde_json::from_value::<Statuses>(value).ok();
        assert_eq!(read(14.into()), Some(Status::Unavailable.into()));
        let several = read("unavailable | 13".into()).unwrap();
        assert_eq!(serde_json::to_value(&several).unwrap(), "UNAVAILABLE|INTERNAL");
        assert_eq!([read("UNAVAILABLE|".into()), read(true.into()), read(0.into())], [None, None, None]);
    }

    #[test]
    fn a_path_has_a_service_and_a_method() {
        for (path, words) in [
            ("/pkg.v1.Service/Method", Some(("pkg.v1.Service", "Method"))),
            ("/prefix/pkg.Service/Method", Some(("prefix/pkg.Service", "Method"))),
            ("/Service/", Some(("Service", ""))),
            ("/healthz", None),
            ("//Method", None),
            ("/", None),
            ("*", None),
            ("", None),
        ] {
            let words = words.map(|(service, method)| (service.as_bytes(), method.as_bytes()));
            assert_eq!(service_and_method(path.as_bytes()), words, "{path}");
        }
    }

    #[test]
    fn a_failed_call_is_a_response_without_a_body() {
        let message = "50% of Zürich\tis\ndown~";
        let answer =
            respond(b"POST /a.B/C HTTP/1.1\r\n\r\n", &trailers_only(Status::Internal, message), SystemTime::UNIX_EPOCH);
        assert_eq!(
            String::from_utf8(answer.bytes).unwrap(),
            "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: application/grpc\r\ngrpc-status: 13\r\n\
             grpc-message: 50%25 of Z%C3%BCrich%09is%0Adown~\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"
        );
    }
}
