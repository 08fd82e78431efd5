//! What failed in TLS, for a person.

use std::io::{self, ErrorKind};

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible as Incompatible};

use super::verify::{is_of_an_authority, is_of_an_old_version};

/// What a client says of a certificate that it has no reason to trust.
const UNTRUSTED: &str = "it does not trust the authority of the certificate";
const UNACCEPTED: &str = "it does not accept the certificate";

/// Whether a client's handshake failed, as `why` says, because it does not trust the certificate.
pub(crate) fn is_distrust(why: &str) -> bool {
    [UNTRUSTED, UNACCEPTED].iter().any(|said| why.contains(said))
}

/// Whether a client begins with a request of HTTP.
pub(super) fn is_http(bytes: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"PATCH ", b"OPTIONS ", b"CONNECT ", b"PRI "];
    METHODS.iter().any(|method| bytes.starts_with(method))
}

/// What is wrong with the first bytes of a client, as far as they show that it does not speak TLS.
pub(super) fn of_plain(bytes: &[u8]) -> Option<io::Error> {
    /// The type of a record with a handshake (RFC 8446, section 5.1).
    const HANDSHAKE: u8 = 22;
    let what = match bytes {
        [HANDSHAKE, ..] => return None,
        _ if is_http(bytes) => "HTTP without TLS",
        [b'*', b'0'..=b'9', ..] => "Redis without TLS",
        _ => "something else than TLS",
    };
    Some(io::Error::new(ErrorKind::InvalidData, format!("the client sent {what}")))
}

/// Why a client's handshake failed while it was under way.
pub(super) fn of_client_session(error: io::Error) -> io::Error {
    match error.downcast::<Error>() {
        Ok(error) => of_client(error),
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe) => {
            io::Error::new(ErrorKind::UnexpectedEof, "the client left during the TLS handshake")
        }
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {
            io::Error::new(ErrorKind::ConnectionReset, "the client reset the connection during the TLS handshake")
        }
        Err(error) => error,
    }
}

/// Why a client's handshake failed.
pub(super) fn of_client(error: Error) -> io::Error {
    let what = match error {
        Error::AlertReceived(alert) => format!("the client does not go on: {}", of_alert(alert)),
        // Older versions have no such extension.
        Error::PeerIncompatible(
            Incompatible::Tls12NotOffered
            | Incompatible::Tls12NotOfferedOrEnabled
            | Incompatible::SignatureAlgorithmsExtensionRequired,
        ) => "the client speaks neither TLS 1.2 nor TLS 1.3".to_owned(),
        Error::NoApplicationProtocol => {
            "the client names neither HTTP/1 nor HTTP/2, and --protocol http reads nothing else: use --protocol tcp"
                .to_owned()
        }
        error => format!("the client's handshake failed: {error}"),
    };
    io::Error::new(ErrorKind::InvalidData, what)
}

/// What a client means by an alert (RFC 8446, section 6.2).
fn of_alert(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::UnknownCA => format!("{UNTRUSTED} (alert {})", name(alert)),
        Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate => {
            format!("{UNACCEPTED} (alert {})", name(alert))
        }
        Alert::CertificateExpired => "the certificate has expired (alert certificate_expired)".to_owned(),
        _ => format!("alert {}", name(alert)),
    }
}

/// `unknown_ca`, as specifications write it.
fn name(alert: AlertDescription) -> String {
    let mut name = String::new();
    let camel = format!("{alert:?}");
    let mut before = '_';
    for char in camel.chars() {
        if char.is_uppercase() && before.is_lowercase() {
            name.push('_');
        }
        name.extend(char.to_lowercase());
        before = char;
    }
    name
}

/// Why the handshake with a backend failed that should be `name`.
pub(super) fn of_backend(error: io::Error, name: &str) -> io::Error {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let what = match tls {
        None if error.kind() == ErrorKind::UnexpectedEof => "it closed during the TLS handshake".to_owned(),
        None => return error,
        Some(Error::InvalidCertificate(wrong)) => of_certificate(wrong, name),
        Some(Error::InvalidMessage(_)) => "it does not speak TLS".to_owned(),
        Some(Error::AlertReceived(alert)) => format!("it refuses the TLS handshake: alert {}", self::name(*alert)),
        Some(other) => format!("the TLS handshake failed: {other}"),
    };
    io::Error::new(error.kind(), what)
}

/// Why a session with a backend ended that was open, if TLS was the reason.
pub(crate) fn of_backend_session(error: &io::Error) -> Option<String> {
    Some(match error.get_ref()?.downcast_ref()? {
        // With TLS 1.3 a client that shows none has a session before the server looks (RFC 8446, section 4.4.2.4).
        Error::AlertReceived(alert @ AlertDescription::CertificateRequired) => {
            format!("it asks for a certificate (alert {}): name one in `backend_tls.cert`", name(*alert))
        }
        Error::AlertReceived(alert) => format!("alert {}", name(*alert)),
        other => other.to_string(),
    })
}

fn of_certificate(wrong: &CertificateError, name: &str) -> String {
    match wrong {
        CertificateError::UnknownIssuer => {
            "its certificate is signed by an authority that is not trusted: name that in `backend_tls.ca`".to_owned()
        }
        // As after an authority was made anew.
        CertificateError::BadSignature => {
            "its certificate is signed by another authority of a trusted name: name that in `backend_tls.ca`".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            // Each is written as `DnsName("api.example.com")` or `IpAddress(127.0.0.1)`.
            let plain = |name: &String| name.split(['(', ')']).nth(1).unwrap_or(name).trim_matches('"').to_owned();
            let names: Vec<String> = presented.iter().map(plain).collect();
            let presented = names.join(", ");
            format!("its certificate is for {presented}, not for `{name}`: name it in `backend_tls.name`")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate is not for `{name}`: name it in `backend_tls.name`")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::Other(why) if is_of_an_authority(why) => {
            "its certificate is one of an authority: name that certificate in `backend_tls.ca`".to_owned()
        }
        CertificateError::Other(why) if is_of_an_old_version(why) => {
            "its certificate is of X.509 version 1: it needs one with extensions, such as the names that it is for"
                .to_owned()
        }
        other => format!("its certificate is not accepted: {other}"),
    }
}
