//! An authority of the moment, and a server that shows its certificate.

use std::{fs, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use super::redis_server::Setup;

/// An authority, and the files of what it has signed.
pub struct Authority {
    pem: String,
    folder: TempDir,
}

impl Authority {
    /// It has signed a certificate for servers on loopback.
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        // Else it has the name that the certificate has, and OpenSSL takes that for
        // its own issuer.
        params.distinguished_name.push(DnType::CommonName, "an authority of the moment");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");

        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        let certificate = params.signed_by(&key, &issuer).expect("signed");
        let authority =
            Authority { pem: issuer.pem(), folder: tempfile::tempdir().expect("a folder") };
        authority.write("ca.pem", &authority.pem);
        authority.write("server.pem", &certificate.pem());
        authority.write("server.key", &key.serialize_pem());
        authority
    }

    /// Has a server show the certificate, and speak nothing but TLS.
    pub fn setup(&self) -> Setup {
        let arguments = [
            ("--tls-cert-file", "server.pem"),
            ("--tls-key-file", "server.key"),
            ("--tls-ca-cert-file", "ca.pem"),
        ];
        let arguments = arguments.map(|(name, file)| [name.to_owned(), self.path(file)]);
        let more = ["--tls-auth-clients", "no", "--tls-replication", "yes", "--tls-cluster", "yes"];
        let client = vec!["--tls".to_owned(), "--cacert".to_owned(), self.path("ca.pem")];
        Setup { arguments: arguments.concat(), client, tls: true, ..Setup::default() }.with(&more)
    }

    /// What workers are to trust.
    pub fn trusted(&self) -> Option<Arc<[u8]>> {
        Some(self.pem.as_bytes().into())
    }

    /// A file that the authority has written.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("text").to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }
}
