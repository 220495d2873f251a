//! `docs/telemetry.md` lists what the code defines: every span, event and
//! attribute of `src/telemetry/names.rs`, and every metric of the table.
//! `UPDATE=1` rewrites it.

use std::{env, fmt::Write, fs, path::Path};

use sparkler::internals::{Definition, TABLE};

/// A name with what is said of it.
struct Name {
    said: String,
    name: String,
}

/// The constants of one module of `names.rs`, in their order.
fn names(source: &str, module: &str) -> Vec<Name> {
    let begin = format!("pub(crate) mod {module} {{");
    let body = source.split_once(&begin).unwrap_or_else(|| panic!("no {module} in names.rs")).1;
    let body = body.split_once("\n}").expect("an end").0;
    let mut names = Vec::new();
    let mut said = Vec::new();
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            said.push(text);
        } else if line.starts_with("pub(crate) const ") {
            let name = line.split('"').nth(1).unwrap_or_else(|| panic!("no name in {line}"));
            assert!(!said.is_empty(), "nothing is said of {name}");
            names.push(Name { said: said.join(" "), name: name.to_owned() });
            said.clear();
        }
    }
    names
}

fn page(source: &str) -> String {
    let mut page = String::from(INTRODUCTION);
    for (title, introduction, module) in [
        ("Spans", SPANS, "span"),
        ("Events", "Events on spans; never one per token.", "event"),
        ("Attributes by the OpenTelemetry conventions", CONVENTIONS, "otel"),
        ("Attributes of Sparkler", "Attributes that no convention covers.", "sparkler"),
    ] {
        heading(&mut page, title, introduction);
        page.push_str("| name | what |\n| --- | --- |\n");
        // What begins otherwise is a value, not a name.
        let is_name = |name: &Name| name.name.starts_with(char::is_alphabetic);
        for Name { said, name } in names(source, module).into_iter().filter(is_name) {
            writeln!(page, "| `{name}` | {said} |").expect("written");
        }
    }
    heading(&mut page, "Metrics", METRICS);
    for row in TABLE {
        metric(&mut page, row);
    }
    page
}

fn heading(page: &mut String, title: &str, introduction: &str) {
    writeln!(page, "\n## {title}\n\n{introduction}\n").expect("written");
}

fn metric(page: &mut String, row: &Definition) {
    let page_name = row.page_name();
    let Definition { name, kind, unit, description, attributes, buckets } = row;
    let unit = if unit.is_empty() { String::new() } else { format!(" in `{unit}`") };
    writeln!(page, "### `{name}`\n\n{description}\n").expect("written");
    writeln!(page, "* {}{unit}; for Prometheus `{page_name}`", kind.as_str()).expect("written");
    if !attributes.is_empty() {
        let attributes: Vec<String> = attributes.iter().map(|key| format!("`{key}`")).collect();
        writeln!(page, "* by {}", attributes.join(", ")).expect("written");
    }
    if !buckets.is_empty() {
        let buckets: Vec<String> = buckets.iter().map(f64::to_string).collect();
        writeln!(page, "* buckets up to {}", buckets.join(", ")).expect("written");
    }
    page.push('\n');
}

const INTRODUCTION: &str = "\
# Telemetry

The traces and metrics of a worker. This page is generated from the code by
`tests/it/telemetry_page.rs`, which fails when the two differ.

Traces and metrics are exported by OTLP if the standard variables name a collector
(`OTEL_EXPORTER_OTLP_ENDPOINT` and related ones); metrics are also served at `/metrics`
of the admin port. None of it contains credentials; prompts and answers are included
only if the operator opts in (`--telemetry-content`).

The conventions for generative AI are in motion. `OTEL_SEMCONV_STABILITY_OPT_IN` chooses
the names of metrics: without it those of release 1.42, with `gen_ai_latest_experimental`
those of the development text that replaces it, with `gen_ai_latest_experimental/dup` both.
Spans need no choice: where the texts name an attribute differently, no released name is
in use here.

An orchestrator may record a span of its own for the same model call;
[llm-spans.md](llm-spans.md) says how to count it once. The metrics page has no exemplars:
neither the OpenTelemetry SDK for Rust nor its Prometheus exporter keeps any. A log line
has the trace's id, and leads from a figure to a trace.

An execution that missed the cache, as Arize Phoenix shows it
(`tests/phoenix/run --picture` takes the picture):

![A trace: the call, its look-up, its flight, and the provider request with its
tokens](trace.png)
";

const SPANS: &str = "\
A SERVER span is named after its method and lasts until its stream has ended. A CLIENT
span, one per request to the provider, is named `{operation} {model}`. The others:";

const CONVENTIONS: &str = "\
The conventions for RPC and for generative AI, as far as a call has the values. The
provider is `fireworks_ai`, since the conventions list no name for it.";

const METRICS: &str = "\
No run, node, tenant or credential is an attribute. A model appears under its own name
once it is in the price table or the provider has answered for it, up to a hundred
models; all others are `_OTHER`. Health checks and reflection are not counted as calls.
Tokens of every request to the provider count as paid, even if its output became void or
nobody waited for its end, as far as the provider has reported them by then. Fireworks
reports the prompt's tokens in the head of its response and the output's at the end, so
the output of a cancelled request is unknown.";

#[test]
fn the_page_lists_what_the_code_defines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join("src/telemetry/names.rs")).expect("the names");
    let now = format!("{}\n", page(&source).trim_end());
    let path = root.join("docs/telemetry.md");
    if env::var("UPDATE").is_ok_and(|update| update == "1") {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, &now).expect("a writable page");
    }
    let shown = fs::read_to_string(&path).unwrap_or_default();
    let differs = shown.lines().zip(now.lines()).find(|(shown, now)| shown != now);
    assert!(
        shown == now,
        "docs/telemetry.md differs from the code (UPDATE=1 rewrites it); the first difference is at\n\
         {differs:?}"
    );
}

#[test]
fn every_attribute_of_a_metric_is_a_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join("src/telemetry/names.rs")).expect("the names");
    let known: Vec<String> = ["otel", "sparkler"]
        .into_iter()
        .flat_map(|module| names(&source, module))
        .map(|name| name.name)
        .collect();
    for row in TABLE {
        for key in row.attributes {
            assert!(known.iter().any(|name| name == key), "{}: {key}", row.name);
        }
    }
}
