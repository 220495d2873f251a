//! Builds the request from the arguments of `sparkler execute` and the files they
//! name. Leaves validation to the worker where the worker can report problems
//! better.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context, anyhow, bail};

use super::{
    super::{failure::CommandError, messages, units::proto_duration},
    ExecuteArgs,
};
use crate::proto::{
    CachePolicy, ExecuteNodeRequest, ExecutionContext, ExecutionLimits, OutputOptions, Texts,
    cache_policy::{Mode, Scope},
    execute_node_request::Input,
    execution_limits::OnCancel,
    output_options::Format,
};

/// Larger inputs are rejected: no model reads them, and no worker accepts them.
const MAX_INPUT_BYTES: u64 = 64 * 1024 * 1024;

impl ExecuteArgs {
    /// Builds the request. With a `held` answer no deltas are requested, so the
    /// worker may retry until the end.
    pub(super) fn request(&self, held: bool) -> Result<ExecuteNodeRequest, CommandError> {
        let config = self.node.config()?;
        let credential = self.credential.read()?;
        if credential.is_none() && !config.fields.contains_key("credential") {
            return Err(CommandError::Usage(anyhow!(
                "no credential: set FIREWORKS_API_KEY, or give --api-key-file or --secret-name"
            )));
        }
        Ok(ExecuteNodeRequest {
            tools: Vec::new(),
            node_type: self.node_type().to_owned(),
            config: Some(config),
            input: Some(self.input().map_err(CommandError::Usage)?),
            credential,
            context: Some(self.context()),
            cache: Some(self.cache_policy()),
            output: Some(self.output(held).map_err(CommandError::Usage)?),
            limits: Some(self.limits()),
            idempotency_key: self.idempotency_key.clone().unwrap_or_default(),
        })
    }

    /// Returns the node type; texts have one node.
    fn node_type(&self) -> &str {
        if self.texts.is_some() { "fireworksEmbeddings" } else { &self.node.node }
    }

    /// Returns true if the answer is printed only once complete: where a part of it
    /// is useless, or could not be taken back.
    pub(super) fn is_held(&self, terminal: bool) -> bool {
        self.no_deltas
            || self.json_output.is_some()
            || self.wants_several_choices()
            || (self.limits.allow_restart && !terminal)
    }

    fn input(&self) -> anyhow::Result<Input> {
        if let Some(path) = &self.messages {
            let text = read(path).with_context(|| format!("--messages {}", path.display()))?;
            let chat = messages::parse(&text)
                .map_err(|problems| anyhow!("--messages {}: {problems}", path.display()))?;
            return Ok(Input::Chat(chat));
        }
        if let Some(path) = &self.texts {
            let text = read(path).with_context(|| format!("--texts {}", path.display()))?;
            return Ok(Input::Texts(Texts { texts: texts(&text) }));
        }
        match self.prompt.as_deref() {
            Some("-") => {
                let text = read(Path::new("-")).context("the prompt from stdin")?;
                // The shell adds it; the same prompt as an argument has none.
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Ok(Input::Prompt(text.to_owned()))
            }
            Some(text) => Ok(Input::Prompt(text.to_owned())),
            None => bail!("nothing is asked: give a prompt, --messages or --texts"),
        }
    }

    fn output(&self, held: bool) -> anyhow::Result<OutputOptions> {
        let unwanted = self.no_deltas || (held && !self.events);
        let mut output = OutputOptions {
            // If deltas are wanted, the node's own `streaming` decides.
            deltas: unwanted.then_some(false),
            ..OutputOptions::default()
        };
        if let Some(schema) = &self.json_output {
            output.set_format(Format::Json);
            if schema != ExecuteArgs::ANY_JSON {
                output.json_schema =
                    read(Path::new(schema)).with_context(|| format!("--json-output={schema}"))?;
            }
        }
        Ok(output)
    }

    fn wants_several_choices(&self) -> bool {
        self.node.number("n").is_some_and(|choices| choices > 1.0)
    }

    fn cache_policy(&self) -> CachePolicy {
        let cache = &self.cache;
        CachePolicy {
            mode: cache.cache.map_or(Mode::Unspecified, Mode::from).into(),
            scope: cache.cache_scope.map_or(Scope::Unspecified, Scope::from).into(),
            ttl: cache.cache_ttl.map(proto_duration),
            salt: cache.cache_salt.clone().unwrap_or_default(),
        }
    }

    fn limits(&self) -> ExecutionLimits {
        let limits = &self.limits;
        ExecutionLimits {
            connect: limits.connect_timeout.map(proto_duration),
            first_token: limits.first_token_timeout.map(proto_duration),
            idle: limits.idle_timeout.map(proto_duration),
            total: limits.total_timeout.map(proto_duration),
            max_attempts: limits.max_attempts.unwrap_or_default(),
            on_cancel: limits.on_cancel.map_or(OnCancel::Unspecified, OnCancel::from).into(),
            allow_restart: limits.allow_restart,
        }
    }

    fn context(&self) -> ExecutionContext {
        let context = &self.context;
        ExecutionContext {
            flow_id: context.flow_id.clone().unwrap_or_default(),
            run_id: context.run_id.clone().unwrap_or_default(),
            node_id: context.node_id.clone().unwrap_or_default(),
            session_id: context.session_id.clone().unwrap_or_default(),
            tenant: context.tenant.clone().unwrap_or_default(),
            ..ExecutionContext::default()
        }
    }
}

/// Returns the texts of a JSON list, or else the lines that are not empty.
fn texts(text: &str) -> Vec<String> {
    let lines = || text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    serde_json::from_str(text).unwrap_or_else(|_| lines())
}

/// Reads a file, or stdin for `-`.
fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let source: &mut dyn Read = match path.to_str() {
        Some("-") => &mut io::stdin().lock(),
        _ => &mut File::open(path).context("cannot be read")?,
    };
    source.take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes).context("cannot be read")?;
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        bail!("is longer than {MAX_INPUT_BYTES} bytes");
    }
    String::from_utf8(bytes).context("is not UTF-8 text")
}
