//! Values for every field.

use super::*;

/// Returns values for each field of `chatFireworks`, no two of which are
/// equivalent to each other or to leaving it out.
pub(super) fn samples() -> Vec<(&'static str, Vec<Value>)> {
    let tool = |name: &str| json!([{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}]);
    vec![
        ("temperature", vec![json!(0), json!(0.5), json!(2)]),
        ("streaming", vec![json!(false)]),
        ("maxTokens", vec![json!(1), json!(4096)]),
        ("maxCompletionTokens", vec![json!(1), json!(4096)]),
        ("topP", vec![json!(0.5), json!(1)]),
        ("topK", vec![json!(0), json!(100)]),
        ("minP", vec![json!(0), json!(1)]),
        ("typicalP", vec![json!(0), json!(1)]),
        ("frequencyPenalty", vec![json!(0), json!(-2)]),
        ("presencePenalty", vec![json!(0), json!(2)]),
        ("repetitionPenalty", vec![json!(1), json!(1.1)]),
        ("mirostatTarget", vec![json!(0.5), json!(5)]),
        ("mirostatLr", vec![json!(0.1)]),
        ("logitBias", vec![json!({"5": 1}), json!({"5": 1, "7": -100})]),
        ("seed", vec![json!(0), json!(-5)]),
        ("stop", vec![json!(["a"]), json!(["a", "b"]), json!("c")]),
        ("ignoreEos", vec![json!(true)]),
        ("n", vec![json!(2), json!(128)]),
        (
            "responseFormat",
            vec![
                json!({"type": "text"}),
                json!({"type": "json_object"}),
                json!({"type": "json_object", "schema": {"type": "object"}}),
                json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}),
                json!({"type": "grammar", "grammar": "root ::= \"a\""}),
            ],
        ),
        ("echo", vec![json!(true)]),
        ("echoLast", vec![json!(5)]),
        ("logprobs", vec![json!(true), json!(2)]),
        ("topLogprobs", vec![json!(0), json!(5)]),
        ("rawOutput", vec![json!(true)]),
        ("returnTokenIds", vec![json!(true)]),
        ("perfMetricsInResponse", vec![json!(true)]),
        (
            "reasoningEffort",
            vec![json!("low"), json!("xhigh"), json!(2048), json!(true), json!(false)],
        ),
        (
            "thinking",
            vec![
                json!({"type": "enabled"}),
                json!({"type": "disabled"}),
                json!({"type": "enabled", "budget_tokens": 2048}),
            ],
        ),
        ("reasoningHistory", vec![json!("preserved"), json!("disabled")]),
        ("prediction", vec![json!("a"), json!({"type": "content", "content": "b"})]),
        ("speculation", vec![json!("a"), json!([1, 2])]),
        ("tools", vec![tool("a"), tool("b")]),
        (
            "toolChoice",
            vec![
                json!("none"),
                json!("required"),
                json!({"type": "function", "function": {"name": "a"}}),
            ],
        ),
        ("parallelToolCalls", vec![json!(true), json!(false)]),
        ("functions", vec![json!([{"name": "a"}])]),
        ("functionCall", vec![json!("none"), json!({"name": "a"})]),
        ("contextLengthExceededBehavior", vec![json!("error")]),
        ("promptTruncateLen", vec![json!(100)]),
        ("safeTokenization", vec![json!(true), json!(false)]),
        ("serviceTier", vec![json!("priority"), json!("default"), json!("any-word_2")]),
        ("user", vec![json!("u")]),
        ("promptCacheKey", vec![json!("k")]),
        ("promptCacheIsolationKey", vec![json!("k")]),
        ("metadata", vec![json!({"a": "b"})]),
        ("credential", vec![json!("team")]),
        ("cache", vec![json!(true), json!("ref"), json!({"id": "x"})]),
    ]
}
