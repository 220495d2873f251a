//! `sparkler execute`: runs one node. Prints its answer to stdout as it arrives,
//! and everything else to stderr.

mod arguments;
mod request;
pub(super) mod summary;
pub(super) mod transcript;
pub(super) mod waterfall;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use anyhow::anyhow;
pub(super) use arguments::ExecuteArgs;

use super::{failure::CommandError, json, terminal::PhaseLine, worker::WorkerClient};
use crate::proto::{
    Completed, ExecuteNodeRequest, ExecuteNodeResponse, execute_node_response::Event,
    progress::Phase,
};
use transcript::{Layout, Transcript};
use waterfall::Seen;

pub(super) const EXAMPLES: &str = "\
Examples:
  export FIREWORKS_API_KEY=…
  sparkler execute --model accounts/fireworks/models/glm-5p3 \"Why is the sky blue?\"
  sparkler execute --model … --cache --config '{\"temperature\": 0}' \"The same again.\"
  sparkler execute --model … --json-output=person.schema.json \"Invent a person, as JSON.\" | jq .
  sparkler execute --model … --messages conversation.json --events | jq -j '.delta.text // empty'
  sparkler execute --model fireworks/qwen3-embedding-8b --cache --texts chunks.json >vectors.jsonl
  sparkler execute --model … --trace \"Where does the time go?\"
  git diff | sparkler execute --worker https://worker:50051 --secret-name team --model … -

The answer goes to stdout. On a terminal its reasoning comes before it, dimmed; anywhere else
the reasoning is left out. With --json-output, or with several choices (n in --config), nothing
is printed before all of it is there; with several, each has a heading. The figures and any
failure go to stderr.

With --texts each vector is a line of JSON; on a terminal its beginning alone is shown.

--events prints proto JSON instead: one event a line, names in camelCase, enums by name, 64-bit
integers and durations (\"1.500s\") as strings; what is empty, 0 or false is left out.";

/// The output format of a run.
pub(super) enum View {
    /// The answer.
    Answer(Transcript<Box<dyn Write>>),
    /// Every event, one per line.
    Events(io::Stdout),
}

impl ExecuteArgs {
    pub(in crate::cli) async fn run(self) -> Result<ExitCode, CommandError> {
        let terminal = io::stdout().is_terminal();
        let held = self.is_held(terminal);
        let request = self.request(held)?;
        let mut view = self.view(Layout { terminal, held });
        let line_wanted = !self.quiet && !self.events;
        let result = self
            .worker
            .call(async |mut client| {
                let mut line = PhaseLine::new("connecting to the worker", line_wanted);
                follow(&mut client, request, &mut view, &mut line).await
            })
            .await;
        let (completed, seen) = result.inspect_err(|_| view.broken_off())?;
        let mut out = anstream::stderr().lock();
        if !self.quiet {
            summary::write(&completed, &mut out)?;
        }
        if self.trace {
            waterfall::write(&completed, seen, waterfall::width(), &mut out)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn view(&self, layout: Layout) -> View {
        if self.events {
            return View::Events(io::stdout());
        }
        // Output to a file or a pipe is passed through unchanged.
        let out: Box<dyn Write> = match layout.terminal {
            true => Box::new(anstream::stdout()),
            false => Box::new(io::stdout()),
        };
        View::Answer(Transcript::new(out, layout))
    }
}

/// Follows one execution to its end and returns the result with the times seen.
///
/// Dropping it drops the stream, which cancels the provider request.
pub(super) async fn follow(
    client: &mut WorkerClient,
    request: ExecuteNodeRequest,
    view: &mut View,
    line: &mut PhaseLine,
) -> Result<(Completed, Seen), CommandError> {
    let mut seen = Seen::from_now();
    let mut events = line.during(client.execute_node(request)).await?.into_inner();
    line.set("waiting for the first token");
    loop {
        let Some(event) = line.during(events.message()).await? else {
            return Err(CommandError::Other(anyhow!(
                "the worker ended the stream without `completed`: this is no Sparkler worker, or \
                 a proxy cut the stream"
            )));
        };
        if matches!(event.event, Some(Event::Delta(_))) {
            seen.output();
        }
        if view.show(&event, line)? && io::stdout().is_terminal() {
            // The answer occupies the progress line's terminal from here on.
            line.end();
        }
        if let Some(Event::Completed(completed)) = event.event {
            return Ok((*completed, seen));
        }
    }
}

impl View {
    /// Shows an event. Returns true if anything was printed.
    fn show(
        &mut self,
        response: &ExecuteNodeResponse,
        line: &mut PhaseLine,
    ) -> Result<bool, CommandError> {
        match (self, &response.event) {
            (View::Events(out), _) => {
                let event = json::of("ExecuteNodeResponse", response)?;
                let mut out = out.lock();
                writeln!(out, "{event}")?;
                out.flush()?;
                Ok(true)
            }
            (View::Answer(_), None | Some(Event::Started(_))) => Ok(false),
            (View::Answer(_), Some(Event::Progress(progress))) => {
                line.set(phase(progress.phase()));
                Ok(false)
            }
            (View::Answer(transcript), Some(Event::Delta(delta))) => {
                line.set("streaming");
                if transcript.prints(delta) {
                    line.clear();
                    transcript.delta(delta)?;
                    return Ok(true);
                }
                Ok(false)
            }
            (View::Answer(transcript), Some(Event::Restarted(restarted))) => {
                line.set("starting again");
                line.clear();
                Ok(transcript.restarted(restarted)?)
            }
            (View::Answer(transcript), Some(Event::Completed(completed))) => {
                line.end();
                transcript.completed(completed)?;
                Ok(true)
            }
        }
    }

    /// Ends the line of an unfinished answer, so that the failure gets its own.
    fn broken_off(&mut self) {
        if let View::Answer(transcript) = self {
            // The failure is printed to stderr whether or not stdout works.
            let _ = transcript.end_line();
        }
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Unspecified => "working",
        Phase::Queued => "waiting for a place on the worker",
        Phase::Connecting => "connecting to Fireworks",
        Phase::Waiting => "waiting for the first token",
        Phase::Streaming => "streaming",
        Phase::Retrying => "trying again after a failed attempt",
    }
}
