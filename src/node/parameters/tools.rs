//! The tools that the model may call. Chat only.

use crate::node::{
    field::{Field, Literal, words},
    group::Group,
    shape::{Member, Shape, TextRule},
};

static FUNCTION_NAME: TextRule = TextRule {
    pattern: "^[A-Za-z0-9_-]{1,64}$",
    accepts: is_function_name,
    words: "a name of 1 to 64 letters, digits, _ or -",
};

fn is_function_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

const NAME: Shape = Shape::text(64, &FUNCTION_NAME);

const FUNCTION: Shape = Shape::Object(&[
    Member::required("name", NAME),
    Member::optional("description", Shape::TEXT),
    Member::optional("parameters", Shape::AnyObject),
    Member::optional("strict", Shape::Boolean),
]);

const TOOL: Shape = Shape::Object(&[
    Member::required("type", Shape::Keyword(&["function"])),
    Member::required("function", FUNCTION),
]);

const TOOL_CHOICE: Shape = Shape::OneOf {
    form: "json",
    shapes: &[
        Shape::Object(&[
            Member::required("type", Shape::Keyword(&["function"])),
            Member::optional("function", Shape::Object(&[Member::required("name", NAME)])),
            Member::optional("name", NAME),
        ]),
        Shape::Keyword(&["auto", "none", "any", "required"]),
    ],
};

const FUNCTION_CALL: Shape = Shape::OneOf {
    form: "json",
    shapes: &[Shape::Object(&[Member::required("name", NAME)]), Shape::Keyword(&["auto", "none"])],
};

/// Tools.
pub(in crate::node) static TOOLS: &[Field] = &Group::Tools.of([
    Field::new(
        "tools",
        Shape::List {
            of: &TOOL,
            most: usize::MAX,
        },
        words("Tools", "도구"),
    )
    .help(
        "The functions that the model may ask for, in OpenAI's form. The order of keys in their parameters reaches the model, and is not distinguished by the cache.",
        "모델이 요청할 수 있는 함수를 OpenAI 형식으로 적습니다. parameters의 키 순서는 모델에 그대로 전달되며, 캐시는 이를 구분하지 않습니다.",
    )
    .sent_as("tools"),
    Field::new("toolChoice", TOOL_CHOICE, words("Tool choice", "도구 선택"))
        .help(
            "auto, none, required (or any, the same), or {\"type\":\"function\",\"function\":{\"name\":\"…\"}}.",
            "auto, none, required(any와 같음), 또는 {\"type\":\"function\",\"function\":{\"name\":\"…\"}}입니다.",
        )
        .sent_as("tool_choice")
        .neutral(Literal::Keyword("auto")),
    Field::boolean("parallelToolCalls", words("Parallel tool calls", "병렬 도구 호출"))
        .help(
            "Whether the model may ask for several tools at once.",
            "모델이 여러 도구를 한꺼번에 요청해도 되는지 정합니다.",
        )
        .sent_as("parallel_tool_calls"),
    Field::new(
        "functions",
        Shape::List {
            of: &FUNCTION,
            most: usize::MAX,
        },
        words("Functions (old form)", "함수(이전 형식)"),
    )
    .help(
        "The old form of tools, sent as tools; give one of them.",
        "tools의 이전 형식이며 tools로 보냅니다. 둘 중 하나만 지정하세요.",
    )
    .sent_as("functions"),
    Field::new("functionCall", FUNCTION_CALL, words("Function call (old form)", "함수 호출(이전 형식)"))
        .help(
            "The old form of toolChoice, sent as toolChoice; give one of them.",
            "toolChoice의 이전 형식이며 toolChoice로 보냅니다. 둘 중 하나만 지정하세요.",
        )
        .sent_as("function_call"),
]);
