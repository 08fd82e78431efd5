//! Why a stream or a connection of HTTP/2 ends.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The code of `RST_STREAM` and `GOAWAY` (RFC 9113, section 7). In settings by its name or its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// Nothing went wrong.
    #[serde(alias = "0")]
    NoError,
    /// What the peer sent violates the protocol.
    #[serde(alias = "1")]
    ProtocolError,
    /// Something failed within the endpoint.
    #[serde(alias = "2")]
    InternalError,
    /// The peer sent more than it was allowed to.
    #[serde(alias = "3")]
    FlowControlError,
    /// The peer did not acknowledge settings in time.
    #[serde(alias = "4")]
    SettingsTimeout,
    /// A frame came for a stream that the peer had ended.
    #[serde(alias = "5")]
    StreamClosed,
    /// A frame has a size that it must not have.
    #[serde(alias = "6")]
    FrameSizeError,
    /// The request was not processed: it is safe to try it again.
    #[serde(alias = "7")]
    RefusedStream,
    /// Nobody needs the stream any more.
    #[serde(alias = "8")]
    Cancel,
    /// Header compression is out of step.
    #[serde(alias = "9")]
    CompressionError,
    /// The connection of a CONNECT request was reset.
    #[serde(alias = "10")]
    ConnectError,
    /// The peer causes too much load.
    #[serde(alias = "11")]
    EnhanceYourCalm,
    /// The transport is not safe enough.
    #[serde(alias = "12")]
    InadequateSecurity,
    /// The request has to be made over HTTP/1.1.
    #[serde(rename = "HTTP_1_1_REQUIRED", alias = "13")]
    Http11Required,
}

impl ErrorCode {
    /// All codes, by their number from 0.
    pub const ALL: [Self; 14] = [
        Self::NoError,
        Self::ProtocolError,
        Self::InternalError,
        Self::FlowControlError,
        Self::SettingsTimeout,
        Self::StreamClosed,
        Self::FrameSizeError,
        Self::RefusedStream,
        Self::Cancel,
        Self::CompressionError,
        Self::ConnectError,
        Self::EnhanceYourCalm,
        Self::InadequateSecurity,
        Self::Http11Required,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The name in the RFC and in options: `REFUSED_STREAM`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoError => "NO_ERROR",
            Self::ProtocolError => "PROTOCOL_ERROR",
            Self::InternalError => "INTERNAL_ERROR",
            Self::FlowControlError => "FLOW_CONTROL_ERROR",
            Self::SettingsTimeout => "SETTINGS_TIMEOUT",
            Self::StreamClosed => "STREAM_CLOSED",
            Self::FrameSizeError => "FRAME_SIZE_ERROR",
            Self::RefusedStream => "REFUSED_STREAM",
            Self::Cancel => "CANCEL",
            Self::CompressionError => "COMPRESSION_ERROR",
            Self::ConnectError => "CONNECT_ERROR",
            Self::EnhanceYourCalm => "ENHANCE_YOUR_CALM",
            Self::InadequateSecurity => "INADEQUATE_SECURITY",
            Self::Http11Required => "HTTP_1_1_REQUIRED",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// HTTP/2 has no code of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no error code of HTTP/2")]
pub struct UnknownErrorCode(String);

impl FromStr for ErrorCode {
    type Err = UnknownErrorCode;

    fn from_str(name: &str) -> Result<Self, UnknownErrorCode> {
        let is = |code: &Self| code.name() == name || code.code().to_string() == name;
        Self::ALL.into_iter().find(is).ok_or_else(|| UnknownErrorCode(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_those_of_the_rfc() {
        for (number, code) in (0..).zip(ErrorCode::ALL) {
            assert_eq!(code.code(), number);
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
            assert_eq!((code.name().parse(), number.to_string().parse()), (Ok(code), Ok(code)));
            assert_eq!(serde_json::from_value::<ErrorCode>(number.to_string().into()).unwrap(), code);
        }
        assert_eq!((ErrorCode::RefusedStream.code(), ErrorCode::Http11Required.code()), (7, 13));
        assert_eq!("CANCELLED".parse::<ErrorCode>().unwrap_err().to_string(), "`CANCELLED` is no error code of HTTP/2");
    }
}
