//! The provider's parameters, each declared once, in groups that nodes share.
//!
//! Taken from the provider's request schemas as of 2026-10: types, ranges and
//! the effect on the answer. Only parameters declared here are ever sent. The
//! worker sets `stream` and `stream_options` itself; `messages` and `prompt`
//! come from the input.

mod answer;
mod prompt;
mod reasoning;
mod route;
mod sampling;
mod tools;

pub(super) use self::{
    answer::ANSWER, prompt::CHAT_PROMPT, prompt::IMAGES, prompt::PROMPT, reasoning::REASONING,
    route::ROUTE, sampling::SAMPLING, tools::TOOLS,
};
use super::{
    field::{Field, words},
    form::CredentialField,
    group::Group,
    model_name::MODEL_NAME_RULE,
    shape::Shape,
};

/// The fields of a Fireworks credential.
pub(super) const CREDENTIAL: &[CredentialField] = &[CredentialField {
    name: "api_key",
    label: words("Fireworks API key", "Fireworks API 키"),
    secret: true,
}];

/// The model.
pub(super) const MODEL_NAME: Field =
    Field::new("modelName", Shape::text(512, &MODEL_NAME_RULE), words("Model", "모델"))
        .help(
            "The full name, such as accounts/fireworks/models/…, of a model that the key can use.",
            "키로 사용할 수 있는 모델의 전체 이름입니다. 예: accounts/fireworks/models/…",
        )
        .sent_as("model")
        .also(&["model"])
        .required()
        .basic();

/// The sampling temperature.
pub(super) const TEMPERATURE: Field =
    Field::number("temperature", 0.0, 2.0, words("Temperature", "온도"))
        .help(
            "0 is the most predictable, 2 the most varied. 0 is still not guaranteed to repeat.",
            "0은 가장 예측 가능하고 2는 가장 다양합니다. 0이어도 같은 답이 보장되지는 않습니다.",
        )
        .sent_as("temperature")
        .group(Group::Sampling)
        .basic();
