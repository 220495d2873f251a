//! `sparkler models`: lists the models that a credential can use, as a table or (with
//! `--json`) for programs. What the provider does not state stays empty.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::builder::BoolishValueParser;

use super::{
    credential::CredentialArgs,
    failure::CommandError,
    json,
    table::{Cell, Table},
    terminal::{HEADING, PhaseLine, WARNING},
    units::dollars,
    worker::{WorkerArgs, WorkerClient},
};
use crate::proto::{ListModelsRequest, ListModelsResponse, Model, ModelPrice};

pub(super) const EXAMPLES: &str = "\
Examples:
  FIREWORKS_API_KEY=… sparkler models
  sparkler models --worker http://127.0.0.1:50051 --secret-name team
  sparkler models --json | jq -r '.models[] | select(.endOfLife) | \"\\(.endOfLife) \\(.name)\"'

An empty cell is unknown: the provider does not state it. Prices are in US dollars per million
tokens, by the worker's price table. --json prints the API's ListModelsResponse as proto JSON.";

/// Maximum pages that are read.
const MAX_PAGES: usize = 20;

/// The arguments of `sparkler models`.
#[derive(Debug, clap::Args)]
pub(super) struct ModelsArgs {
    /// Print proto JSON instead of a table.
    #[arg(long, env = "SPARKLER_JSON", value_parser = BoolishValueParser::new())]
    json: bool,

    #[command(flatten)]
    credential: CredentialArgs,

    #[command(flatten)]
    worker: WorkerArgs,
}

impl ModelsArgs {
    pub(super) async fn run(self) -> Result<ExitCode, CommandError> {
        let credential = self.credential.read()?;
        let request = ListModelsRequest { credential, ..ListModelsRequest::default() };
        let response = self
            .worker
            .call(async |client| {
                let mut line = PhaseLine::new("asking", true);
                Ok(line.during(all(client, request)).await?)
            })
            .await?;
        let mut out = anstream::stdout().lock();
        match self.json {
            true => writeln!(out, "{:#}", json::of("ListModelsResponse", &response)?)?,
            false => write(&response, &mut out)?,
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads all pages, as one.
async fn all(
    mut client: WorkerClient,
    mut request: ListModelsRequest,
) -> Result<ListModelsResponse, tonic::Status> {
    let mut whole = client.list_models(request.clone()).await?.into_inner();
    for _ in 1..MAX_PAGES {
        if whole.next_page_token.is_empty() {
            break;
        }
        request.page_token = std::mem::take(&mut whole.next_page_token);
        let page = client.list_models(request.clone()).await?.into_inner();
        whole.models.extend(page.models);
        whole.next_page_token = page.next_page_token;
    }
    Ok(whole)
}

fn write(response: &ListModelsResponse, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(["MODEL", "CONTEXT", "IN", "CACHED", "OUT", "ENDS", "CAN"]);
    for model in &response.models {
        let standard = model.prices.iter().find(|price| price.tier == "default");
        let money = |of: fn(&ModelPrice) -> i64| {
            Cell::new(&standard.map(|price| dollars(of(price))).unwrap_or_default())
        };
        table.push([
            Cell::styled(&model.name, HEADING),
            Cell::new(&model.context_length.map(|tokens| tokens.to_string()).unwrap_or_default()),
            money(|price| price.input_nanodollars),
            money(|price| price.cached_input_nanodollars),
            money(|price| price.output_nanodollars),
            Cell::styled(&model.end_of_life, WARNING),
            Cell::new(&abilities(model)),
        ]);
    }
    table.write(0, out)?;
    out.flush()
}

/// Returns what the model can do, and its successor if it has one.
fn abilities(model: &Model) -> String {
    let known = [
        (model.chat, "chat"),
        (model.completion, "completion"),
        (model.embeddings, "embeddings"),
        (model.tools, "tools"),
        (model.images, "images"),
        (model.reasoning, "reasoning"),
    ];
    let able = known.into_iter().filter(|(able, _)| *able == Some(true)).map(|(_, word)| word);
    let text = able.collect::<Vec<&str>>().join(", ");
    match model.successor.as_str() {
        "" => text,
        successor => format!("{text}; successor: {successor}"),
    }
}
