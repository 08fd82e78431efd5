//! Handshakes that go wrong on purpose.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::authority::Authority;

/// How the handshake with a client goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsFault {
    /// The certificate has expired.
    Expired,
    /// The certificate is for another name.
    WrongName,
    /// The certificate has signed itself.
    SelfSigned,
    /// The certificate is signed by an authority that nobody knows.
    UnknownCa,
    /// The client gets no answer.
    HandshakeStall,
    /// The client's connection is reset.
    HandshakeReset,
    /// The server speaks SSL 3.0 alone.
    OldVersion,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Time,
    Name,
    Signature,
    Authority,
}

/// An authority that nobody trusts.
pub(super) static UNKNOWN: LazyLock<Authority> = LazyLock::new(Authority::generate);

impl TlsFault {
    /// What is wrong with the certificate, if that is the fault.
    pub(crate) fn of_certificate(self) -> Option<Wrong> {
        match self {
            Self::Expired => Some(Wrong::Time),
            Self::WrongName => Some(Wrong::Name),
            Self::SelfSigned => Some(Wrong::Signature),
            Self::UnknownCa => Some(Wrong::Authority),
            Self::HandshakeStall | Self::HandshakeReset | Self::OldVersion => None,
        }
    }

    /// Whether only an authority that clients trust can show it: they look at the signature first.
    #[must_use]
    pub fn needs_authority(self) -> bool {
        matches!(self, Self::Expired | Self::WrongName)
    }
}

/// The answer of a server that speaks SSL 3.0 alone: a record with a `ServerHello` (RFC 6101, section 5.6.1.3). TLS 1.0 is not old
/// enough: some clients that have it switched off say so in other words.
pub(super) const OLD_VERSION: [u8; 47] = {
    let mut record = [0; 47];
    // The record and its length, the message and its length, the version.
    let begin = [22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 0];
    let random = *b"32 bytes that need not be random";
    // No session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    let end = [0, 0x00, 0x2f, 0];
    let (head, rest) = record.split_at_mut(begin.len());
    head.copy_from_slice(&begin);
    let (middle, tail) = rest.split_at_mut(random.len());
    middle.copy_from_slice(&random);
    tail.copy_from_slice(&end);
    record
};
