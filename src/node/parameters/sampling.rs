//! The number of tokens, and the sampling of each.

use crate::node::{
    field::{Field, Literal, words},
    group::Group,
    shape::{MAX_INTEGER, Shape, TextRule},
};

static TOKEN_ID: TextRule = TextRule {
    pattern: "^(0|[1-9][0-9]{0,8})$",
    accepts: is_token_id,
    words: "a token id of the model's tokenizer",
};

fn is_token_id(text: &str) -> bool {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}

/// Length and sampling.
pub(in crate::node) static SAMPLING: &[Field] = &Group::Sampling.of([
    Field::count("maxTokens", words("Max tokens", "최대 토큰 수"))
        .help(
            "The longest answer, reasoning included. Left out, Fireworks stops at 2048; what does not fit the model's window is lowered.",
            "추론을 포함한 답변의 최대 길이입니다. 비우면 Fireworks는 2048에서 멈추며, 모델 창을 넘는 값은 낮아집니다.",
        )
        .sent_as("max_tokens")
        .basic(),
    Field::count("maxCompletionTokens", words("Max completion tokens", "최대 완성 토큰 수"))
        .help(
            "Another name for maxTokens; give one of them.",
            "maxTokens의 다른 이름입니다. 둘 중 하나만 지정하세요.",
        )
        .sent_as("max_completion_tokens"),
    Field::number("topP", 0.0, 1.0, words("Top P", "Top P"))
        .help(
            "Chooses among the likeliest tokens that together have this probability. Left out, the model's own default counts.",
            "누적 확률이 이 값에 이르는 상위 토큰 중에서 고릅니다. 비우면 모델의 기본값을 씁니다.",
        )
        .sent_as("top_p"),
    Field::integer("topK", 0, 100, words("Top K", "Top K"))
        .help(
            "Chooses among this many of the likeliest tokens; 0 turns it off. Left out, the model's own default counts.",
            "가장 유력한 토큰 중 이 개수 안에서 고릅니다. 0이면 끕니다. 비우면 모델의 기본값을 씁니다.",
        )
        .sent_as("top_k"),
    Field::number("minP", 0.0, 1.0, words("Min P", "Min P"))
        .help(
            "Drops tokens less likely than this share of the likeliest one.",
            "가장 유력한 토큰의 이 비율보다 확률이 낮은 토큰을 제외합니다.",
        )
        .sent_as("min_p"),
    Field::number("typicalP", 0.0, 1.0, words("Typical P", "Typical P"))
        .help(
            "Prefers tokens about as surprising as expected; 1 turns it off.",
            "예상만큼 의외인 토큰을 선호합니다. 1이면 끕니다.",
        )
        .sent_as("typical_p"),
    Field::number("frequencyPenalty", -2.0, 2.0, words("Frequency penalty", "빈도 페널티"))
        .help(
            "Above 0 makes a token less likely each time it has been used.",
            "0보다 크면 이미 쓴 토큰일수록 덜 나옵니다.",
        )
        .sent_as("frequency_penalty"),
    Field::number("presencePenalty", -2.0, 2.0, words("Presence penalty", "존재 페널티"))
        .help(
            "Above 0 makes a token less likely once it has been used at all.",
            "0보다 크면 한 번이라도 쓴 토큰이 덜 나옵니다.",
        )
        .sent_as("presence_penalty"),
    Field::number("repetitionPenalty", 0.0, 2.0, words("Repetition penalty", "반복 페널티"))
        .help(
            "Above 1 makes tokens of the prompt and of the answer so far less likely.",
            "1보다 크면 프롬프트와 지금까지의 답변에 나온 토큰이 덜 나옵니다.",
        )
        .sent_as("repetition_penalty"),
    Field::number(
        "mirostatTarget",
        f64::NEG_INFINITY,
        f64::INFINITY,
        words("Mirostat target", "Mirostat 목표"),
    )
    .help(
        "The perplexity that Mirostat sampling aims at. Left out, Mirostat is off.",
        "Mirostat 샘플링이 목표로 하는 perplexity입니다. 비우면 끕니다.",
    )
    .sent_as("mirostat_target"),
    Field::number(
        "mirostatLr",
        f64::NEG_INFINITY,
        f64::INFINITY,
        words("Mirostat learning rate", "Mirostat 학습률"),
    )
    .help(
        "How quickly Mirostat adapts; Fireworks uses 0.1 when left out.",
        "Mirostat이 적응하는 속도입니다. 비우면 Fireworks는 0.1을 씁니다.",
    )
    .sent_as("mirostat_lr"),
    Field::new(
        "logitBias",
        Shape::Map {
            key: &TOKEN_ID,
            value: &Shape::Number {
                minimum: -100.0,
                maximum: 100.0,
            },
        },
        words("Logit bias", "로짓 편향"),
    )
    .help(
        "Token ids of the model's tokenizer, each with a number from -100 (never) to 100 (always).",
        "모델 토크나이저의 토큰 ID마다 -100(금지)부터 100(강제)까지의 값을 지정합니다.",
    )
    .sent_as("logit_bias"),
    Field::integer("seed", -MAX_INTEGER, MAX_INTEGER, words("Seed", "시드"))
        .help(
            "Makes repeats more alike. Best effort: Fireworks does not promise equal answers.",
            "반복 결과를 더 비슷하게 합니다. Fireworks가 같은 답을 보장하지는 않습니다.",
        )
        .sent_as("seed"),
    Field::new(
        "stop",
        Shape::OneOf {
            form: "string[]",
            shapes: &[
                Shape::List {
                    of: &Shape::TEXT,
                    most: 4,
                },
                Shape::TEXT,
            ],
        },
        words("Stop sequences", "중지 시퀀스"),
    )
    .help(
        "Up to 4 texts that end the answer where they would appear; they are not part of it.",
        "이 텍스트가 나올 자리에서 답변을 끝냅니다. 최대 4개이며 답변에는 포함되지 않습니다.",
    )
    .sent_as("stop"),
    Field::boolean("ignoreEos", words("Ignore end of text", "종료 토큰 무시"))
        .help(
            "Goes on to maxTokens whatever the model says: for measurements only.",
            "모델이 끝내려 해도 maxTokens까지 계속합니다. 측정용입니다.",
        )
        .sent_as("ignore_eos")
        .neutral(Literal::Boolean(false)),
]);
