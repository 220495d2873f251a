//! The API's messages as proto JSON: names in camelCase, enums by name, 64-bit
//! integers and durations as strings, unset fields left out
//! (<https://protobuf.dev/programming-guides/json/>).
//!
//! Follows the schema that is compiled into the program, so that no new field can
//! be forgotten. Covers only what the API's answers use: no maps, no groups, no
//! `Any`.

mod value;

use std::{collections::HashMap, sync::LazyLock};

use anyhow::{Context, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Buf, Bytes};
use prost::{
    Message,
    encoding::{WireType, decode_key, decode_varint},
};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use serde_json::{Map, Value};

use crate::proto::FILE_DESCRIPTOR_SET;
pub(super) use value::of_value;
use value::{double, duration};

/// The package of the API's messages.
const PACKAGE: &str = ".sparkler.worker.v1";

/// Converts a message of the API, given its name in the package.
pub(super) fn of(name: &str, message: &impl Message) -> anyhow::Result<Value> {
    let bytes = Bytes::from(message.encode_to_vec());
    SCHEMA
        .message(&format!("{PACKAGE}.{name}"), bytes)
        .with_context(|| format!("a {name} of the worker does not fit the API"))
}

static SCHEMA: LazyLock<MessageSchema> = LazyLock::new(MessageSchema::compiled_in);

#[derive(Default)]
struct MessageSchema {
    messages: HashMap<String, DescriptorProto>,
    enums: HashMap<String, EnumDescriptorProto>,
}

/// The value of a field as encoded on the wire.
enum WireValue {
    Number(u64),
    Bytes(Bytes),
}

impl MessageSchema {
    fn compiled_in() -> MessageSchema {
        let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
        let mut schema = MessageSchema::default();
        for file in files.file {
            let package = format!(".{}", file.package());
            schema.add(&package, file.message_type, file.enum_type);
        }
        schema
    }

    fn add(
        &mut self,
        scope: &str,
        messages: Vec<DescriptorProto>,
        enums: Vec<EnumDescriptorProto>,
    ) {
        for one in enums {
            self.enums.insert(format!("{scope}.{}", one.name()), one);
        }
        for mut message in messages {
            let name = format!("{scope}.{}", message.name());
            let nested = std::mem::take(&mut message.nested_type);
            let enums = std::mem::take(&mut message.enum_type);
            self.add(&name, nested, enums);
            self.messages.insert(name, message);
        }
    }

    fn message(&self, name: &str, bytes: Bytes) -> anyhow::Result<Value> {
        match name {
            ".google.protobuf.Duration" => {
                Ok(duration(prost_types::Duration::decode(bytes)?).into())
            }
            ".google.protobuf.Value" => Ok(of_value(prost_types::Value::decode(bytes)?)),
            _ => {
                let raws = fields(bytes)?;
                let message = self.messages.get(name).context("no such message")?;
                self.object(message, &raws)
            }
        }
    }

    /// Returns the fields in the order of the schema.
    fn object(
        &self,
        message: &DescriptorProto,
        raws: &[(i32, WireValue)],
    ) -> anyhow::Result<Value> {
        let mut object = Map::new();
        for field in &message.field {
            let mut values = raws
                .iter()
                .filter(|(number, _)| *number == field.number())
                .map(|(_, raw)| self.field(field, raw))
                .collect::<anyhow::Result<Vec<Value>>>()?;
            let value = match (field.label(), values.pop()) {
                (_, None) => continue,
                (Label::Repeated, Some(last)) => {
                    values.push(last);
                    Value::Array(values)
                }
                (_, Some(last)) => last,
            };
            object.insert(field.json_name().to_owned(), value);
        }
        Ok(Value::Object(object))
    }

    fn field(&self, field: &FieldDescriptorProto, raw: &WireValue) -> anyhow::Result<Value> {
        Ok(match (field.r#type(), raw) {
            (Type::String, WireValue::Bytes(bytes)) => String::from_utf8_lossy(bytes).into(),
            (Type::Bytes, WireValue::Bytes(bytes)) => STANDARD.encode(bytes).into(),
            (Type::Message, WireValue::Bytes(bytes)) => {
                self.message(field.type_name(), bytes.clone())?
            }
            (Type::Bool, WireValue::Number(number)) => (*number != 0).into(),
            (Type::Uint32, WireValue::Number(number)) => (*number).into(),
            (Type::Uint64, WireValue::Number(number)) => number.to_string().into(),
            (Type::Int64, WireValue::Number(number)) => number.cast_signed().to_string().into(),
            (Type::Double, WireValue::Number(number)) => double(f64::from_bits(*number)),
            (Type::Enum, WireValue::Number(number)) => self.enumerator(field.type_name(), *number),
            _ => bail!("a type that no answer of the API has"),
        })
    }

    /// Returns the enum value's name; an unknown number, from a newer worker, stays
    /// a number.
    fn enumerator(&self, name: &str, number: u64) -> Value {
        let values = self.enums.get(name).map(|known| known.value.as_slice());
        values
            .unwrap_or_default()
            .iter()
            .find(|value| u64::try_from(value.number()) == Ok(number))
            .map_or(Value::from(number), |value| Value::from(value.name()))
    }
}

/// Splits a message into its fields.
fn fields(mut bytes: Bytes) -> anyhow::Result<Vec<(i32, WireValue)>> {
    let mut raws = Vec::new();
    while bytes.has_remaining() {
        let (number, wire_type) = decode_key(&mut bytes)?;
        let raw = match wire_type {
            WireType::Varint => WireValue::Number(decode_varint(&mut bytes)?),
            WireType::SixtyFourBit => WireValue::Number(bytes.try_get_u64_le()?),
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut bytes)?).unwrap_or(usize::MAX);
                if length > bytes.remaining() {
                    bail!("cut short");
                }
                WireValue::Bytes(bytes.split_to(length))
            }
            _ => bail!("a type that no answer of the API has"),
        };
        raws.push((number.cast_signed(), raw));
    }
    Ok(raws)
}

#[cfg(test)]
mod tests {
    use prost_types::{Struct, value::Kind};

    use super::*;
    use crate::proto::{
        Completed, Cost, Delta, Embeddings, ExecuteNodeResponse, NodeField, Progress,
        ToolCallFragment, Usage, execute_node_response::Event, progress::Phase,
    };

    fn event(sequence: u64, event: Event) -> String {
        let response = ExecuteNodeResponse { sequence, event: Some(event) };
        of("ExecuteNodeResponse", &response).unwrap().to_string()
    }

    #[test]
    fn names_are_in_camel_case_and_long_integers_are_strings() {
        let cost =
            Cost { spent_nanodollars: -1, original_nanodollars: i64::MAX, ..Cost::default() };
        let usage = Usage { prompt_tokens: Some(0), ..Usage::default() };
        let completed =
            Completed { usage: Some(usage), cost: Some(cost), attempts: 2, ..Completed::default() };
        assert_eq!(
            event(7, Event::Completed(completed.into())),
            r#"{"sequence":"7","completed":{"usage":{"promptTokens":"0"},"cost":{"spentNanodollars":"-1","originalNanodollars":"9223372036854775807"},"attempts":2}}"#
        );
    }

    #[test]
    fn vectors_are_base64() {
        let embeddings = Embeddings { vectors: vec![0, 0, 128, 63], ..Embeddings::default() };
        let completed = Completed { embeddings: Some(embeddings), ..Completed::default() };
        assert_eq!(
            event(1, Event::Completed(completed.into())),
            r#"{"sequence":"1","completed":{"embeddings":{"vectors":"AACAPw=="}}}"#
        );
    }

    #[test]
    fn what_was_not_set_is_left_out_and_lists_are_lists() {
        let delta = Delta {
            text: "a \"quote\" 글".to_owned(),
            tool_calls: vec![ToolCallFragment {
                id: "call_1".to_owned(),
                ..ToolCallFragment::default()
            }],
            ..Delta::default()
        };
        assert_eq!(
            event(1, Event::Delta(delta)),
            r#"{"sequence":"1","delta":{"text":"a \"quote\" 글","toolCalls":[{"id":"call_1"}]}}"#
        );
    }

    #[test]
    fn an_enum_is_named_and_an_unknown_one_stays_a_number() {
        for (phase, json) in [(Phase::Waiting as i32, r#""PHASE_WAITING""#), (99, "99")] {
            let progress = Progress { phase, elapsed: None };
            assert_eq!(
                event(0, Event::Progress(progress)),
                format!(r#"{{"progress":{{"phase":{json}}}}}"#)
            );
        }
    }

    #[test]
    fn a_default_is_the_value_it_is() {
        let list = Kind::ListValue(prost_types::ListValue {
            values: vec![Kind::NumberValue(2.0).into(), Kind::NullValue(0).into()],
        });
        let object = Struct { fields: [("a".to_owned(), list.into())].into() };
        let field = NodeField {
            default_value: Some(Kind::StructValue(object).into()),
            minimum: Some(0.0),
            maximum: Some(0.9),
            required: true,
            ..NodeField::default()
        };
        assert_eq!(
            of("NodeField", &field).unwrap().to_string(),
            r#"{"required":true,"defaultValue":{"a":[2,null]},"minimum":0,"maximum":0.9}"#
        );
    }

    #[test]
    fn no_answer_of_the_api_has_a_type_that_is_not_covered() {
        let mut unseen = vec![".sparkler.worker.v1.ExecuteNodeResponse".to_owned()];
        unseen.extend(
            ["ListNodeTypesResponse", "CheckNodeResponse", "ListModelsResponse"]
                .map(|name| format!("{PACKAGE}.{name}")),
        );
        while let Some(name) = unseen.pop() {
            if name.starts_with(".google.protobuf.") {
                assert!(name.ends_with(".Duration") || name.ends_with(".Value"), "{name}");
                continue;
            }
            let message = &SCHEMA.messages[&name];
            assert!(
                !message.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry),
                "{name}"
            );
            for field in &message.field {
                match field.r#type() {
                    Type::Message => unseen.push(field.type_name().to_owned()),
                    Type::String
                    | Type::Bytes
                    | Type::Bool
                    | Type::Uint32
                    | Type::Uint64
                    | Type::Int64
                    | Type::Double
                    | Type::Enum => {
                        let numbers =
                            field.label() == Label::Repeated && field.r#type() != Type::String;
                        assert!(!numbers, "{name}.{} would be packed", field.name());
                    }
                    other => panic!("{name}.{}: {other:?}", field.name()),
                }
            }
        }
    }
}
