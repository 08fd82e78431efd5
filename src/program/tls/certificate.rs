//! What a certificate says (RFC 5280, section 4.1).

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use yasna::tags::TAG_UTCTIME;
use yasna::{ASN1Result, BERReader, BERReaderSeq, Tag};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Until when it is valid.
    pub(super) until: SystemTime,
}

impl Certificate {
    /// The first one in `pem`. `None` if it cannot be read.
    pub(super) fn read(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let read = |signed: &mut BERReaderSeq<'_, '_>| {
            let certificate = signed.next().read_sequence(Self::of)?;
            skip(signed)?;
            Ok(certificate)
        };
        yasna::parse_der(&der, |reader| reader.read_sequence(read)).ok()
    }

    fn of(parts: &mut BERReaderSeq<'_, '_>) -> ASN1Result<Self> {
        parts.read_optional(|version| version.read_tagged(Tag::context(0), any))?;
        // Its number, how it is signed, and by whom.
        for _ in 0..3 {
            parts.next().read_der()?;
        }
        let until = parts.next().read_sequence(|times| {
            times.next().read_der()?;
            time(times.next())
        })?;
        skip(parts)?;
        Ok(Self { until })
    }
}

/// Reads what is left.
fn skip(parts: &mut BERReaderSeq<'_, '_>) -> ASN1Result<()> {
    while parts.read_optional(any)?.is_some() {}
    Ok(())
}

fn any(reader: BERReader<'_, '_>) -> ASN1Result<Vec<u8>> {
    reader.read_der()
}

/// From 2050 on, years have four digits.
fn time(reader: BERReader<'_, '_>) -> ASN1Result<SystemTime> {
    if reader.lookahead_tag()? == TAG_UTCTIME {
        return reader.read_utctime().map(|time| (*time.datetime()).into());
    }
    reader.read_generalized_time().map(|time| (*time.datetime()).into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::tls::Authority;

    #[test]
    fn an_authority_is_valid_for_ten_years() {
        let made = SystemTime::now();
        let read = || Certificate::read(Authority::generate().certificate_pem()).unwrap();
        let days = read().until.duration_since(made).unwrap().as_secs() / (24 * 60 * 60);
        assert!((3649..=3650).contains(&days), "{days}");
    }

    #[test]
    fn times_from_2050_on_are_read_as_well() {
        let params = |year| {
            let mut params = rcgen::CertificateParams::default();
            params.not_after = rcgen::date_time_ymd(year, 1, 2);
            params
        };
        let key = rcgen::KeyPair::generate().unwrap();
        let until = |year| Certificate::read(&params(year).self_signed(&key).unwrap().pem()).unwrap().until;
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(until(2051).duration_since(until(2049)).unwrap(), day * (365 + 365));
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        assert_eq!(Certificate::read(""), None);
        assert_eq!(Certificate::read("-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"), None);
    }
}
