//! The program's log, on stderr: for people or for machines, each line with the
//! ids of the span that it belongs to. Called by `serve`.

use std::fmt;

use anstream::ColorChoice;
use anyhow::Context;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{DefaultFields, Format, JsonFields, Writer},
    },
    registry::LookupSpan,
};

use crate::{
    config::{LogFormat, ServeArgs},
    telemetry::{self, Ids},
};

/// Log lines go to stderr from here on.
pub(super) fn begin(args: &ServeArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log).with_context(|| {
        format!("--log {:?} is no filter, such as info or sparkler=debug", args.log)
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would be told on stderr, and panic where nobody reads that any more.
        .log_internal_errors(false);
    match args.log_format {
        LogFormat::Json => {
            let format = Format::default().json().flatten_event(true);
            lines.fmt_fields(JsonFields::new()).event_format(WithIds { format, end: json }).init();
        }
        LogFormat::Text => {
            let colours = anstream::AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
            let lines = lines.with_ansi(colours).fmt_fields(DefaultFields::new());
            let format = Format::default().with_ansi(colours);
            lines.event_format(WithIds { format, end: text }).init();
        }
    }
    Ok(())
}

/// A format whose lines end with the ids of their span, where they have one.
struct WithIds<F> {
    format: F,
    end: End,
}

/// Writes a line's end after what there is of it.
type End = fn(&mut Writer<'_>, &str, Ids) -> fmt::Result;

impl<S, N, F> FormatEvent<S, N> for WithIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(ids) = telemetry::current().ids() else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        (self.end)(&mut writer, line.trim_end(), ids)
    }
}

/// As two more members of the object.
fn json(writer: &mut Writer<'_>, line: &str, Ids { trace, span }: Ids) -> fmt::Result {
    let open = line.strip_suffix('}').unwrap_or(line);
    writeln!(writer, r#"{open},"trace_id":"{trace}","span_id":"{span}"}}"#)
}

/// As two more fields.
fn text(writer: &mut Writer<'_>, line: &str, Ids { trace, span }: Ids) -> fmt::Result {
    writeln!(writer, "{line} trace_id={trace} span_id={span}")
}
