//! The contents of a certificate: its names and its validity period. Verification
//! is left to rustls.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer, time::ASN1Time,
};

/// Returns the names of a certificate: URI names such as `spiffe://…` unchanged,
/// then DNS names in lower case. URI names come first because workloads are
/// identified by them where there is one.
///
/// Either kind can hold arbitrary text. A name that is not of its kind is left out,
/// so that a DNS name cannot pass for a URI, nor a URI for a DNS name.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(alternatives)) = parsed.subject_alternative_name() else {
        return Vec::new();
    };
    let alternatives = &alternatives.value.general_names;
    let uris = alternatives.iter().filter_map(|name| match name {
        GeneralName::URI(uri) if uri.contains(':') => Some((*uri).to_owned()),
        _ => None,
    });
    let hosts = alternatives.iter().filter_map(|name| match name {
        GeneralName::DNSName(host) if is_dns_name(host) => Some(host.to_ascii_lowercase()),
        _ => None,
    });
    uris.chain(hosts).collect()
}

/// Returns true for a DNS name as certificates spell it, wildcards included.
fn is_dns_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*');
    !text.is_empty() && text.bytes().all(fits)
}

/// The validity period of a certificate, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    begins: u64,
    /// The last second of validity.
    pub(super) ends: u64,
}

impl Validity {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Validity, String> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| format!("the certificate cannot be read: {error}"))?;
        let seconds = |time: ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
        let validity = parsed.validity();
        Ok(Validity { begins: seconds(validity.not_before), ends: seconds(validity.not_after) })
    }

    /// Checks that the certificate is valid at `now`.
    ///
    /// # Errors
    ///
    /// Returns the reason, with the limit that was exceeded.
    pub(super) fn check(self, now: u64) -> Result<(), String> {
        let text = |at| humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at));
        if now < self.begins {
            return Err(format!("the certificate is not valid before {}", text(self.begins)));
        }
        if now > self.ends {
            return Err(format!("the certificate expired at {}", text(self.ends)));
        }
        Ok(())
    }

    /// Returns the seconds until the certificate expires; 0 once it has.
    pub(super) fn remaining(self, now: u64) -> u64 {
        self.ends.saturating_sub(now)
    }
}

/// Returns the current time in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_certificate_goes_by_its_uri_names_first() {
        let mut params = CertificateParams::new(vec!["Flows.Internal".to_owned()]).expect("names");
        let uri = "spiffe://cluster.local/ns/a/sa/b".try_into().expect("a URI");
        params.subject_alt_names.push(SanType::URI(uri));
        // Names that are not of their kind are left out.
        let host = "spiffe://cluster.local/ns/a/sa/admin".try_into().expect("ASCII");
        params.subject_alt_names.push(SanType::DnsName(host));
        let uri = "admin.internal".try_into().expect("ASCII");
        params.subject_alt_names.push(SanType::URI(uri));
        params.not_before = rcgen::date_time_ymd(2033, 5, 8);
        params.not_after = rcgen::date_time_ymd(2033, 5, 18);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        assert_eq!(
            names(certificate.der()),
            ["spiffe://cluster.local/ns/a/sa/b", "flows.internal"]
        );
        let validity = Validity::of(certificate.der()).expect("a certificate");
        assert_eq!(validity.ends, 1_999_987_200);
        for (now, remaining, problem) in [
            (validity.begins - 1, 10 * 86_400 + 1, Some("not valid before 2033-05-08T00:00:00Z")),
            (validity.begins, 10 * 86_400, None),
            (validity.ends, 0, None),
            (validity.ends + 1, 0, Some("expired at 2033-05-18T00:00:00Z")),
        ] {
            assert_eq!(validity.remaining(now), remaining);
            let said = validity.check(now).err();
            assert_eq!(said.is_some(), problem.is_some(), "{said:?}");
            assert!(said.unwrap_or_default().ends_with(problem.unwrap_or_default()));
        }
    }

    #[test]
    fn a_malformed_certificate_has_no_names() {
        assert!(names(&CertificateDer::from_slice(b"none")).is_empty());
        assert!(Validity::of(&CertificateDer::from_slice(b"none")).is_err());
    }
}
