//! TLS of the server: the worker's certificate and the CAs whose client
//! certificates it accepts, from files that are reloaded when they change.
//!
//! HTTP/2 only, TLS 1.2 and 1.3, by aws-lc-rs. Does no socket I/O: the server
//! performs each handshake with the configuration of [`Tls::current`].

mod certificate;

use std::{path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

pub(crate) use self::certificate::names;
use self::certificate::{Validity, now};
use crate::{
    file_watcher::{Contents, FileWatcher},
    metrics::Metrics,
};

/// The paths of the certificates, as PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The worker's certificate, followed by its intermediates.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The CAs of client certificates; `None` requests no certificate.
    pub client_authorities: Option<PathBuf>,
}

/// The current TLS configuration, reloaded while [`follow`](Tls::follow) runs.
#[derive(Debug, Clone)]
pub struct Tls(Arc<FileWatcher<Loaded>>);

/// The parsed contents of the files.
#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    validity: Validity,
}

impl Tls {
    /// Reads the files. A certificate outside its validity period only logs a
    /// warning: clients that do not check it still connect.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the files.
    pub fn read(files: TlsFiles) -> Result<Tls, String> {
        let TlsFiles { certificate, key, client_authorities } = files;
        let files = [certificate, key].into_iter().chain(client_authorities).collect();
        let file_watcher = FileWatcher::read(files, parse)?.replaced_if(may_replace);
        if let Err(problem) = file_watcher.current().validity.check(now()) {
            warn(&problem);
        }
        Ok(Tls(Arc::new(file_watcher)))
    }

    /// Returns the configuration for a new connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.0.current().config.clone()
    }

    /// Registers the gauges of the certificate's expiry.
    pub fn record(&self, metrics: &Metrics) {
        let (ends, left) = (self.0.clone(), self.0.clone());
        metrics.watch_certificate(
            move || ends.current().validity.ends,
            move || left.current().validity.remaining(now()),
        );
    }

    /// Reloads the files when they change. Never returns. A certificate and key
    /// that do not match leave the previous ones in use; so does a certificate
    /// outside its validity period, until that period begins. Open connections keep
    /// the configuration they started with.
    pub async fn follow(&self) {
        self.0.follow().await;
    }
}

fn parse(contents: &[Contents]) -> Result<Loaded, String> {
    let [certificate, key, authorities @ ..] = contents else {
        return Err("a certificate and a key are needed".to_owned());
    };
    let chain = certificates(certificate, "the certificate file")?;
    let validity = Validity::of(&chain[0])?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| "the key file holds no private key (PEM)".to_owned())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match authorities.first() {
        None => builder.with_no_client_auth(),
        Some(authorities) => builder.with_client_cert_verifier(verifier(authorities, provider)?),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("the certificate and the key do not fit: {error}"))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Loaded { config: Arc::new(config), validity })
}

/// Refuses to replace a valid certificate with one outside its validity period.
fn may_replace(current: &Loaded, next: &Loaded) -> Result<(), String> {
    let Err(problem) = next.validity.check(now()) else { return Ok(()) };
    if current.validity.check(now()).is_ok() {
        return Err(problem);
    }
    warn(&problem);
    Ok(())
}

fn warn(problem: &str) {
    tracing::warn!("{problem}: clients that check will not connect; replace it");
}

fn verifier(
    authorities: &Contents,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(authorities, "the file of client authorities")? {
        roots.add(authority).map_err(|error| format!("a client authority is none: {error}"))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| format!("the client authorities cannot be used: {error}"))
}

/// Parses the certificates of a PEM file: at least one, or an error.
fn certificates(pem: &Contents, what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| format!("{what} holds no certificate (PEM)"))
}
