//! `sparkler nodes`: lists the node types of a worker and their fields, as tables
//! or (with `--json`) for programs.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::builder::BoolishValueParser;

use super::{
    failure::CommandError,
    json,
    table::{Cell, Table},
    terminal::{HEADING, PhaseLine, printable},
    worker::WorkerArgs,
};
use crate::proto::{ListNodeTypesRequest, ListNodeTypesResponse, NodeField, NodeType, Text};

pub(super) const EXAMPLES: &str = "\
Examples:
  sparkler nodes
  sparkler nodes --node chatFireworks
  sparkler nodes --json | jq -r '.nodeTypes[] | select(.name == \"fireworks\") | .configSchema'

--json prints the API's ListNodeTypesResponse as proto JSON: labels in English and Korean, and
the JSON Schema of each node's config.";

/// The arguments of `sparkler nodes`.
#[derive(Debug, clap::Args)]
pub(super) struct NodesArgs {
    /// Only this node type.
    #[arg(long, env = "SPARKLER_NODE", value_name = "TYPE")]
    node: Option<String>,

    /// Print proto JSON instead of tables.
    #[arg(long, env = "SPARKLER_JSON", value_parser = BoolishValueParser::new())]
    json: bool,

    #[command(flatten)]
    worker: WorkerArgs,
}

impl NodesArgs {
    pub(super) async fn run(self) -> Result<ExitCode, CommandError> {
        let mut response = self
            .worker
            .call(async |mut client| {
                let mut line = PhaseLine::new("asking", true);
                let call = client.list_node_types(ListNodeTypesRequest {});
                Ok(line.during(call).await?.into_inner())
            })
            .await?;
        if let Some(name) = &self.node {
            response.node_types = only(name, response.node_types)?;
        }
        let mut out = anstream::stdout().lock();
        match self.json {
            true => writeln!(out, "{:#}", json::of("ListNodeTypesResponse", &response)?)?,
            false => write(&response, &mut out)?,
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn only(name: &str, node_types: Vec<NodeType>) -> Result<Vec<NodeType>, CommandError> {
    let known: Vec<String> = node_types.iter().map(|node| node.name.clone()).collect();
    let found: Vec<NodeType> = node_types.into_iter().filter(|node| node.name == name).collect();
    match found.is_empty() {
        false => Ok(found),
        true => Err(CommandError::Usage(anyhow::anyhow!(
            "the worker has no node type {name:?}; it has {}",
            known.join(", ")
        ))),
    }
}

fn write(response: &ListNodeTypesResponse, out: &mut impl Write) -> io::Result<()> {
    let mut types = Table::new(["NODE TYPE", "VERSION", "TAKES", "DOES"]);
    for node in &response.node_types {
        types.push([
            Cell::styled(&node.name, HEADING),
            Cell::new(&node.version.to_string()),
            Cell::new(&node.inputs.join(", ")),
            Cell::new(english(node.description.as_ref())),
        ]);
    }
    types.write(0, out)?;
    for node in &response.node_types {
        writeln!(out, "\n{HEADING}{}{HEADING:#}", printable(&node.name))?;
        let mut fields = Table::new(["FIELD", "TYPE", "NEEDED", "DEFAULT", "HELP"]);
        for field in &node.fields {
            fields.push(row(field));
        }
        fields.write(2, out)?;
    }
    Ok(())
}

fn row(field: &NodeField) -> [Cell; 5] {
    let needed = if field.required { "yes" } else { "" };
    let default = field.default_value.clone().map(|value| json::of_value(value).to_string());
    [
        Cell::styled(&field.name, HEADING),
        Cell::new(&field.r#type),
        Cell::new(needed),
        Cell::new(&default.unwrap_or_default()),
        Cell::new(&help(field)),
    ]
}

/// Describes a field and its allowed values in one column: a separate list of
/// options would push the rest off the screen.
fn help(field: &NodeField) -> String {
    let allowed = match (field.minimum, field.maximum) {
        (Some(minimum), Some(maximum)) => format!("{minimum} to {maximum}."),
        (Some(minimum), None) => format!("From {minimum}."),
        (None, Some(maximum)) => format!("Up to {maximum}."),
        (None, None) if field.options.is_empty() => String::new(),
        (None, None) => format!("One of {}.", field.options.join(", ")),
    };
    format!("{} {allowed}", english(field.help.as_ref()))
}

fn english(text: Option<&Text>) -> &str {
    text.map(|text| text.en.as_str()).unwrap_or_default()
}
