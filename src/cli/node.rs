//! The node that a command is about: its type and its fields. The worker validates
//! the fields.

use anyhow::{Context, anyhow, bail};
use prost_types::{ListValue, Struct, value::Kind};
use serde_json::{Map, Number, Value};

use super::failure::CommandError;

/// The arguments that describe a node.
#[derive(Debug, clap::Args)]
pub(super) struct NodeArgs {
    /// The node type; `sparkler nodes` lists them.
    #[arg(long, env = "SPARKLER_NODE", value_name = "TYPE", default_value = "chatFireworks")]
    pub(super) node: String,

    /// The model, such as accounts/fireworks/models/glm-5p3: the node's field
    /// modelName.
    #[arg(long, env = "SPARKLER_MODEL", value_name = "NAME")]
    model: Option<String>,

    /// More fields of the node, as a JSON object; `sparkler nodes` lists them.
    #[arg(long, env = "SPARKLER_CONFIG", value_name = "JSON")]
    config: Option<String>,
}

impl NodeArgs {
    /// Returns the node's fields.
    pub(super) fn config(&self) -> Result<Struct, CommandError> {
        self.fields().and_then(|fields| proto_struct("config", fields)).map_err(CommandError::Usage)
    }

    /// Returns a numeric field of `--config`, even if it is given as text.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        let fields: Map<String, Value> = serde_json::from_str(self.config.as_deref()?).ok()?;
        match fields.get(name)? {
            Value::String(text) => text.parse().ok(),
            value => value.as_f64(),
        }
    }

    fn fields(&self) -> anyhow::Result<Map<String, Value>> {
        let mut fields = match &self.config {
            Some(text) => serde_json::from_str(text)
                .context("--config is not a JSON object, such as '{\"temperature\": 0.2}'")?,
            None => Map::new(),
        };
        if let Some(model) = &self.model {
            if ["modelName", "model"].iter().any(|name| fields.contains_key(*name)) {
                bail!("the model is in --model and in --config; give it once");
            }
            fields.insert("modelName".to_owned(), model.clone().into());
        }
        Ok(fields)
    }
}

/// Converts a JSON object. The path names it in errors.
pub(super) fn proto_struct(path: &str, fields: Map<String, Value>) -> anyhow::Result<Struct> {
    let fields = fields
        .into_iter()
        .map(|(name, value)| Ok((name.clone(), proto_value(&format!("{path}.{name}"), value)?)))
        .collect::<anyhow::Result<_>>()?;
    Ok(Struct { fields })
}

fn proto_value(path: &str, value: Value) -> anyhow::Result<prost_types::Value> {
    Ok(prost_types::Value::from(match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(yes) => Kind::BoolValue(yes),
        Value::Number(number) => Kind::NumberValue(exact(path, &number)?),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(items) => {
            let values = items
                .into_iter()
                .enumerate()
                .map(|(index, item)| proto_value(&format!("{path}[{index}]"), item))
                .collect::<anyhow::Result<_>>()?;
            Kind::ListValue(ListValue { values })
        }
        Value::Object(fields) => Kind::StructValue(proto_struct(path, fields)?),
    }))
}

/// Converts a number to a double, as `google.protobuf.Value` requires. Rejects an
/// integer that would be rounded; as text it would arrive exactly.
fn exact(path: &str, number: &Number) -> anyhow::Result<f64> {
    const LIMIT: u64 = 1 << f64::MANTISSA_DIGITS;
    let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    if magnitude.is_some_and(|magnitude| magnitude > LIMIT) {
        bail!("{path}: {number} would be rounded on the way; write it as text, \"{number}\"");
    }
    number.as_f64().ok_or_else(|| anyhow!("{path}: {number} is no number that can be sent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(model: Option<&str>, config: Option<&str>) -> NodeArgs {
        NodeArgs {
            node: "chatFireworks".to_owned(),
            model: model.map(str::to_owned),
            config: config.map(str::to_owned),
        }
    }

    fn problem(model: Option<&str>, config: Option<&str>) -> String {
        match args(model, config).config() {
            Err(CommandError::Usage(problem)) => format!("{problem:#}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_model_and_the_fields_come_together() {
        let config =
            args(Some("m"), Some(r#"{"temperature": 0.5, "stop": ["a", null]}"#)).config().unwrap();
        assert_eq!(config.fields["modelName"].kind, Some(Kind::StringValue("m".to_owned())));
        assert_eq!(config.fields["temperature"].kind, Some(Kind::NumberValue(0.5)));
        assert_eq!(config.fields.len(), 3);
    }

    #[test]
    fn a_model_that_is_given_twice_is_refused() {
        for field in ["model", "modelName"] {
            let config = format!(r#"{{"{field}": "b"}}"#);
            assert!(problem(Some("a"), Some(&config)).contains("give it once"));
        }
    }

    #[test]
    fn an_integer_that_would_be_rounded_is_refused_with_its_path() {
        let problem = problem(None, Some(r#"{"a": [{"seed": 9007199254740993}]}"#));
        assert!(problem.starts_with("config.a[0].seed: 9007199254740993"), "{problem}");
    }

    #[test]
    fn a_malformed_config_is_reported_with_its_position() {
        assert!(problem(None, Some("[1]")).starts_with("--config is not a JSON object"));
        assert!(problem(None, Some(r#"{"a": }"#)).contains("line 1 column 7"));
    }
}
