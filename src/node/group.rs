//! The groups of a form: fields about one thing, which a form draws together.

use super::localized_text::{LocalizedText, words};

/// A group of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The model, and how its answer arrives.
    Model,
    /// The length of the answer, and the sampling of its tokens.
    Sampling,
    /// The form of the answer, and the data that accompanies it.
    Answer,
    /// Reasoning and prediction.
    Reasoning,
    /// The tools that the model may call.
    Tools,
    /// The treatment of the prompt.
    Prompt,
    /// Routing and billing at the provider.
    Routing,
    /// The settings that the worker itself reads.
    Worker,
}

impl Group {
    /// All groups, in the order of a form.
    pub const ALL: [Group; 8] = [
        Group::Model,
        Group::Sampling,
        Group::Answer,
        Group::Reasoning,
        Group::Tools,
        Group::Prompt,
        Group::Routing,
        Group::Worker,
    ];

    /// Returns the group's name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Group::Model => "model",
            Group::Sampling => "sampling",
            Group::Answer => "answer",
            Group::Reasoning => "reasoning",
            Group::Tools => "tools",
            Group::Prompt => "prompt",
            Group::Routing => "routing",
            Group::Worker => "worker",
        }
    }

    /// Returns the name that people see.
    pub fn label(self) -> LocalizedText {
        match self {
            Group::Model => words("Model", "모델"),
            Group::Sampling => words("Length and sampling", "길이와 샘플링"),
            Group::Answer => words("Answer", "답변"),
            Group::Reasoning => words("Reasoning and prediction", "추론과 예측"),
            Group::Tools => words("Tools", "도구"),
            Group::Prompt => words("Prompt", "프롬프트"),
            Group::Routing => words("Routing and billing", "라우팅과 과금"),
            Group::Worker => words("Worker", "워커"),
        }
    }
}
