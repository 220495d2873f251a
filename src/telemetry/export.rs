//! The exporters to a collector: OTLP over gRPC or HTTP, with headers, TLS and
//! compression as configured.

use std::{collections::HashMap, thread};

use anyhow::{Context as _, anyhow};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_otlp::{
    Compression, MetricExporter, Protocol as Otlp, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use secrecy::ExposeSecret;
use tonic::{
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::settings::{Collector, OtlpProtocol};

/// Builds the exporter of spans. Must be called within a runtime that outlives the
/// exporter.
pub(super) fn spans(collector: &Collector) -> anyhow::Result<SpanExporter> {
    let builder = SpanExporter::builder();
    let exporter = match collector.protocol {
        OtlpProtocol::Grpc => grpc(builder.with_tonic(), collector)?.build(),
        OtlpProtocol::Http => http(builder.with_http(), collector)?.build(),
    };
    exporter.context("the way to the collector cannot be set up")
}

/// Builds the exporter of metrics, likewise.
pub(super) fn metrics(collector: &Collector) -> anyhow::Result<MetricExporter> {
    let builder = MetricExporter::builder();
    let exporter = match collector.protocol {
        OtlpProtocol::Grpc => grpc(builder.with_tonic(), collector)?.build(),
        OtlpProtocol::Http => http(builder.with_http(), collector)?.build(),
    };
    exporter.context("the way to the collector cannot be set up")
}

fn grpc<B: WithTonicConfig + WithExportConfig>(
    builder: B,
    collector: &Collector,
) -> anyhow::Result<B> {
    let builder = builder
        .with_channel(channel(collector)?)
        .with_metadata(MetadataMap::from_headers(headers(collector)?))
        .with_timeout(collector.timeout);
    Ok(if collector.gzip { builder.with_compression(Compression::Gzip) } else { builder })
}

fn http<B: WithHttpConfig + WithExportConfig>(
    builder: B,
    collector: &Collector,
) -> anyhow::Result<B> {
    // Validated as gRPC's headers are, then passed on as text.
    headers(collector)?;
    let headers = collector.headers.iter();
    let headers: HashMap<String, String> =
        headers.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
    let builder = builder
        .with_http_client(client(collector)?)
        .with_protocol(Otlp::HttpBinary)
        .with_endpoint(collector.url.as_str())
        .with_headers(headers)
        .with_timeout(collector.timeout);
    Ok(if collector.gzip { builder.with_compression(Compression::Gzip) } else { builder })
}

/// Creates a channel that connects on first use and reconnects as needed.
fn channel(collector: &Collector) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(collector.url.as_str().to_owned())?
        .timeout(collector.timeout)
        .connect_timeout(collector.timeout);
    if collector.url.scheme() != "https" {
        return Ok(endpoint.connect_lazy());
    }
    let mut tls = match &collector.ca {
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some(identity) = &collector.identity {
        tls = tls.identity(Identity::from_pem(&identity.certificate, identity.key.expose_secret()));
    }
    let endpoint = endpoint.tls_config(tls).context("the collector's certificates are unusable")?;
    Ok(endpoint.connect_lazy())
}

/// Builds the HTTP client on a thread of its own: a blocking client brings its own
/// runtime and must not be built inside another.
fn client(collector: &Collector) -> anyhow::Result<reqwest::blocking::Client> {
    let mut builder = reqwest::blocking::Client::builder()
        .timeout(collector.timeout)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    if let Some(pem) = &collector.ca {
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?);
    }
    if let Some(identity) = &collector.identity {
        let mut pem = identity.certificate.clone();
        pem.extend_from_slice(identity.key.expose_secret().as_bytes());
        builder = builder.identity(reqwest::Identity::from_pem(&pem)?);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "joined at once: the client must not be built in a runtime"
    )]
    let building = thread::spawn(move || builder.build());
    let built = building.join().map_err(|_| anyhow!("the HTTP client's set-up panicked"))?;
    built.context("the collector's HTTP client cannot be set up")
}

fn headers(collector: &Collector) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(collector.headers.len());
    for (name, value) in &collector.headers {
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
            anyhow!("the collector's header {name} has a value that is not valid in a header")
        })?;
        value.set_sensitive(true);
        let name: HeaderName = name.parse().map_err(|_| {
            anyhow!("the collector's header {name:?} has a name that is not valid in a header")
        })?;
        headers.insert(name, value);
    }
    Ok(headers)
}
