//! Converts forms and findings into protobuf messages.

use prost_types::{ListValue, Struct, Value as ProtoValue, value::Kind};
use serde_json::Value;

use crate::proto::{
    CheckNodeResponse, CredentialField, FieldGroup, FieldViolation, Finding, NodeField, NodeType,
    Text, finding::Verdict,
};
use crate::{
    error::Violation,
    execution::{Findings, Question},
    fireworks::{self, Conclusion},
    node::{self, Field, Form, Group, InputKind, LocalizedText},
    price::Tier,
};

impl From<&Form> for NodeType {
    fn from(form: &Form) -> NodeType {
        let declaration = form.declaration();
        NodeType {
            name: declaration.name.to_owned(),
            version: declaration.version,
            label: text(declaration.label),
            description: text(declaration.description),
            fields: form.fields().iter().copied().map(NodeField::from).collect(),
            config_schema: form.config_schema().to_owned(),
            credential_fields: declaration.credential_fields.iter().map(credential_field).collect(),
            groups: form.groups().map(FieldGroup::from).collect(),
            inputs: form.inputs().iter().map(|kind| InputKind::as_str(*kind).to_owned()).collect(),
        }
    }
}

impl From<&Field> for NodeField {
    fn from(field: &Field) -> NodeField {
        let (minimum, maximum) = field.shape.bounds();
        NodeField {
            name: field.name.to_owned(),
            aliases: field.spellings().skip(1).map(str::to_owned).collect(),
            label: text(field.label),
            r#type: field.shape.form_type().to_owned(),
            required: field.required,
            default_value: field.default.map(|default| value(default.value())),
            help: text(field.help),
            minimum,
            maximum,
            options: field.shape.options().iter().map(|option| (*option).to_owned()).collect(),
            advanced: field.advanced,
            group: field.group.as_str().to_owned(),
        }
    }
}

impl From<Group> for FieldGroup {
    fn from(group: Group) -> FieldGroup {
        FieldGroup { name: group.as_str().to_owned(), label: text(group.label()) }
    }
}

impl From<Findings> for CheckNodeResponse {
    fn from(findings: Findings) -> CheckNodeResponse {
        let config = match findings.violations {
            violations if violations.is_empty() => Finding {
                basis: checked(findings.odd_tier),
                ..finding(Question::Config, Verdict::Yes)
            },
            violations => Finding {
                basis: "every field was checked against the node's form".to_owned(),
                reason: "INVALID_NODE_CONFIG".to_owned(),
                violations: violations.into_iter().map(FieldViolation::from).collect(),
                ..finding(Question::Config, Verdict::No)
            },
        };
        let credential = answered(Question::Credential, findings.credential);
        let model = answered(Question::Model, findings.model);
        CheckNodeResponse { findings: vec![config, credential, model] }
    }
}

/// Returns what the answer to a valid configuration rests on, with a warning of a service
/// tier that the provider is not known to take.
fn checked(odd_tier: bool) -> String {
    let basis = "every field was checked against the node's form";
    if !odd_tier {
        return basis.to_owned();
    }
    let known = Tier::KNOWN.join(", ");
    format!(
        "{basis}; serviceTier is none of {known}: it is sent as it is, and the provider may refuse it"
    )
}

impl From<Violation> for FieldViolation {
    fn from(violation: Violation) -> FieldViolation {
        FieldViolation { field: violation.field, description: violation.description }
    }
}

fn answered(question: Question, verdict: fireworks::ProbeVerdict) -> Finding {
    let answer = match verdict.answer {
        Conclusion::Yes => Verdict::Yes,
        Conclusion::No => Verdict::No,
        Conclusion::Unknown => Verdict::Unknown,
    };
    Finding {
        basis: verdict.basis,
        reason: verdict.reason.unwrap_or_default().to_owned(),
        ..finding(question, answer)
    }
}

fn finding(question: Question, verdict: Verdict) -> Finding {
    Finding { subject: question.as_str().to_owned(), verdict: verdict.into(), ..Finding::default() }
}

fn credential_field(field: &node::CredentialField) -> CredentialField {
    CredentialField { name: field.name.to_owned(), label: text(field.label), secret: field.secret }
}

fn text(words: LocalizedText) -> Option<Text> {
    Some(Text { en: words.en.to_owned(), ko: words.ko.to_owned() })
}

fn value(value: Value) -> ProtoValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(self::value).collect() })
        }
        Value::Object(members) => Kind::StructValue(Struct {
            fields: members.into_iter().map(|(key, member)| (key, self::value(member))).collect(),
        }),
    };
    ProtoValue { kind: Some(kind) }
}
