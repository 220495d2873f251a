//! The extent of the model's reasoning, its access to earlier reasoning, and
//! the prediction of its answer that saves time.

use crate::node::{
    field::{Field, words},
    group::Group,
    shape::{MAX_INTEGER, Member, Shape},
};

const EFFORT: Shape = Shape::OneOf {
    form: "string",
    shapes: &[
        Shape::Integer { minimum: 1, maximum: MAX_INTEGER },
        Shape::Boolean,
        // Any word: each model has its own set, and sets grow.
        Shape::TEXT,
    ],
};

const THINKING: Shape = Shape::Object(&[
    Member::required("type", Shape::Keyword(&["enabled", "disabled"])),
    Member::optional("budget_tokens", Shape::Integer { minimum: 1024, maximum: MAX_INTEGER }),
]);

const TEXT_PART: Shape = Shape::Object(&[
    Member::required("type", Shape::Keyword(&["text"])),
    Member::required("text", Shape::TEXT),
]);

/// Form text is always the prediction itself: it may well be a JSON document.
const PREDICTION: Shape = Shape::OneOf {
    form: "string",
    shapes: &[
        Shape::TEXT,
        Shape::Object(&[
            Member::required("type", Shape::Keyword(&["content"])),
            Member::required(
                "content",
                Shape::OneOf {
                    form: "json",
                    shapes: &[Shape::TEXT, Shape::List { of: &TEXT_PART, most: usize::MAX }],
                },
            ),
        ]),
    ],
};

const SPECULATION: Shape = Shape::OneOf {
    form: "string",
    shapes: &[
        Shape::TEXT,
        Shape::List { of: &Shape::Integer { minimum: 0, maximum: MAX_INTEGER }, most: usize::MAX },
    ],
};

/// Reasoning and speculation.
pub(in crate::node) static REASONING: &[Field] = &Group::Reasoning.of([
    Field::new("reasoningEffort", EFFORT, words("Reasoning effort", "추론 강도"))
        .help(
            "A word such as none, low, medium, high or max, of which each model takes its own; or the most tokens to think with; or true (medium) or false (none).",
            "none, low, medium, high, max 같은 단어(모델마다 다름), 추론에 쓸 최대 토큰 수, 또는 true(medium)나 false(none)입니다.",
        )
        .sent_as("reasoning_effort"),
    Field::new("thinking", THINKING, words("Thinking", "사고"))
        .help(
            "The same as reasoningEffort in Anthropic's form: {\"type\":\"enabled\",\"budget_tokens\":2048} or {\"type\":\"disabled\"}. Give one of them.",
            "reasoningEffort를 Anthropic 형식으로 쓴 것입니다: {\"type\":\"enabled\",\"budget_tokens\":2048} 또는 {\"type\":\"disabled\"}. 둘 중 하나만 지정하세요.",
        )
        .sent_as("thinking"),
    Field::new(
        "reasoningHistory",
        Shape::Keyword(&["disabled", "interleaved", "preserved"]),
        words("Reasoning history", "추론 이력"),
    )
    .help(
        "What the model sees of the reasoning in earlier messages. Left out, the model's own default counts.",
        "이전 메시지의 추론을 모델에 어떻게 보여 줄지 정합니다. 비우면 모델의 기본값을 씁니다.",
    )
    .sent_as("reasoning_history"),
    Field::new("prediction", PREDICTION, words("Prediction", "예측"))
        .help(
            "The answer as far as it is known beforehand, in OpenAI's form, to get it faster. The same as speculation; give one of them.",
            "미리 아는 답변의 내용을 OpenAI 형식으로 주어 속도를 높입니다. speculation과 같으며 둘 중 하나만 지정하세요.",
        )
        .sent_as("prediction"),
    Field::new("speculation", SPECULATION, words("Speculation", "추측"))
        .help(
            "The answer as far as it is known beforehand, as text or as token ids, to get it faster.",
            "미리 아는 답변의 내용을 텍스트나 토큰 ID로 주어 속도를 높입니다.",
        )
        .sent_as("speculation"),
]);
