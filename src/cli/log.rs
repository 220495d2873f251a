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
            lines.fmt_fields(JsonFields::new()).event_format(Json(format)).init();
        }
        LogFormat::Text => {
            let colours = anstream::AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
            let lines = lines.with_ansi(colours).fmt_fields(DefaultFields::new());
            lines.event_format(Text(Format::default().with_ansi(colours))).init();
        }
    }
    Ok(())
}

/// A JSON object a line, the ids among its members.
struct Json<F>(F);

/// A line for people, the ids at its end.
struct Text<F>(F);

impl<S, N, F> FormatEvent<S, N> for Json<F>
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
        let Some(Ids { trace, span }) = telemetry::current().ids() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match line.trim_end().strip_suffix('}') {
            Some(open) => {
                writeln!(writer, r#"{open},"trace_id":"{trace}","span_id":"{span}"}}"#)
            }
            None => writer.write_str(&line),
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for Text<F>
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
        let Some(Ids { trace, span }) = telemetry::current().ids() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{} trace_id={trace} span_id={span}", line.trim_end())
    }
}
