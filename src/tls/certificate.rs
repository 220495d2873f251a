//! What a certificate says: its names, and when it ends. Whether it is to be
//! believed is rustls' affair.

use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

/// The names that a certificate is for: URI names as they are, such as
/// `spiffe://…`, and DNS names in lower case. URI names come first: where there
/// is one, it is the one that workloads go by.
pub fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(alternatives)) = parsed.subject_alternative_name() else {
        return Vec::new();
    };
    let alternatives = &alternatives.value.general_names;
    let uris = alternatives.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    let hosts = alternatives.iter().filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(host.to_ascii_lowercase()),
        _ => None,
    });
    uris.chain(hosts).collect()
}

/// When a certificate ends, in seconds since 1970.
pub(super) fn expires(certificate: &CertificateDer<'_>) -> Result<u64, String> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    Ok(u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0))
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
        params.not_after = rcgen::date_time_ymd(2033, 5, 18);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        assert_eq!(
            names(certificate.der()),
            ["spiffe://cluster.local/ns/a/sa/b", "flows.internal"]
        );
        assert_eq!(expires(certificate.der()), Ok(1_999_987_200));
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        assert!(names(&CertificateDer::from_slice(b"none")).is_empty());
        assert!(expires(&CertificateDer::from_slice(b"none")).is_err());
    }
}
