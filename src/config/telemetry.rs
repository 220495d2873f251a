//! Telemetry as the operator asks for it: the standard `OTEL_…` variables of
//! OpenTelemetry, and our own flags for what those do not cover.
//!
//! Nothing is exported unless an endpoint is named, or an exporter is asked for
//! by `OTEL_TRACES_EXPORTER=otlp` or `OTEL_METRICS_EXPORTER=otlp`.

use std::{fs, str::FromStr, time::Duration};

use clap::{Args, builder::BoolishValueParser};
use secrecy::SecretString;
use url::Url;

use super::{Problems, args::bytes};
use crate::telemetry::{Collector, Identity, Protocol, Queue, Sampling, Settings};

/// What the standard variables do not cover.
#[derive(Debug, Clone, Args)]
#[command(
    next_help_heading = "Telemetry (collector, headers, sampling: the standard OTEL_… variables)"
)]
pub struct TelemetryArgs {
    /// Puts prompts and answers onto spans. Whoever can read the traces can
    /// then read those.
    #[arg(long, env = "SPARKLER_TELEMETRY_CONTENT", value_parser = BoolishValueParser::new())]
    pub telemetry_content: bool,

    /// How much of a prompt, and of an answer, goes onto a span.
    #[arg(
        long,
        env = "SPARKLER_TELEMETRY_CONTENT_BYTES",
        default_value = "32KiB",
        value_parser = bytes,
        value_name = "SIZE"
    )]
    pub telemetry_content_bytes: u64,

    /// The share of the traces sampled by callers that is recorded here too,
    /// from 0 to 1: what callers can force is capped.
    #[arg(long, env = "SPARKLER_REMOTE_SAMPLE_RATIO", default_value_t = 1.0, value_name = "RATIO")]
    pub remote_sample_ratio: f64,

    /// Entries of the callers' baggage that go onto spans; no others do, and
    /// none goes to the provider.
    #[arg(long, env = "SPARKLER_BAGGAGE", value_delimiter = ',', value_name = "KEYS")]
    pub baggage: Vec<String>,
}

/// Reads a variable of the environment; an empty one counts as unset.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The environment of this process.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// All of it, validated.
pub(super) fn settings(
    args: &TelemetryArgs,
    worker_id: &str,
    environment: Environment<'_>,
    problems: &mut Problems,
) -> Settings {
    let read = Variables(environment);
    let usual = Settings::default();
    let remote_ratio = problems.take(share(args.remote_sample_ratio, "--remote-sample-ratio"));
    let disabled = problems.take(read.boolean("OTEL_SDK_DISABLED")).unwrap_or(false);
    let mut collector = |signal| {
        if disabled { None } else { problems.take(read.collector(signal)).flatten() }
    };
    let (traces, metrics) = (collector("TRACES"), collector("METRICS"));
    Settings {
        traces,
        metrics,
        metrics_interval: problems
            .take(read.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", usual.metrics_interval))
            .unwrap_or(usual.metrics_interval),
        sampling: problems
            .take(read.sampling(remote_ratio.unwrap_or(1.0)))
            .unwrap_or(usual.sampling),
        queue: problems.take(read.queue()).unwrap_or_default(),
        resource: problems.take(read.resource(worker_id)).unwrap_or_default(),
        baggage: args.baggage.clone(),
        content_bytes: args
            .telemetry_content
            .then(|| usize::try_from(args.telemetry_content_bytes).unwrap_or(usize::MAX)),
        flush_limit: usual.flush_limit,
    }
}

/// The standard variables.
struct Variables<'a>(Environment<'a>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A variable of OTLP: the signal's own, or that for all signals.
    fn otlp(&self, signal: &str, name: &str) -> Option<String> {
        self.get(&format!("OTEL_EXPORTER_OTLP_{signal}_{name}"))
            .or_else(|| self.get(&format!("OTEL_EXPORTER_OTLP_{name}")))
    }

    fn collector(&self, signal: &str) -> Result<Option<Collector>, String> {
        let variable = format!("OTEL_{signal}_EXPORTER");
        let named = self.otlp(signal, "ENDPOINT").is_some();
        match self.get(&variable).as_deref() {
            None if !named => return Ok(None),
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            // The page is there anyway.
            Some("prometheus") if signal == "METRICS" => return Ok(None),
            Some(_) => return Err(format!("{variable} must be otlp or none")),
        }
        let protocol = self.protocol(signal)?;
        let mut collector = Collector::new(protocol, self.url(signal, protocol)?);
        collector.headers = self.headers(signal)?;
        collector.gzip = self.gzip(signal)?;
        collector.timeout = self.timeout(signal, collector.timeout)?;
        collector.ca = self.file(signal, "CERTIFICATE")?;
        collector.identity = self.identity(signal)?;
        Ok(Some(collector))
    }

    fn protocol(&self, signal: &str) -> Result<Protocol, String> {
        match self.otlp(signal, "PROTOCOL").as_deref() {
            None | Some("grpc") => Ok(Protocol::Grpc),
            Some("http/protobuf") => Ok(Protocol::Http),
            Some(_) => Err("OTEL_EXPORTER_OTLP_PROTOCOL must be grpc or http/protobuf".to_owned()),
        }
    }

    /// A signal's own endpoint is taken as it is; that for all signals gets the
    /// path of the signal where it is HTTP.
    fn url(&self, signal: &str, protocol: Protocol) -> Result<Url, String> {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
        let path = format!("v1/{}", signal.to_lowercase());
        match (self.get(&own), self.get("OTEL_EXPORTER_OTLP_ENDPOINT"), protocol) {
            (Some(text), _, _) => self.endpoint(signal, &own, &text),
            (None, text, Protocol::Grpc) => {
                let text = text.unwrap_or_else(|| "http://localhost:4317".to_owned());
                self.endpoint(signal, "OTEL_EXPORTER_OTLP_ENDPOINT", &text)
            }
            (None, text, Protocol::Http) => {
                let text = text.unwrap_or_else(|| "http://localhost:4318".to_owned());
                let text = format!("{}/{path}", text.trim_end_matches('/'));
                self.endpoint(signal, "OTEL_EXPORTER_OTLP_ENDPOINT", &text)
            }
        }
    }

    /// Without a scheme it is TLS, unless the variable for that says otherwise.
    fn endpoint(&self, signal: &str, variable: &str, text: &str) -> Result<Url, String> {
        let insecure = self.otlp(signal, "INSECURE").is_some_and(|value| value == "true");
        let scheme = if insecure { "http" } else { "https" };
        let text =
            if text.contains("://") { text.to_owned() } else { format!("{scheme}://{text}") };
        let url = Url::parse(&text).map_err(|_| format!("{variable} is not a URL"))?;
        let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
        if !is_http {
            return Err(format!("{variable} must be http:// or https:// with a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!(
                "{variable} must not hold a password: OTEL_EXPORTER_OTLP_HEADERS may hold a token"
            ));
        }
        Ok(url)
    }

    fn headers(&self, signal: &str) -> Result<Vec<(String, SecretString)>, String> {
        let Some(text) = self.otlp(signal, "HEADERS") else {
            return Ok(Vec::new());
        };
        let entries = pairs(&text)
            .ok_or("OTEL_EXPORTER_OTLP_HEADERS must be name=value,…, percent-encoded")?;
        for (name, value) in &entries {
            let fits = name.parse::<http::HeaderName>().is_ok()
                && http::HeaderValue::from_str(value).is_ok();
            if !fits {
                return Err("OTEL_EXPORTER_OTLP_HEADERS has what no header can carry".to_owned());
            }
        }
        Ok(entries.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect())
    }

    fn gzip(&self, signal: &str) -> Result<bool, String> {
        match self.otlp(signal, "COMPRESSION").as_deref() {
            None | Some("none") => Ok(false),
            Some("gzip") => Ok(true),
            Some(_) => Err("OTEL_EXPORTER_OTLP_COMPRESSION must be gzip or none".to_owned()),
        }
    }

    fn timeout(&self, signal: &str, usual: Duration) -> Result<Duration, String> {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_TIMEOUT");
        let usual = self.milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", usual)?;
        self.milliseconds(&own, usual)
    }

    fn file(&self, signal: &str, name: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(path) = self.otlp(signal, name) else {
            return Ok(None);
        };
        fs::read(&path)
            .map(Some)
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_{name} {path} cannot be read: {error}"))
    }

    fn identity(&self, signal: &str) -> Result<Option<Identity>, String> {
        let certificate = self.file(signal, "CLIENT_CERTIFICATE")?;
        let key = self.file(signal, "CLIENT_KEY")?;
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let key = String::from_utf8(key)
                    .map_err(|_| "OTEL_EXPORTER_OTLP_CLIENT_KEY is no PEM file")?;
                Ok(Some(Identity { certificate, key: SecretString::from(key) }))
            }
            _ => {
                Err("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and …_CLIENT_KEY go together".to_owned())
            }
        }
    }

    fn sampling(&self, remote_ratio: f64) -> Result<Sampling, String> {
        let name = self.get("OTEL_TRACES_SAMPLER");
        let name = name.as_deref().unwrap_or("parentbased_always_on");
        let (parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let ratio = match root {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => {
                let ratio = self.number("OTEL_TRACES_SAMPLER_ARG", 1.0)?;
                share(ratio, "OTEL_TRACES_SAMPLER_ARG")?
            }
            _ => {
                return Err("OTEL_TRACES_SAMPLER must be always_on, always_off or traceidratio, \
                            each also with parentbased_ before it"
                    .to_owned());
            }
        };
        Ok(Sampling { ratio, parent_based, remote_ratio })
    }

    fn queue(&self) -> Result<Queue, String> {
        let usual = Queue::default();
        let spans = self.number("OTEL_BSP_MAX_QUEUE_SIZE", usual.spans)?;
        let batch = self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", usual.batch.min(spans))?;
        let delay = self.milliseconds("OTEL_BSP_SCHEDULE_DELAY", usual.delay)?;
        if batch == 0 || batch > spans {
            return Err("OTEL_BSP_MAX_EXPORT_BATCH_SIZE must be from 1 to \
                        OTEL_BSP_MAX_QUEUE_SIZE"
                .to_owned());
        }
        Ok(Queue { spans, batch, delay })
    }

    /// The service's name given by its own variable counts more than one among
    /// the attributes.
    fn resource(&self, worker_id: &str) -> Result<Vec<(String, String)>, String> {
        let mut resource = vec![("service.instance.id".to_owned(), worker_id.to_owned())];
        if let Some(text) = self.get("OTEL_RESOURCE_ATTRIBUTES") {
            resource.extend(
                pairs(&text)
                    .ok_or("OTEL_RESOURCE_ATTRIBUTES must be key=value,…, percent-encoded")?,
            );
        }
        resource
            .extend(self.get("OTEL_SERVICE_NAME").map(|name| ("service.name".to_owned(), name)));
        Ok(resource)
    }

    fn boolean(&self, name: &str) -> Result<bool, String> {
        match self.get(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(format!("{name} must be true or false")),
        }
    }

    fn milliseconds(&self, name: &str, usual: Duration) -> Result<Duration, String> {
        match self.number(name, u64::MAX)? {
            u64::MAX => Ok(usual),
            0 => Err(format!("{name} must be more than 0 milliseconds")),
            milliseconds => Ok(Duration::from_millis(milliseconds)),
        }
    }

    fn number<T: FromStr>(&self, name: &str, usual: T) -> Result<T, String> {
        match self.get(name) {
            None => Ok(usual),
            Some(text) => text.parse().map_err(|_| format!("{name} is not a number that fits")),
        }
    }
}

fn share(ratio: f64, name: &str) -> Result<f64, String> {
    if (0.0..=1.0).contains(&ratio) {
        Ok(ratio)
    } else {
        Err(format!("{name} must be from 0 to 1"))
    }
}

/// `key=value,…` with percent-encoded values; `None` where it is not that.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (key, value) = entry.split_once('=')?;
            let (key, value) = (key.trim(), decoded(value.trim())?);
            (!key.is_empty()).then(|| (key.to_owned(), value))
        })
        .collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use clap::Parser;
    use secrecy::ExposeSecret;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: TelemetryArgs,
    }

    fn read(flags: &[&str], variables: &[(&str, &str)]) -> Result<Settings, String> {
        let args = ["sparkler"].iter().chain(flags);
        let args = Command::try_parse_from(args).expect("they parse").args;
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        let environment = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        let mut problems = Problems::default();
        let settings = settings(&args, "worker-7", &environment, &mut problems);
        if problems.0.is_empty() { Ok(settings) } else { Err(problems.0.join("; ")) }
    }

    #[test]
    fn nothing_is_exported_unless_it_is_asked_for() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), ("OTEL_SDK_DISABLED", "true")],
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_METRICS_EXPORTER", "prometheus"),
            ],
        ] {
            let settings = read(&[], variables).expect("valid");
            assert!(settings.traces.is_none() && settings.metrics.is_none(), "{variables:?}");
            assert!(settings.content_bytes.is_none());
        }
    }

    #[test]
    fn endpoints_are_made_by_the_standard() {
        let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        let all = |text| ("OTEL_EXPORTER_OTLP_ENDPOINT", text);
        let own = |text| ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", text);
        let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
        let asked = ("OTEL_TRACES_EXPORTER", "otlp");
        for (variables, expected) in [
            (&[all("http://c:4317")][..], "http://c:4317/"),
            (&[all("c:4317")], "https://c:4317/"),
            (&[all("c:4317"), insecure], "http://c:4317/"),
            (&[all("http://c:4318/"), http], "http://c:4318/v1/traces"),
            (&[all("http://a"), own("http://b:1/x"), http], "http://b:1/x"),
            (&[asked], "http://localhost:4317/"),
            (&[asked, http], "http://localhost:4318/v1/traces"),
        ] {
            let collector = read(&[], variables).expect("valid").traces.expect("a collector");
            assert_eq!(collector.url.as_str(), expected, "{variables:?}");
        }
    }

    #[test]
    fn everything_else_is_read_too() {
        let settings = read(
            &["--telemetry-content", "--telemetry-content-bytes=1KiB", "--baggage=run,team"],
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary, x-team = a"),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
                ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
                ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=p,service.name=other"),
                ("OTEL_SERVICE_NAME", "flows"),
                ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ],
        )
        .expect("valid");
        let collector = settings.traces.as_ref().expect("a collector");
        assert_eq!(collector.headers[0].1.expose_secret(), "Bearer canary");
        assert_eq!(collector.headers[1].0, "x-team");
        assert!(collector.gzip && settings.metrics.is_some());
        assert_eq!(collector.timeout, Duration::from_secs(2));
        let sampling = Sampling { ratio: 0.25, parent_based: true, remote_ratio: 1.0 };
        assert_eq!(settings.sampling, sampling);
        assert_eq!((settings.queue.spans, settings.queue.batch), (100, 100));
        assert_eq!(settings.resource[0].1, "worker-7");
        assert_eq!(settings.resource.last().expect("a name").1, "flows");
        assert_eq!(settings.content_bytes, Some(1024));
        assert_eq!(settings.baggage, ["run", "team"]);
        assert!(!format!("{settings:?}").contains("canary"), "headers are secrets");
    }

    #[test]
    fn every_problem_is_told_and_no_secret_with_it() {
        let problems = read(
            &["--remote-sample-ratio=2"],
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:canary@c"),
                ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "canary"),
                ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://c"),
                ("OTEL_TRACES_SAMPLER", "sometimes"),
                ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
                ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
            ],
        )
        .expect_err("all wrong");
        for word in ["remote-sample", "ENDPOINT", "HEADERS", "SAMPLER", "QUEUE", "INTERVAL"] {
            assert!(problems.contains(word), "{word} is missing in: {problems}");
        }
        assert!(!problems.contains("canary"), "{problems}");
    }

    #[test]
    fn a_problem_of_what_two_signals_share_is_told_once() {
        let problems = read(
            &[],
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "no header"),
            ],
        )
        .expect_err("wrong");
        assert_eq!(problems.matches("OTEL_EXPORTER_OTLP_HEADERS").count(), 1, "{problems}");
    }
}
