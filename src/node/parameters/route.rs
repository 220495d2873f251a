//! Routing and billing of the request: never a part of the answer.

use crate::node::{
    field::{Class, Field, words},
    group::Group,
    shape::{Shape, TextRule},
};

static ANY_KEY: TextRule = TextRule { pattern: "", accepts: |_| true, words: "text" };

/// Any word, since the provider's set grows.
static TIER_WORD: TextRule = TextRule {
    pattern: "^[a-z][a-z0-9_-]*$",
    accepts: is_tier_word,
    words: "a word of lower-case letters, digits, _ or -, such as priority",
};

fn is_tier_word(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(allowed)
}

/// Routing, billing, telemetry.
pub(in crate::node) static ROUTE: &[Field] = &Group::Routing.of([
    Field::new(
        "serviceTier",
        Shape::text(32, &TIER_WORD),
        words("Service tier", "서비스 등급"),
    )
    .help(
        "auto, default, flex (slower and cheaper), priority (served first, about 1.2 to 1.5 times the price), spot, or another word of Fireworks.",
        "auto, default, flex(느리고 저렴함), priority(먼저 처리되며 비용이 약 1.2~1.5배), spot, 또는 Fireworks의 다른 단어입니다.",
    )
    .sent_as("service_tier")
    .class(Class::Route),
    Field::new("user", Shape::TEXT, words("User", "사용자"))
        .help(
            "Names the end user to Fireworks; its requests prefer the same replica.",
            "Fireworks에 최종 사용자를 알립니다. 그 요청은 같은 복제본을 우선합니다.",
        )
        .sent_as("user")
        .class(Class::Route),
    Field::new("promptCacheKey", Shape::TEXT, words("Prompt cache key", "프롬프트 캐시 키"))
        .help(
            "Requests with the same key prefer the same replica, whose prompt cache then helps. Beats user.",
            "같은 키의 요청은 같은 복제본을 우선해 프롬프트 캐시의 도움을 받습니다. user보다 우선합니다.",
        )
        .sent_as("prompt_cache_key")
        .class(Class::Route),
    Field::new(
        "promptCacheIsolationKey",
        Shape::TEXT,
        words("Prompt cache isolation key", "프롬프트 캐시 격리 키"),
    )
    .help(
        "Separates the entries of Fireworks' own prompt cache.",
        "Fireworks 자체 프롬프트 캐시의 항목을 분리합니다.",
    )
    .sent_as("prompt_cache_isolation_key")
    .class(Class::Route),
    Field::new(
        "metadata",
        Shape::Map {
            key: &ANY_KEY,
            value: &Shape::TEXT,
        },
        words("Metadata", "메타데이터"),
    )
    .help(
        "Texts that Fireworks keeps with the request, for tracing. Leaves the worker: nothing secret.",
        "추적을 위해 Fireworks가 요청과 함께 보관하는 텍스트입니다. 외부로 나가므로 비밀을 넣지 마세요.",
    )
    .sent_as("metadata")
    .class(Class::Route),
]);
