//! `sparkler check`: checks a node before it runs and shows what the worker found,
//! what it could not find out, and the evidence for each answer.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::{
    credential::CredentialArgs,
    failure::CommandError,
    node::NodeArgs,
    table::{Cell, Table},
    terminal::{BAD, GOOD, HEADING, PhaseLine, WARNING, printable},
    worker::WorkerArgs,
};
use crate::proto::{CheckNodeRequest, Finding, finding::Verdict};

pub(super) const EXAMPLES: &str = "\
Examples:
  FIREWORKS_API_KEY=… sparkler check --model accounts/fireworks/models/glm-5p3
  sparkler check --worker http://127.0.0.1:50051 --secret-name team --model … --config '{\"topK\": 5}'

Without a credential only the fields are checked. No tokens are spent. The exit code is 1 if any
answer is no; unknown is not no.";

/// The arguments of `sparkler check`.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    node: NodeArgs,

    #[command(flatten)]
    credential: CredentialArgs,

    #[command(flatten)]
    worker: WorkerArgs,
}

impl CheckArgs {
    pub(super) async fn run(self) -> Result<ExitCode, CommandError> {
        let request = CheckNodeRequest {
            node_type: self.node.node.clone(),
            config: Some(self.node.config()?),
            credential: self.credential.read()?,
            context: None,
        };
        let response = self
            .worker
            .call(async |mut client| {
                let mut line = PhaseLine::new("asking", true);
                Ok(line.during(client.check_node(request)).await?.into_inner())
            })
            .await?;
        write(&response.findings, &mut anstream::stdout().lock())?;
        let any_no = response.findings.iter().any(|finding| finding.verdict() == Verdict::No);
        Ok(ExitCode::from(u8::from(any_no)))
    }
}

fn write(findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(["SUBJECT", "ANSWER", "REASON", "RESTS ON"]);
    for finding in findings {
        let (answer, style) = match finding.verdict() {
            Verdict::Yes => ("yes", GOOD),
            Verdict::No => ("no", BAD),
            Verdict::Unknown | Verdict::Unspecified => ("unknown", WARNING),
        };
        table.push([
            Cell::styled(&finding.subject, HEADING),
            Cell::styled(answer, style),
            Cell::new(&finding.reason),
            Cell::new(&finding.basis),
        ]);
    }
    table.write(0, out)?;
    for violation in findings.iter().flat_map(|finding| &finding.violations) {
        let text = format!("{} {}", violation.field, violation.description);
        writeln!(out, "  {}", printable(&text))?;
    }
    out.flush()
}
