//! The telemetry settings: OpenTelemetry's standard `OTEL_…` variables, and
//! Sparkler's own flags for what those do not cover.
//!
//! Nothing is exported unless an endpoint is named, or an exporter is requested by
//! `OTEL_TRACES_EXPORTER=otlp` or `OTEL_METRICS_EXPORTER=otlp`.

use std::{path::Path, str::FromStr, time::Duration};

use clap::{Args, builder::BoolishValueParser};
use secrecy::SecretString;
use url::Url;

use super::{ConfigProblems, bytes::bytes};
use crate::{
    files,
    telemetry::{
        ClientIdentity, Collector, Conventions, OtlpProtocol, Queue, Sampling, TelemetrySettings,
        names::otel::{SERVICE_INSTANCE, SERVICE_NAME},
    },
};

/// The telemetry arguments, for what the standard variables do not cover.
#[derive(Debug, Clone, Args)]
#[command(
    next_help_heading = "Telemetry (collector, headers, sampling: the standard OTEL_… variables)"
)]
pub struct TelemetryArgs {
    /// Record prompts and answers on spans, where everyone with access to the
    /// traces can read them.
    #[arg(long, env = "SPARKLER_TELEMETRY_CONTENT", value_parser = BoolishValueParser::new())]
    pub telemetry_content: bool,

    /// The limit of a prompt, and of an answer, on a span.
    #[arg(
        long,
        env = "SPARKLER_TELEMETRY_CONTENT_BYTES",
        default_value = "32KiB",
        value_parser = bytes,
        value_name = "SIZE"
    )]
    pub telemetry_content_bytes: u64,

    /// The ratio of the traces sampled by callers that is recorded here too, from 0
    /// to 1: a cap on the load that callers can cause.
    #[arg(long, env = "SPARKLER_REMOTE_SAMPLE_RATIO", default_value_t = 1.0, value_name = "RATIO")]
    pub remote_sample_ratio: f64,

    /// The baggage entries of callers to record on spans; no others are, and none
    /// goes to the provider.
    #[arg(long, env = "SPARKLER_BAGGAGE", value_delimiter = ',', value_name = "KEYS")]
    pub baggage: Vec<String>,
}

/// Reads an environment variable; an empty one counts as unset.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads the process's environment.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Validates the telemetry settings. Invalid flags are errors. Invalid standard
/// variables only cause a warning and count as unset, as OpenTelemetry's
/// specification requires.
pub(super) fn settings(
    args: &TelemetryArgs,
    worker_id: &str,
    environment: Environment<'_>,
    problems: &mut ConfigProblems,
) -> TelemetrySettings {
    let read = Variables(environment);
    let mut settings = TelemetrySettings {
        baggage: args.baggage.clone(),
        content_bytes: args
            .telemetry_content
            .then(|| usize::try_from(args.telemetry_content_bytes).unwrap_or(usize::MAX)),
        ..TelemetrySettings::default()
    };
    settings.sampling.remote_ratio =
        problems.take(share(args.remote_sample_ratio, "--remote-sample-ratio")).unwrap_or(1.0);
    // The metrics page has these names too, whether or not anything is exported.
    let opted_in = read.word("OTEL_SEMCONV_STABILITY_OPT_IN").unwrap_or_default();
    settings.conventions = Conventions::opted_in(&opted_in);
    let mut ignored = Ignored::default();
    let disabled = ignored.or(read.boolean("OTEL_SDK_DISABLED"), false);
    if !disabled {
        settings.traces = read.collector("TRACES", problems.warnings());
        settings.metrics = read.collector("METRICS", problems.warnings());
    }
    read.rest(&mut settings, worker_id, &mut ignored);
    // Warnings about exports are noise if nothing is exported.
    if settings.traces.is_some() || settings.metrics.is_some() {
        problems.warnings().extend(ignored);
    }
    settings
}

/// The standard variables that were ignored, each with a sentence about why.
#[derive(Debug, Default)]
pub(super) struct Ignored(Vec<String>);

impl Ignored {
    /// Returns the value, or `usual` with a notice if it is invalid.
    fn or<T>(&mut self, read: Result<T, String>, usual: T) -> T {
        read.unwrap_or_else(|problem| {
            self.add(format!("{problem}; it is ignored"));
            usual
        })
    }

    /// Adds a notice once, even if two signals share a variable.
    fn add(&mut self, sentence: String) {
        if !self.0.contains(&sentence) {
            self.0.push(sentence);
        }
    }

    fn extend(&mut self, other: Ignored) {
        other.0.into_iter().for_each(|sentence| self.add(sentence));
    }

    /// Returns the notices.
    pub(super) fn sentences(&self) -> &[String] {
        &self.0
    }
}

/// The standard variables.
struct Variables<'a>(Environment<'a>);

/// The largest span queue.
const MOST_SPANS: usize = 1 << 20;

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Returns a variable's value in lower case.
    fn word(&self, name: &str) -> Option<String> {
        self.get(name).map(|word| word.to_ascii_lowercase())
    }

    /// Returns the name and value of an OTLP variable: the signal's own, or the one
    /// for all signals.
    fn otlp(&self, signal: &str, name: &str) -> Option<(String, String)> {
        [format!("OTEL_EXPORTER_OTLP_{signal}_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")]
            .into_iter()
            .find_map(|variable| self.get(&variable).map(|value| (variable, value)))
    }

    fn collector(&self, signal: &str, ignored: &mut Ignored) -> Option<Collector> {
        if !self.exports(signal, ignored) {
            return None;
        }
        let protocol = ignored.or(self.protocol(signal), OtlpProtocol::Grpc);
        let parts = self
            .url(signal, protocol)
            .and_then(|url| Ok((url, self.file(signal, "CERTIFICATE")?, self.identity(signal)?)));
        let (url, ca, identity) = match parts {
            Ok(parts) => parts,
            // Without these, the wrong collector would be reached, or none.
            Err(problem) => {
                ignored.add(format!("{problem}; {} are not exported", signal.to_lowercase()));
                return None;
            }
        };
        let mut collector = Collector::new(protocol, url);
        collector.headers = ignored.or(self.headers(signal), Vec::new());
        collector.gzip = ignored.or(self.gzip(signal), false);
        collector.timeout = self.timeout(signal, collector.timeout, ignored);
        Some(Collector { ca, identity, ..collector })
    }

    /// Returns true if a signal is exported: its list of exporters decides, or else
    /// an endpoint enables it.
    fn exports(&self, signal: &str, ignored: &mut Ignored) -> bool {
        let variable = format!("OTEL_{signal}_EXPORTER");
        let list = self.word(&variable).unwrap_or_default();
        let (mut says_otlp, mut says_none) = (false, false);
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "otlp" => says_otlp = true,
                "none" => says_none = true,
                // The Prometheus page is always served.
                "prometheus" if signal == "METRICS" => says_none = true,
                _ => ignored.add(format!(
                    "{variable} names an exporter that there is not: otlp and none are; \
                     it is ignored"
                )),
            }
        }
        says_otlp || !says_none && self.otlp(signal, "ENDPOINT").is_some()
    }

    fn protocol(&self, signal: &str) -> Result<OtlpProtocol, String> {
        let Some((variable, text)) = self.otlp(signal, "PROTOCOL") else {
            return Ok(OtlpProtocol::Grpc);
        };
        match text.to_ascii_lowercase().as_str() {
            "grpc" => Ok(OtlpProtocol::Grpc),
            "http/protobuf" => Ok(OtlpProtocol::Http),
            _ => Err(format!("{variable} must be grpc or http/protobuf")),
        }
    }

    /// Returns a signal's endpoint. Its own variable is used unchanged; over HTTP,
    /// the one for all signals gets the signal's path appended.
    fn url(&self, signal: &str, protocol: OtlpProtocol) -> Result<Url, String> {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
        let path = format!("v1/{}", signal.to_lowercase());
        match (self.get(&own), self.get("OTEL_EXPORTER_OTLP_ENDPOINT"), protocol) {
            (Some(text), _, _) => self.endpoint(signal, &own, &text),
            (None, text, OtlpProtocol::Grpc) => {
                let text = text.unwrap_or_else(|| "http://localhost:4317".to_owned());
                self.endpoint(signal, "OTEL_EXPORTER_OTLP_ENDPOINT", &text)
            }
            (None, text, OtlpProtocol::Http) => {
                let text = text.unwrap_or_else(|| "http://localhost:4318".to_owned());
                let text = format!("{}/{path}", text.trim_end_matches('/'));
                self.endpoint(signal, "OTEL_EXPORTER_OTLP_ENDPOINT", &text)
            }
        }
    }

    /// Parses an endpoint. Without a scheme it uses TLS, unless the INSECURE
    /// variable says otherwise.
    fn endpoint(&self, signal: &str, variable: &str, text: &str) -> Result<Url, String> {
        let insecure = self
            .otlp(signal, "INSECURE")
            .is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
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
        let Some((variable, text)) = self.otlp(signal, "HEADERS") else {
            return Ok(Vec::new());
        };
        let entries = pairs(&text)
            .ok_or_else(|| format!("{variable} must be name=value,…, percent-encoded"))?;
        for (name, value) in &entries {
            let fits = name.parse::<http::HeaderName>().is_ok()
                && http::HeaderValue::from_str(value).is_ok();
            if !fits {
                return Err(format!("{variable} has what no header can carry"));
            }
        }
        Ok(entries.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect())
    }

    fn gzip(&self, signal: &str) -> Result<bool, String> {
        let Some((variable, text)) = self.otlp(signal, "COMPRESSION") else {
            return Ok(false);
        };
        match text.to_ascii_lowercase().as_str() {
            "none" => Ok(false),
            "gzip" => Ok(true),
            _ => Err(format!("{variable} must be gzip or none")),
        }
    }

    fn timeout(&self, signal: &str, usual: Duration, ignored: &mut Ignored) -> Duration {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_TIMEOUT");
        let usual = ignored.or(self.milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", usual), usual);
        ignored.or(self.milliseconds(&own, usual), usual)
    }

    fn file(&self, signal: &str, name: &str) -> Result<Option<Vec<u8>>, String> {
        let Some((variable, path)) = self.otlp(signal, name) else {
            return Ok(None);
        };
        files::read(Path::new(&path))
            .map(|contents| Some(contents.to_vec()))
            .map_err(|error| format!("{variable} {path} cannot be read: {error}"))
    }

    fn identity(&self, signal: &str) -> Result<Option<ClientIdentity>, String> {
        let certificate = self.file(signal, "CLIENT_CERTIFICATE")?;
        let key = self.file(signal, "CLIENT_KEY")?;
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let key = String::from_utf8(key)
                    .map_err(|_| "OTEL_EXPORTER_OTLP_CLIENT_KEY is not a PEM file")?;
                Ok(Some(ClientIdentity { certificate, key: SecretString::from(key) }))
            }
            _ => {
                Err("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and …_CLIENT_KEY go together".to_owned())
            }
        }
    }

    /// Reads the settings that matter only if something is exported.
    fn rest(&self, settings: &mut TelemetrySettings, worker_id: &str, ignored: &mut Ignored) {
        let usual = settings.metrics_interval;
        settings.metrics_interval =
            ignored.or(self.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", usual), usual);
        settings.sampling = self.sampling(settings.sampling, ignored);
        settings.queue = self.queue(ignored);
        settings.resource = self.resource(worker_id, ignored);
    }

    fn sampling(&self, usual: Sampling, ignored: &mut Ignored) -> Sampling {
        let name = self.word("OTEL_TRACES_SAMPLER");
        let name = name.as_deref().unwrap_or("parentbased_always_on");
        let (parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let ratio = match root {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => {
                let variable = "OTEL_TRACES_SAMPLER_ARG";
                let ratio = self.number(variable, 1.0).and_then(|ratio| share(ratio, variable));
                ignored.or(ratio, 1.0)
            }
            _ => {
                let problem = "OTEL_TRACES_SAMPLER must be always_on, always_off or \
                               traceidratio, each also with parentbased_ before it";
                return ignored.or(Err(problem.to_owned()), usual);
            }
        };
        Sampling { ratio, parent_based, ..usual }
    }

    fn queue(&self, ignored: &mut Ignored) -> Queue {
        let usual = Queue::default();
        let spans = self.up_to("OTEL_BSP_MAX_QUEUE_SIZE", usual.spans, MOST_SPANS);
        let spans = ignored.or(spans, usual.spans);
        let batch = usual.batch.min(spans);
        let given = self.up_to("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch, spans);
        let delay = self.milliseconds("OTEL_BSP_SCHEDULE_DELAY", usual.delay);
        Queue { spans, batch: ignored.or(given, batch), delay: ignored.or(delay, usual.delay) }
    }

    /// Reads the resource's attributes. OTEL_SERVICE_NAME takes precedence over a
    /// name among the attributes.
    fn resource(&self, worker_id: &str, ignored: &mut Ignored) -> Vec<(String, String)> {
        let variable = "OTEL_RESOURCE_ATTRIBUTES";
        let given = pairs(&self.get(variable).unwrap_or_default())
            .ok_or_else(|| format!("{variable} must be key=value,…, percent-encoded"));
        let name = self.get("OTEL_SERVICE_NAME").map(|name| (SERVICE_NAME.to_owned(), name));
        [(SERVICE_INSTANCE.to_owned(), worker_id.to_owned())]
            .into_iter()
            .chain(ignored.or(given, Vec::new()))
            .chain(name)
            .collect()
    }

    fn boolean(&self, name: &str) -> Result<bool, String> {
        match self.word(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(format!("{name} must be true or false")),
        }
    }

    fn milliseconds(&self, name: &str, usual: Duration) -> Result<Duration, String> {
        // One year, as for Sparkler's own flags.
        const LONGEST: u64 = 365 * 24 * 60 * 60 * 1000;
        if self.get(name).is_none() {
            return Ok(usual);
        }
        match self.number(name, 0)? {
            milliseconds @ 1..=LONGEST => Ok(Duration::from_millis(milliseconds)),
            _ => Err(format!("{name} must be from 1 to {LONGEST} milliseconds")),
        }
    }

    fn up_to(&self, name: &str, usual: usize, most: usize) -> Result<usize, String> {
        match self.number(name, usual)? {
            number if (1..=most).contains(&number) => Ok(number),
            _ => Err(format!("{name} must be from 1 to {most}")),
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

/// Parses `key=value,…` with percent-encoded values; `None` if malformed.
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
    struct TelemetryCommand {
        #[command(flatten)]
        args: TelemetryArgs,
    }

    /// Returns the settings and the warnings, or the error.
    fn warned(
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<(TelemetrySettings, Vec<String>), String> {
        let args = ["sparkler"].iter().chain(flags);
        let args = TelemetryCommand::try_parse_from(args).expect("they parse").args;
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        let environment = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        let mut problems = ConfigProblems::default();
        let settings = settings(&args, "worker-7", &environment, &mut problems);
        let ignored = problems.ignored.0;
        if problems.found.is_empty() {
            Ok((settings, ignored))
        } else {
            Err(problems.found.join("; "))
        }
    }

    fn read(flags: &[&str], variables: &[(&str, &str)]) -> Result<TelemetrySettings, String> {
        let (settings, ignored) = warned(flags, variables)?;
        assert!(ignored.is_empty(), "{ignored:?}");
        Ok(settings)
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
    fn a_flag_of_ours_is_refused() {
        let problem = read(&["--remote-sample-ratio=2"], &[]).expect_err("refused");
        assert!(problem.contains("--remote-sample-ratio"), "{problem}");
    }

    #[test]
    fn odd_standard_values_are_warned_of_and_count_as_unset() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c");
        for (name, value) in [
            ("OTEL_SDK_DISABLED", "perhaps"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "canary"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=canary"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "br"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "18446744073709551615"),
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote"),
            ("OTEL_RESOURCE_ATTRIBUTES", "junk"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=%zz"),
            ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "99999999999999"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4000"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ] {
            let (odd, ignored) = warned(&[], &[endpoint, (name, value)]).expect("it starts");
            assert_eq!(ignored.len(), 1, "{name}={value}: {ignored:?}");
            assert!(ignored[0].starts_with(name), "{name}: {ignored:?}");
            assert!(!ignored[0].contains("canary"), "{ignored:?}");
            let usual = read(&[], &[endpoint]).expect("valid");
            assert_eq!(format!("{odd:?}"), format!("{usual:?}"), "{name}={value}");
        }
    }

    #[test]
    fn a_collector_that_cannot_be_meant_gets_nothing() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:canary@c"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://c"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/dev/null"),
        ] {
            let asked = [("OTEL_TRACES_EXPORTER", "otlp"), (name, value)];
            let (settings, ignored) = warned(&[], &asked).expect("it starts");
            assert!(settings.traces.is_none() && !ignored.is_empty(), "{name}={value}");
            assert!(ignored[0].contains("traces are not exported"), "{ignored:?}");
            assert!(!ignored.join(";").contains("canary"), "{ignored:?}");
        }
    }

    #[test]
    fn words_are_understood_in_any_case() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c");
        let off = read(&[], &[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]).expect("valid");
        assert!(off.traces.is_none() && off.metrics.is_none());
        let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "HTTP/Protobuf");
        let sampler = ("OTEL_TRACES_SAMPLER", "ALWAYS_OFF");
        let settings = read(&[], &[endpoint, http, sampler]).expect("valid");
        assert_eq!(settings.traces.expect("a collector").protocol, OtlpProtocol::Http);
        assert!(settings.sampling.ratio == 0.0 && !settings.sampling.parent_based);
    }

    #[test]
    fn what_counts_for_exports_is_not_mentioned_without_one() {
        let odd = [("OTEL_TRACES_SAMPLER", "sometimes"), ("OTEL_BSP_SCHEDULE_DELAY", "-1")];
        read(&[], &odd).expect("nothing is exported, nothing is said");
    }
}
