//! Authentication of callers: maps the evidence of a connection and a call to a
//! name, a tenant and the mounted secrets granted to it. All three come from the
//! operator; a request cannot override them.
//!
//! Knows nothing of gRPC or TLS. The server identifies the caller once per call.

mod file;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{file_watcher::FileWatcher, metrics::Metrics, secrets::Grant};

/// An authenticated caller, as the worker knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The authenticated name; `None` where callers are not authenticated.
    pub name: Option<String>,
    /// The tenant that the operator has bound to this name.
    pub tenant: Option<String>,
    /// The mounted secrets that the caller may name in a request.
    pub secrets: Grant,
}

impl Caller {
    /// Returns the caller of a worker that authenticates nobody.
    pub fn anyone() -> Caller {
        Caller { name: None, tenant: None, secrets: Grant::Every }
    }
}

/// The credentials that a call presents.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evidence<'a> {
    /// The whole `authorization` header.
    pub authorization: Option<&'a [u8]>,
    /// The names in the client's certificate, which TLS has verified: URI names
    /// such as `spiffe://…` unchanged, DNS names in lower case. A URI contains a
    /// colon and a DNS name does not, so neither passes for the other. `None` where
    /// no certificate was requested.
    pub certificate: Option<&'a [String]>,
}

/// The policy that decides who may call.
#[derive(Debug, Clone)]
pub enum Callers {
    /// Anyone who reaches the port.
    Anyone,
    /// Anyone with a certificate that TLS accepts, identified by its first name.
    Certified,
    /// The callers listed in the operator's file.
    Listed(Arc<FileWatcher<Directory>>),
}

/// The callers of a file, indexed by credential.
#[derive(Debug, Default)]
pub struct Directory {
    callers: Vec<Caller>,
    /// The SHA-256 of each token, with the index of its caller.
    tokens: HashMap<Digest, usize>,
    /// Each certificate name, with the index of its caller.
    certificates: HashMap<String, usize>,
}

/// The SHA-256 of a token.
type Digest = [u8; 32];

/// Longer tokens are rejected unhashed.
const MAX_TOKEN_BYTES: usize = 4096;

impl Callers {
    /// Reads the callers file. Changes take effect while
    /// [`follow`](Callers::follow) runs.
    pub fn listed(file: &Path) -> Result<Callers, String> {
        let files: Vec<PathBuf> = vec![file.to_owned()];
        FileWatcher::read(files, file::parse)
            .map(|file_watcher| Callers::Listed(Arc::new(file_watcher)))
    }

    /// Returns the caller, or `None` for an unknown one.
    ///
    /// A token takes precedence: with an unknown token, a certificate does not
    /// help.
    pub fn identify(&self, evidence: Evidence<'_>) -> Option<Caller> {
        match self {
            Callers::Anyone => Some(Caller::anyone()),
            Callers::Certified => {
                let name = evidence.certificate?.first()?.clone();
                Some(Caller { name: Some(name), ..Caller::anyone() })
            }
            Callers::Listed(file_watcher) => file_watcher.current().identify(evidence).cloned(),
        }
    }

    /// Returns the number of callers in the file, or `None` without a file. At 0
    /// nobody may call.
    pub fn in_force(&self) -> Option<usize> {
        match self {
            Callers::Anyone | Callers::Certified => None,
            Callers::Listed(file_watcher) => Some(file_watcher.current().callers.len()),
        }
    }

    /// Registers the gauge of callers in force.
    pub fn watch(&self, metrics: &Metrics) {
        if let Callers::Listed(file_watcher) = self {
            let file_watcher = file_watcher.clone();
            metrics.watch_callers(move || file_watcher.current().callers.len() as u64);
        }
    }

    /// Applies changes of the file. Never returns.
    pub async fn follow(&self) {
        match self {
            Callers::Anyone | Callers::Certified => std::future::pending().await,
            Callers::Listed(file_watcher) => file_watcher.follow().await,
        }
    }
}

impl Directory {
    fn identify(&self, evidence: Evidence<'_>) -> Option<&Caller> {
        match evidence.authorization {
            Some(header) => self.by_token(bearer(header)?),
            None => self.by_certificate(evidence.certificate?),
        }
    }

    /// Looks a token up by its digest, with one hash look-up for any caller. The
    /// time it takes may leak bits of a stored digest, but SHA-256 hides from the
    /// caller how close a guess came.
    fn by_token(&self, token: &[u8]) -> Option<&Caller> {
        self.tokens.get(&digest(token)).map(|owner| &self.callers[*owner])
    }

    fn by_certificate(&self, names: &[String]) -> Option<&Caller> {
        let owner = names.iter().find_map(|name| self.certificates.get(name))?;
        Some(&self.callers[*owner])
    }
}

/// Returns the token of a `Bearer …` header, the scheme in any case.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    let token = token.trim_ascii();
    let is_token = scheme.eq_ignore_ascii_case(b"Bearer ")
        && !token.is_empty()
        && token.len() <= MAX_TOKEN_BYTES;
    is_token.then_some(token)
}

fn digest(token: &[u8]) -> Digest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token);
    std::array::from_fn(|index| digest.as_ref()[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"callers": [
        {"name": "flows", "tenant": "acme", "secrets": ["acme-key"],
         "tokens": ["a token of the flows", "the next token of the flows"]},
        {"name": "reports", "tenant": "globex", "secrets": "*",
         "tokens_sha256": ["8d41e7a1b8d1f0d4a3ee8b2ad0b0cb0e2dd0c0c3ae1b8f2f0d1cb56d1a2b3c4d"],
         "certificates": ["spiffe://cluster.local/ns/reports/sa/worker", "Reports.internal"]}
    ]}"#;

    fn directory() -> Directory {
        file::parse(&[FILE.as_bytes().to_vec().into()]).expect("callers")
    }

    fn named(directory: &Directory, header: &str) -> Option<String> {
        let evidence = Evidence { authorization: Some(header.as_bytes()), certificate: None };
        directory.identify(evidence).and_then(|caller| caller.name.clone())
    }

    #[test]
    fn a_token_is_whose_it_is_and_nothing_like_it_is() {
        let directory = directory();
        for header in [
            "Bearer a token of the flows",
            "bearer a token of the flows",
            "Bearer  the next token of the flows ",
        ] {
            assert_eq!(named(&directory, header).as_deref(), Some("flows"), "{header:?}");
        }
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Basic a token of the flows",
            "a token of the flows",
            "Bearer a token of the flow",
            "Bearer a token of the flows!",
        ] {
            assert_eq!(named(&directory, header), None, "{header:?}");
        }
    }

    #[test]
    fn a_certificate_counts_by_any_of_its_names_without_a_token() {
        let directory = directory();
        let names = ["other".to_owned(), "reports.internal".to_owned()];
        let evidence = Evidence { authorization: None, certificate: Some(&names) };
        let caller = directory.identify(evidence).expect("known");
        assert_eq!(caller.tenant.as_deref(), Some("globex"));
        let evidence = Evidence { authorization: Some(b"Bearer nobody's"), ..evidence };
        assert_eq!(directory.identify(evidence), None);
        let evidence = Evidence { authorization: None, certificate: Some(&names[..1]) };
        assert_eq!(directory.identify(evidence), None);
        assert_eq!(directory.identify(Evidence::default()), None);
    }

    #[test]
    fn without_a_file_a_certificate_is_its_own_name() {
        let names = ["spiffe://a/b".to_owned()];
        let evidence = Evidence { authorization: None, certificate: Some(&names) };
        let caller = Callers::Certified.identify(evidence).expect("known");
        assert_eq!((caller.name.as_deref(), caller.tenant), (Some("spiffe://a/b"), None));
        assert_eq!(Callers::Certified.identify(Evidence::default()), None);
        assert_eq!(Callers::Anyone.identify(Evidence::default()), Some(Caller::anyone()));
    }
}
