//! An authority of the moment, and what it signs: as PEM, and as files for a
//! program.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use tempfile::TempDir;

/// An authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        // Else it has the name that its certificates have, and OpenSSL takes each for
        // its own issuer.
        params.distinguished_name.push(DnType::CommonName, "an authority of the moment");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        Authority { issuer, folder: tempfile::tempdir().expect("a folder") }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// For a server on loopback, by its address or its name.
    pub(crate) fn server(&self) -> Pair {
        self.sign(loopback(), &[ExtendedKeyUsagePurpose::ServerAuth])
    }

    /// The same, valid from one year to another.
    pub(crate) fn server_between(&self, first: i32, last: i32) -> Pair {
        let mut params = loopback();
        params.not_before = rcgen::date_time_ymd(first, 1, 1);
        params.not_after = rcgen::date_time_ymd(last, 1, 1);
        self.sign(params, &[ExtendedKeyUsagePurpose::ServerAuth])
    }

    /// For a server that calls others like itself.
    pub(crate) fn peer(&self) -> Pair {
        let purposes = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(loopback(), &purposes)
    }

    /// For a client of one.
    pub(crate) fn client(&self) -> Pair {
        let params = CertificateParams::new(["client".to_owned()]).expect("a name");
        self.sign(params, &[ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// The same, with this URI for a name.
    pub(crate) fn client_with_uri(&self, uri: &str) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("a URI"))];
        self.sign(params, &[ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// The same, with this DNS name, whatever it says.
    pub(crate) fn client_with_dns(&self, name: &str) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().expect("ASCII"))];
        self.sign(params, &[ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// A file with this text, for as long as the authority lives.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    }

    fn sign(&self, mut params: CertificateParams, purposes: &[ExtendedKeyUsagePurpose]) -> Pair {
        params.extended_key_usages = purposes.to_vec();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

fn loopback() -> CertificateParams {
    let names = ["127.0.0.1", "localhost"].map(str::to_owned);
    CertificateParams::new(names).expect("names")
}
