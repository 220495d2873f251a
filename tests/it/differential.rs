//! A second, naive reading of streams: whole, in memory, over plain JSON values,
//! sharing no code with the client. On thousands of generated streams of every
//! dialect, whole and cut anywhere, both must come to the same.
//!
//! Its bounds: `STREAMS` streams of one seed, the same in every run.

use std::{collections::BTreeMap, ops::RangeInclusive};

use fastrand::Rng;
use serde_json::{Map, Value, json};
use sparkler::internals::{
    Delta, Emit, Error, Phase, Piece, Usage,
    parts::{Answer, Decoder, StreamError},
};

const STREAMS: usize = 10_000;
const SEED: u64 = 0x5EED;

/// What one choice amounts to: its calls in the order of their indices.
#[derive(Debug, Default, Clone, PartialEq)]
struct Choice {
    text: String,
    reasoning: String,
    calls: Vec<(String, String, String)>,
    finish: String,
}

/// What a stream amounts to, and the tokens it counts.
type Reading = (Result<Vec<Choice>, ()>, [Option<u64>; 3]);

#[test]
fn a_naive_reading_agrees_with_the_client_on_every_stream() {
    let mut rng = Rng::with_seed(SEED);
    let (mut good, mut bad, mut with_calls) = (0, 0, 0);
    for number in 0..STREAMS {
        let (events, choices) = generate(&mut rng);
        let body = frame(&mut rng, &events);
        let expected = read_naively(&events, choices);
        let whole = read_with_the_client(&[&body], choices);
        assert_eq!(whole, expected, "stream {number}:\n{}", String::from_utf8_lossy(&body));
        let cut = read_with_the_client(&cut(&mut rng, &body), choices);
        assert_eq!(cut, expected, "stream {number}, cut:\n{}", String::from_utf8_lossy(&body));
        match &expected.0 {
            Ok(read) => {
                good += 1;
                with_calls += usize::from(read.iter().any(|choice| !choice.calls.is_empty()));
            }
            Err(()) => bad += 1,
        }
    }
    // The generator must not have drifted to where nothing is tried.
    assert!(good > STREAMS / 2 && bad > STREAMS / 20 && with_calls > STREAMS / 4);
}

// === the client ===

/// The id, the name and the arguments of a call.
type Call = (Option<String>, Option<String>, String);

#[derive(Default)]
struct Collected {
    choices: BTreeMap<u32, Choice>,
    calls: BTreeMap<(u32, u32), Call>,
}

impl Emit for Collected {
    fn phase(&mut self, _: Phase) {}

    fn delta(&mut self, delta: Delta<'_>) -> Result<(), Error> {
        let choice = self.choices.entry(delta.choice).or_default();
        match delta.piece {
            Piece::Text(text) => choice.text.push_str(&text),
            Piece::Reasoning(text) => choice.reasoning.push_str(&text),
            Piece::Logprobs(_) => {}
            Piece::ToolCall(fragment) => {
                let is_first = !self.calls.contains_key(&(delta.choice, fragment.index));
                let call = self.calls.entry((delta.choice, fragment.index)).or_default();
                assert!(is_first || fragment.id.is_none() && fragment.name.is_none());
                if is_first {
                    (call.0, call.1) = (fragment.id, fragment.name);
                }
                call.2.push_str(&fragment.arguments);
            }
        }
        Ok(())
    }

    fn flush(&mut self) {}
}

fn read_with_the_client(reads: &[&[u8]], choices: usize) -> Reading {
    let mut collected = Collected::default();
    let mut answer = Answer::new(choices as u32, false);
    let mut decoder = Decoder::new(1 << 20);
    let fed = reads
        .iter()
        .try_for_each(|read| decoder.feed(read, |event| answer.take_event(event, &mut collected)));
    let finished = fed.and_then(|()| answer.finish(&mut collected));
    let Usage { prompt_tokens, completion_tokens, cached_tokens, .. } =
        answer.usage.unwrap_or_default();
    let counts = [prompt_tokens, completion_tokens, cached_tokens];
    let reasons = match finished {
        Ok(reasons) => reasons,
        Err(StreamError::Refused(error)) => panic!("nobody refuses: {error}"),
        Err(_) => return (Err(()), counts),
    };
    let mut read: Vec<Choice> = (0..choices as u32)
        .map(|index| collected.choices.remove(&index).unwrap_or_default())
        .collect();
    for ((choice, _), (id, name, arguments)) in collected.calls {
        let id = id.expect("an id on the first fragment");
        // Those that the provider gives are shorter.
        let id = if id.len() == 29 { String::new() } else { id };
        read[choice as usize].calls.push((id, name.unwrap_or_default(), arguments));
    }
    for (choice, reason) in read.iter_mut().zip(reasons) {
        choice.finish = reason.as_str().to_owned();
    }
    (Ok(read), counts)
}

// === the naive reading ===

fn read_naively(events: &[Value], count: usize) -> Reading {
    let mut choices = vec![Choice::default(); count];
    let mut fragments: Vec<Vec<(usize, Value)>> = vec![Vec::new(); count];
    let mut counts = [None; 3];
    let mut has_failed = false;
    for event in events {
        if event.get("error").is_some_and(|error| !error.is_null()) {
            has_failed = true;
            break;
        }
        count_tokens(&event["usage"], &mut counts);
        for choice in event["choices"].as_array().into_iter().flatten() {
            let index = choice["index"].as_u64().unwrap_or(0) as usize;
            let delta = &choice["delta"];
            let into = &mut choices[index];
            let thought = [&delta["reasoning_content"], &delta["reasoning"]];
            let thought =
                thought.into_iter().find_map(|text| text.as_str().filter(|t| !t.is_empty()));
            into.reasoning.push_str(thought.unwrap_or(""));
            into.text.push_str(&text_of(&delta["content"]));
            for (place, call) in delta["tool_calls"].as_array().into_iter().flatten().enumerate() {
                fragments[index].push((place, call.clone()));
            }
            if let Some(reason) = choice["finish_reason"].as_str().filter(|text| !text.is_empty()) {
                match usual_name(reason) {
                    None => return (Err(()), counts),
                    Some("stop") if !into.finish.is_empty() => {}
                    Some(reason) => into.finish = reason.to_owned(),
                }
            }
        }
    }
    for (choice, fragments) in choices.iter_mut().zip(fragments) {
        choice.calls = calls_of(&fragments);
    }
    let is_whole = !has_failed && choices.iter().all(|choice| !choice.finish.is_empty());
    (if is_whole { Ok(choices) } else { Err(()) }, counts)
}

fn count_tokens(usage: &Value, counts: &mut [Option<u64>; 3]) {
    let seen = [
        &usage["prompt_tokens"],
        &usage["completion_tokens"],
        &usage["prompt_tokens_details"]["cached_tokens"],
    ];
    for (count, seen) in counts.iter_mut().zip(seen) {
        *count = seen.as_u64().or(*count);
    }
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn usual_name(reason: &str) -> Option<&'static str> {
    match reason {
        "stop" | "STOP" | "eos" | "eos_token" | "end_turn" => Some("stop"),
        "length" | "max_tokens" | "model_length" => Some("length"),
        "tool_calls" => Some("tool_calls"),
        "content_filter" => Some("content_filter"),
        "refusal" => Some("refusal"),
        _ => None,
    }
}

/// The calls, put together after the fact: a fragment belongs to the call with
/// its id, else to the latest with its index, else to the latest at its place.
fn calls_of(fragments: &[(usize, Value)]) -> Vec<(String, String, String)> {
    struct Call {
        index: Option<u64>,
        place: usize,
        id: String,
        name: String,
        arguments: String,
    }
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let mut calls: Vec<Call> = Vec::new();
    for (place, fragment) in fragments {
        let index = fragment["index"].as_u64();
        let id = text(&fragment["id"]);
        let name = text(&fragment["function"]["name"]);
        let same_id = calls.iter().rposition(|call| !id.is_empty() && call.id == id);
        let same_spot = calls.iter().rposition(|call| match index {
            Some(_) => call.index == index,
            None => call.place == *place,
        });
        let continues = same_spot.filter(|at| {
            let call = &calls[*at];
            let is_another = !id.is_empty() && !call.id.is_empty() && call.id != id;
            let is_named_again =
                index.is_none() && id.is_empty() && !name.is_empty() && !call.arguments.is_empty();
            !is_another && !is_named_again
        });
        let at = same_id.or(continues).unwrap_or_else(|| {
            let (id, name, arguments) = Default::default();
            calls.push(Call { index, place: *place, id, name, arguments });
            calls.len() - 1
        });
        let call = &mut calls[at];
        call.place = *place;
        if call.id.is_empty() {
            call.id = id;
        }
        if call.name.is_empty() {
            call.name = name;
        }
        call.arguments.push_str(&text(&fragment["function"]["arguments"]));
    }
    let named = calls.into_iter().map(|call| {
        let arguments = if call.arguments.is_empty() { "{}".to_owned() } else { call.arguments };
        (call.id, call.name, arguments)
    });
    named.collect()
}

// === the generator ===

/// The events of a stream, and how many choices were asked for.
fn generate(rng: &mut Rng) -> (Vec<Value>, usize) {
    let count = *rng.choice(&[1, 1, 1, 2, 3]).expect("a count");
    let mut left: Vec<Vec<Value>> = (0..count).map(|_| choice(rng)).collect();
    let mut events = Vec::new();
    // Interleaved, each choice in its own order.
    while left.iter().any(|deltas| !deltas.is_empty()) {
        let index = rng.usize(0..count);
        if left[index].is_empty() {
            continue;
        }
        let mut choice = left[index].remove(0);
        if count > 1 || rng.bool() {
            choice["index"] = index.into();
        }
        let mut event = json!({"id": "x", "choices": [choice]});
        if one_in(rng, 4) {
            event["usage"] = nothing(rng);
        }
        if one_in(rng, 8) {
            event["usage"] = usage(rng);
        }
        events.push(event);
    }
    if rng.bool() {
        events.push(json!({"choices": [], "usage": usage(rng)}));
    }
    match rng.u8(0..20) {
        // What follows is not read; before it, everything counts.
        0 => events.push(json!({"error": {"message": "it failed"}})),
        1 => events.truncate(rng.usize(0..=events.len())),
        _ => {}
    }
    (events, count)
}

/// The deltas of one choice, and how it ends.
fn choice(rng: &mut Rng) -> Vec<Value> {
    let mut deltas = Vec::new();
    if rng.bool() {
        deltas.push(json!({"role": "assistant", "content": nothing(rng)}));
    }
    for _ in 0..rng.usize(0..4) {
        deltas.push(thought(rng));
    }
    for _ in 0..rng.usize(0..4) {
        deltas.push(content(rng));
    }
    let has_calls = rng.bool();
    if has_calls {
        deltas.extend(calls(rng).into_iter().map(|calls| json!({"tool_calls": calls})));
    }
    let mut choices: Vec<Value> = deltas.into_iter().map(|delta| json!({"delta": delta})).collect();
    for choice in &mut choices {
        if rng.bool() {
            choice["finish_reason"] = if rng.bool() { Value::Null } else { json!("") };
        }
    }
    choices.extend(ends(rng, has_calls));
    choices
}

fn ends(rng: &mut Rng, has_calls: bool) -> Vec<Value> {
    let words = ["stop", "STOP", "eos", "end_turn", "length", "max_tokens", "content_filter"];
    let word = match rng.u8(0..30) {
        0 => "banana",
        1 => return Vec::new(),
        2 => "refusal",
        _ if has_calls => "tool_calls",
        _ => words[rng.usize(0..words.len())],
    };
    let mut ends = vec![json!({"delta": {}, "finish_reason": word})];
    if one_in(rng, 4) {
        ends.push(json!({"delta": {"content": ""}, "finish_reason": "stop"}));
    }
    ends
}

fn thought(rng: &mut Rng) -> Value {
    let text = words(rng);
    match rng.u8(0..4) {
        0 => json!({"reasoning": text}),
        1 => json!({"reasoning": text, "reasoning_content": text, "content": nothing(rng)}),
        2 => json!({"reasoning": text, "reasoning_content": nothing(rng)}),
        _ => json!({"reasoning_content": text}),
    }
}

fn content(rng: &mut Rng) -> Value {
    match rng.u8(0..5) {
        0 => json!({"content": [{"type": "text", "text": words(rng)}]}),
        1 => {
            json!({"content": [{"type": "text", "text": words(rng)}, {"type": "text", "text": "z"}]})
        }
        2 => {
            json!({"content": words(rng), "tool_calls": nothing(rng), "function_call": nothing(rng)})
        }
        _ => json!({"content": words(rng)}),
    }
}

/// Lists of fragments: a few calls, in one of the dialects.
fn calls(rng: &mut Rng) -> Vec<Value> {
    let calls: Vec<(String, &str, String)> = (0..rng.usize(1..4))
        .map(|number| (format!("call-{number}"), "look", format!("{{\"n\":{}}}", rng.u8(..))))
        .collect();
    let whole = |call: &(String, &str, String)| json!({"id": call.0, "type": "function", "function": {"name": call.1, "arguments": call.2}});
    match rng.u8(0..6) {
        0 => vec![calls.iter().map(whole).collect()],
        1 => calls.iter().map(|call| json!([whole(call)])).collect(),
        2 => calls
            .iter()
            .map(|call| with(whole(call), "index", json!(0)))
            .map(|call| json!([call]))
            .collect(),
        3 => {
            let without = calls.iter().map(|call| with(whole(call), "id", nothing(rng)));
            without.map(|call| json!([call])).collect()
        }
        4 => calls.iter().enumerate().flat_map(|(at, call)| fragments(rng, at, call)).collect(),
        _ => interleaved(rng, &calls),
    }
}

/// One call in pieces, with what servers do to its id and its name.
fn fragments(rng: &mut Rng, at: usize, call: &(String, &str, String)) -> Vec<Value> {
    let is_late = one_in(rng, 3);
    let on_each = one_in(rng, 3);
    let mut pieces: Vec<&str> = vec![""];
    if !one_in(rng, 5) {
        let (start, end) = call.2.split_at(rng.usize(0..=call.2.len()));
        pieces.extend([start, end]);
    }
    let pieces = pieces.into_iter().enumerate().map(|(number, arguments)| {
        let says_it = number == usize::from(is_late);
        let mut function = Map::from_iter([("arguments".to_owned(), json!(arguments))]);
        let name = if number == 0 { json!(call.1) } else { nothing(rng) };
        function.insert("name".to_owned(), name);
        let id = if says_it || on_each { json!(call.0) } else { nothing(rng) };
        json!([{"index": at, "id": id, "function": function}])
    });
    pieces.collect()
}

fn interleaved(rng: &mut Rng, calls: &[(String, &str, String)]) -> Vec<Value> {
    let mut left: Vec<Vec<Value>> =
        calls.iter().enumerate().map(|(at, call)| fragments(rng, at, call)).collect();
    // The order of the first fragments is that of the indices.
    let mut all: Vec<Value> = left.iter_mut().map(|fragments| fragments.remove(0)).collect();
    while left.iter().any(|fragments| !fragments.is_empty()) {
        let at = rng.usize(0..left.len());
        if !left[at].is_empty() {
            all.push(left[at].remove(0));
        }
    }
    all
}

fn usage(rng: &mut Rng) -> Value {
    let mut count = |range: RangeInclusive<u64>| match rng.u8(0..8) {
        0 => json!(-5),
        1 => json!("7"),
        2 => json!(1.5),
        3 => json!([]),
        4 => Value::Null,
        _ => json!(rng.u64(range)),
    };
    let (prompt, completion, cached) = (count(0..=9000), count(0..=u64::MAX), count(0..=10));
    let details = match rng.u8(0..3) {
        0 => json!([]),
        _ => json!({"cached_tokens": cached}),
    };
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": details})
}

/// What says nothing.
fn nothing(rng: &mut Rng) -> Value {
    match rng.u8(0..3) {
        0 => Value::Null,
        1 => json!(""),
        _ => json!([]),
    }
}

fn words(rng: &mut Rng) -> String {
    let words = ["a", " b", "é", "\u{1F600}", "\n\"q\"\\", "data: x", "", "null", "}]"];
    (0..rng.usize(1..4)).map(|_| words[rng.usize(0..words.len())]).collect()
}

fn with(mut value: Value, key: &str, member: Value) -> Value {
    value[key] = member;
    value
}

fn one_in(rng: &mut Rng, times: u8) -> bool {
    rng.u8(0..times) == 0
}

/// The body of the stream, with what the framing allows.
fn frame(rng: &mut Rng, events: &[Value]) -> Vec<u8> {
    let line_end = *rng.choice(&["\n", "\r\n", "\r"]).expect("an end");
    let mut body = String::new();
    for event in events {
        match rng.u8(0..8) {
            0 => body.push_str(&format!(": ping{line_end}{line_end}")),
            1 => body.push_str(&format!("event: custom{line_end}data: no{line_end}{line_end}")),
            2 => body.push_str(&format!("id: 7{line_end}event: message{line_end}")),
            _ => {}
        }
        let space = if rng.bool() { " " } else { "" };
        body.push_str(&format!("data:{space}{event}{line_end}{line_end}"));
    }
    if rng.bool() {
        body.push_str(&format!(
            "data: [DONE]{line_end}{line_end}data: {{\"error\":1}}{line_end}{line_end}"
        ));
    }
    body.into_bytes()
}

fn cut<'a>(rng: &mut Rng, body: &'a [u8]) -> Vec<&'a [u8]> {
    let mut reads = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (read, after) = rest.split_at(rng.usize(1..=rest.len().min(60)));
        reads.push(read);
        rest = after;
    }
    reads
}
