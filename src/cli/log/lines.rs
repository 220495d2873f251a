//! The formats of a line: an object of JSON for machines, and text for people. Both
//! end in the ids of the span.

use std::fmt::{self, Debug, Write};

use serde::Serialize;
use serde_json::value::RawValue;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer},
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::telemetry::{self, Ids};

/// The field whose text is JSON, and becomes an object of its line: fields of the
/// tracing library cannot be objects.
const SETTINGS: &str = "settings";

/// The capacity for the line of a call.
const LINE_BYTES: usize = 1024;

/// Lines of JSON. Every call writes one, so they are written in one pass; those of
/// the tracing library cost three times as much.
#[derive(Debug)]
pub struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = JsonLine::begin(event.metadata());
        event.record(&mut line);
        line.member("target", event.metadata().target());
        if let Some(Ids { trace, span }) = telemetry::current().ids() {
            line.member("trace_id", &format_args!("{trace}"));
            line.member("span_id", &format_args!("{span}"));
        }
        writer.write_str(line.end()?)
    }
}

/// An object under construction.
struct JsonLine(Vec<u8>);

impl JsonLine {
    fn begin(metadata: &Metadata<'_>) -> JsonLine {
        let mut line = JsonLine(Vec::with_capacity(LINE_BYTES));
        line.0.extend_from_slice(b"{\"timestamp\":");
        line.value(&timestamp());
        line.member("level", metadata.level().as_str());
        line
    }

    fn member(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        self.value(value);
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) {
        // Numbers and texts have a JSON form, and the vector grows.
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    fn end(&mut self) -> Result<&str, fmt::Error> {
        self.0.extend_from_slice(b"}\n");
        std::str::from_utf8(&self.0).map_err(|_| fmt::Error)
    }
}

impl Visit for JsonLine {
    fn record_str(&mut self, field: &Field, value: &str) {
        let is_json = field.name() == SETTINGS;
        match is_json.then(|| serde_json::from_str::<&RawValue>(value)) {
            Some(Ok(settings)) => self.member(SETTINGS, settings),
            _ => self.member(field.name(), value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        match write!(text, "{value:?}") {
            Ok(()) => self.record_str(field, &text),
            Err(fmt::Error) => self.member(field.name(), &()),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name(), &value);
    }
}

/// Lines of text.
pub(super) struct TextLines(pub(super) Format<Full>);

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(Ids { trace, span }) = telemetry::current().ids() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{} trace_id={trace} span_id={span}", line.trim_end())
    }
}

/// Returns the time, as RFC 3339 has it; empty if the clock cannot be read.
pub(super) fn timestamp() -> String {
    let mut timestamp = String::with_capacity(32);
    match SystemTime.format_time(&mut Writer::new(&mut timestamp)) {
        Ok(()) => timestamp,
        Err(fmt::Error) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use serde_json::{Value, json};

    use super::*;
    use crate::cli::log::tests::Writes;

    /// Returns the JSON lines of what `work` logs.
    fn lines(work: impl FnOnce()) -> Vec<Value> {
        let written = Writes::default();
        let to = written.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .event_format(JsonLines)
            .finish();
        tracing::subscriber::with_default(log, work);
        let written = written.0.lock().expect("no panic").concat();
        let text = std::str::from_utf8(&written).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[test]
    fn every_kind_of_value_is_what_it_is_in_json() {
        let problem = io::Error::other("a \"quoted\" problem");
        let problem: &(dyn std::error::Error + 'static) = &problem;
        let lines = lines(|| {
            tracing::warn!(
                text = "a \"quoted\"\n\u{1}line\u{2028}",
                shown = %"shown\t", debugged = ?Some("x"), problem,
                count = 3_u64, below = -3_i64, small = 7_u16, share = 0.25, none = Option::<u64>::None,
                not_a_number = f64::NAN, is_true = true,
                "what happened: {}", 42
            );
        });
        let mut line = lines[0].clone();
        let time = line["timestamp"].take();
        assert!(time.as_str().is_some_and(|time| time.ends_with('Z')), "{time}");
        let expected = json!({
            "timestamp": null, "level": "WARN", "message": "what happened: 42",
            "text": "a \"quoted\"\n\u{1}line\u{2028}", "shown": "shown\t", "debugged": "Some(\"x\")",
            "problem": "a \"quoted\" problem", "count": 3, "below": -3, "small": 7, "share": 0.25,
            "not_a_number": null, "is_true": true, "target": module_path!(),
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn settings_are_an_object_of_their_line() {
        let lines = lines(|| {
            tracing::info!(settings = r#"{"queue_length":7}"#, other = r#"{"text":1}"#, "m");
            tracing::info!(settings = "not JSON", "m");
            tracing::info!(settings = %json!({ "queue_length": 8 }), "m");
        });
        assert_eq!(lines[0]["settings"], json!({ "queue_length": 7 }));
        assert_eq!(lines[0]["other"], r#"{"text":1}"#);
        assert_eq!(lines[1]["settings"], "not JSON");
        assert_eq!(lines[2]["settings"], json!({ "queue_length": 8 }));
    }

    #[test]
    fn a_value_that_cannot_be_shown_is_null() {
        struct Broken;
        impl fmt::Display for Broken {
            fn fmt(&self, _formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        let lines = lines(|| tracing::info!(broken = %Broken, after = 1, "m"));
        assert_eq!((&lines[0]["broken"], &lines[0]["after"]), (&Value::Null, &json!(1)));
    }
}
