//! The form of the answer, and the data that accompanies it.

use crate::node::{
    field::{Class, Field, Literal, words},
    group::Group,
    shape::{Member, Shape},
};

/// A JSON Schema; Fireworks accepts it as an object or as text.
const SCHEMA: Shape = Shape::OneOf { form: "json", shapes: &[Shape::AnyObject, Shape::TEXT] };

const RESPONSE_FORMAT: Shape = Shape::Object(&[
    Member::required("type", Shape::Keyword(&["text", "json_object", "json_schema", "grammar"])),
    Member::optional(
        "json_schema",
        Shape::Object(&[
            Member::optional("name", Shape::TEXT),
            Member::optional("strict", Shape::Boolean),
            Member::required("schema", SCHEMA),
        ]),
    ),
    Member::optional("schema", SCHEMA),
    Member::optional("grammar", Shape::TEXT),
]);

/// The answer's form and accompanying data.
pub(in crate::node) static ANSWER: &[Field] = &Group::Answer.of([
    Field::integer("n", 1, 128, words("Answers", "답변 수"))
        .help(
            "How many answers are generated, and paid for.",
            "생성하고 비용을 낼 답변의 수입니다.",
        )
        .sent_as("n")
        .neutral(Literal::Integer(1)),
    Field::new("responseFormat", RESPONSE_FORMAT, words("Response format", "응답 형식"))
        .help(
            "text, json_object, json_schema or grammar, as Fireworks takes it. The request's own output format excludes it, and is checked, which this is not. Tell the model in the prompt too: it never sees a schema.",
            "Fireworks 형식의 text, json_object, json_schema, grammar입니다. 요청의 출력 형식과 함께 쓸 수 없으며, 출력 형식과 달리 검사되지 않습니다. 모델은 스키마를 보지 못하므로 프롬프트에도 적으세요.",
        )
        .sent_as("response_format"),
    Field::boolean("echo", words("Echo", "프롬프트 포함"))
        .help(
            "Puts the prompt before the answer.",
            "답변 앞에 프롬프트를 붙입니다.",
        )
        .sent_as("echo")
        .neutral(Literal::Boolean(false)),
    Field::count("echoLast", words("Echo last tokens", "프롬프트 끝부분 포함"))
        .help(
            "Puts this many of the prompt's last tokens before the answer.",
            "프롬프트의 마지막 토큰을 이 개수만큼 답변 앞에 붙입니다.",
        )
        .sent_as("echo_last"),
    Field::new(
        "logprobs",
        Shape::OneOf {
            form: "boolean",
            shapes: &[
                Shape::Boolean,
                Shape::Integer {
                    minimum: 0,
                    maximum: 5,
                },
            ],
        },
        words("Log probabilities", "로그 확률"),
    )
    .help(
        "Returns each token's log probability. A number from 0 to 5 asks for the older form with that many alternatives.",
        "토큰마다 로그 확률을 돌려줍니다. 0~5의 숫자는 그만큼의 후보를 담은 예전 형식입니다.",
    )
    .sent_as("logprobs")
    .class(Class::Envelope)
    .neutral(Literal::Boolean(false)),
    Field::integer("topLogprobs", 0, 5, words("Top log probabilities", "상위 로그 확률"))
        .help(
            "How many alternatives each token's log probabilities show.",
            "토큰마다 함께 보여 줄 후보의 수입니다.",
        )
        .sent_as("top_logprobs")
        .class(Class::Envelope),
    Field::boolean("rawOutput", words("Raw output", "원시 출력"))
        .help(
            "Asks Fireworks for its raw output. The worker does not pass it on.",
            "Fireworks에 원시 출력을 요청합니다. 워커는 전달하지 않습니다.",
        )
        .sent_as("raw_output")
        .class(Class::Envelope)
        .neutral(Literal::Boolean(false)),
    Field::boolean("returnTokenIds", words("Return token ids", "토큰 ID 반환"))
        .help(
            "Asks Fireworks for token ids. The worker does not pass them on.",
            "Fireworks에 토큰 ID를 요청합니다. 워커는 전달하지 않습니다.",
        )
        .sent_as("return_token_ids")
        .class(Class::Envelope)
        .neutral(Literal::Boolean(false)),
    Field::boolean(
        "perfMetricsInResponse",
        words("Performance metrics", "성능 지표"),
    )
    .help(
        "Asks Fireworks for its performance metrics. The worker does not pass them on.",
        "Fireworks에 성능 지표를 요청합니다. 워커는 전달하지 않습니다.",
    )
    .sent_as("perf_metrics_in_response")
    .class(Class::Envelope)
    .neutral(Literal::Boolean(false)),
]);
