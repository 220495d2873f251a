//! Redis over TLS: what a server shows, and what workers are to trust.

use std::sync::Arc;

use crate::support::{authority::Authority, redis_server::Setup};

/// Has a server show a certificate of this authority, and speak nothing but TLS.
pub(crate) fn over_tls(authority: &Authority) -> Setup {
    let pair = authority.peer();
    let trusted = authority.file("ca.pem", &authority.pem());
    let arguments = [
        ("--tls-cert-file", authority.file("server.pem", &pair.certificate)),
        ("--tls-key-file", authority.file("server.key", &pair.key)),
        ("--tls-ca-cert-file", trusted.clone()),
    ];
    let arguments = arguments.map(|(name, file)| [name.to_owned(), file]);
    let more = ["--tls-auth-clients", "no", "--tls-replication", "yes", "--tls-cluster", "yes"];
    let client = vec!["--tls".to_owned(), "--cacert".to_owned(), trusted];
    Setup { arguments: arguments.concat(), client, tls: true, ..Setup::default() }.with(&more)
}

/// What workers are to trust.
pub(crate) fn trusted(authority: &Authority) -> Option<Arc<[u8]>> {
    Some(authority.pem().as_bytes().into())
}
