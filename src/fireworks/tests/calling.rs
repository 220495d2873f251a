//! Tool calls in every form that servers send: fragments go in, calls come out.

use serde_json::{Value, json};

use super::super::{answer::Answer, sse::Event};
use super::{provider::ResponseScript, run};
use crate::event::{Delta, Piece};

/// Id, name, arguments.
type CallRow = (&'static str, &'static str, &'static str);

const MADE_UP: &str = "made up";
const READ: CallRow = ("a", "read", r#"{"p":1}"#);
const LIST: CallRow = ("b", "list", r#"{"q":2}"#);

/// Joins fragments by index, as a client of the API does.
#[derive(Default)]
struct JoinedCalls(std::collections::BTreeMap<u32, (Vec<String>, Vec<String>, String)>);

impl crate::emit::Emit for JoinedCalls {
    fn phase(&mut self, _: crate::event::Phase) {}

    fn delta(&mut self, delta: Delta<'_>) -> Result<(), crate::error::Error> {
        if let Piece::ToolCall(fragment) = delta.piece {
            let call = self.0.entry(fragment.index).or_default();
            call.0.extend(fragment.id);
            call.1.extend(fragment.name);
            call.2.push_str(&fragment.arguments);
        }
        Ok(())
    }

    fn flush(&mut self) {}
}

/// Returns the calls of a stream whose deltas carry these lists of fragments.
fn calls(deltas: &[Value]) -> Vec<(String, String, String)> {
    let mut joined = JoinedCalls::default();
    let mut answer = Answer::new(1, false);
    let ends = [json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})];
    let chunks = deltas.iter().map(|calls| json!({"choices": [{"delta": {"tool_calls": calls}}]}));
    for chunk in chunks.chain(ends) {
        let data = chunk.to_string();
        let event = Event { name: b"", data: data.as_bytes() };
        answer.take_event(event, &mut joined).expect("a good chunk");
    }
    answer.finish(&mut joined).expect("a good end");
    let calls = joined.0.into_values().map(|(mut ids, mut names, arguments)| {
        assert!(ids.len() == 1 && names.len() <= 1, "said once: {ids:?} {names:?}");
        let id = ids.remove(0);
        let is_made_up = id.len() == 29 && id.starts_with("call_");
        let id = if is_made_up { MADE_UP.to_owned() } else { id };
        (id, names.pop().unwrap_or_default(), arguments)
    });
    calls.collect()
}

fn whole(call: CallRow) -> Value {
    json!({"id": call.0, "type": "function", "function": {"name": call.1, "arguments": call.2}})
}

fn at(index: u32, mut call: Value) -> Value {
    call["index"] = index.into();
    call
}

#[test]
fn calls_are_distinguished_in_every_form() {
    let (read, list) = (whole(READ), whole(LIST));
    let nameless = |arguments: &str| json!({"function": {"arguments": arguments}});
    let unidentified = |name: &str, arguments: &str| json!({"id": "", "function": {"name": name, "arguments": arguments}});
    let rows: &[(&str, Vec<Value>, &[CallRow])] = &[
        ("a list without indices", vec![json!([read, list])], &[READ, LIST]),
        ("a chunk each, without indices", vec![json!([read]), json!([list])], &[READ, LIST]),
        (
            "one index for both",
            vec![json!([at(0, read.clone())]), json!([at(0, list.clone())])],
            &[READ, LIST],
        ),
        (
            "indices in reverse",
            vec![json!([at(1, list.clone())]), json!([at(0, read.clone())])],
            &[READ, LIST],
        ),
        ("an object instead of a list", vec![read.clone()], &[READ]),
        (
            "the id on every fragment",
            vec![
                json!([at(0, json!({"id": "a", "function": {"name": "read", "arguments": ""}}))]),
                json!([at(
                    0,
                    json!({"id": "a", "function": {"name": "read", "arguments": "{\"p\""}})
                )]),
                json!([at(0, json!({"id": "a", "function": {"arguments": ":1}"}}))]),
            ],
            &[READ],
        ),
        (
            "interleaved by index",
            vec![
                json!([
                    at(0, json!({"id": "a", "function": {"name": "read"}})),
                    at(1, json!({"id": "b", "function": {"name": "list"}}))
                ]),
                json!([at(0, nameless("{\"p\"")), at(1, nameless("{\"q\":"))]),
                json!([at(1, nameless("2}")), at(0, nameless(":1}"))]),
            ],
            &[READ, LIST],
        ),
        (
            "interleaved by id, at one index",
            vec![
                json!([at(
                    0,
                    json!({"id": "a", "function": {"name": "read", "arguments": "{\"p\""}})
                )]),
                json!([at(
                    0,
                    json!({"id": "b", "function": {"name": "list", "arguments": "{\"q\":"}})
                )]),
                json!([at(0, json!({"id": "a", "function": {"arguments": ":1}"}}))]),
                json!([at(0, json!({"id": "b", "function": {"arguments": "2}"}}))]),
            ],
            &[READ, LIST],
        ),
        (
            "continuations by their place",
            vec![
                json!([{"id": "a", "function": {"name": "read"}}, {"id": "b", "function": {"name": "list"}}]),
                json!([nameless("{\"p\":1}"), nameless("{\"q\":2}")]),
            ],
            &[READ, LIST],
        ),
        (
            "an index on the first fragment only",
            vec![
                json!([at(
                    7,
                    json!({"id": "a", "function": {"name": "read", "arguments": "{\"p\""}})
                )]),
                json!([nameless(":1}")]),
            ],
            &[READ],
        ),
        (
            "a name that comes late",
            vec![
                json!([at(0, json!({"id": "a", "function": {"name": "", "arguments": "{\"p\""}}))]),
                json!([at(0, json!({"function": {"name": "read", "arguments": ":1}"}}))]),
            ],
            &[READ],
        ),
        (
            "an id that comes late",
            vec![
                json!([at(0, unidentified("read", "{\"p\""))]),
                json!([at(0, json!({"id": "a", "function": {"arguments": ":1}"}}))]),
            ],
            &[READ],
        ),
        (
            "an id that comes late, without an index",
            vec![
                json!([unidentified("read", "")]),
                json!([{"id": "a", "function": {"arguments": "{\"p\":1}"}}]),
            ],
            &[READ],
        ),
        (
            "no ids",
            vec![json!([unidentified("read", "{}"), unidentified("list", "{}")])],
            &[(MADE_UP, "read", "{}"), (MADE_UP, "list", "{}")],
        ),
        (
            "no ids, and one function twice",
            vec![json!([unidentified("read", "{}")]), json!([unidentified("read", "{}")])],
            &[(MADE_UP, "read", "{}"), (MADE_UP, "read", "{}")],
        ),
        (
            "no arguments",
            vec![json!([at(0, json!({"id": "a", "function": {"name": "read"}}))])],
            &[("a", "read", "{}")],
        ),
        (
            "blank arguments",
            vec![json!([{"id": "a", "function": {"name": "read", "arguments": " "}}])],
            &[("a", "read", " {}")],
        ),
        (
            "arguments as an object",
            vec![json!([{"id": "a", "function": {"name": "read", "arguments": {"p": 1}}}])],
            &[READ],
        ),
        ("a bare name", vec![json!([{"id": "a", "function": "read"}])], &[("a", "read", "{}")]),
        (
            "nothing",
            vec![
                json!([{}]),
                json!([null]),
                json!([]),
                json!(""),
                json!([{"index": 0, "function": {}}]),
            ],
            &[],
        ),
    ];
    for (name, deltas, expected) in rows {
        let expected: Vec<_> = expected
            .iter()
            .map(|(id, name, arguments)| (id.to_string(), name.to_string(), arguments.to_string()))
            .collect();
        assert_eq!(calls(deltas), expected, "{name}");
    }
}

#[test]
fn made_up_ids_differ() {
    let mut joined = JoinedCalls::default();
    let mut answer = Answer::new(1, false);
    let calls: Vec<Value> = (0..50).map(|_| json!({"function": {"name": "f"}})).collect();
    let data = json!({"choices": [{"message": {"tool_calls": calls}, "finish_reason": "stop"}]});
    answer.take_whole(data.to_string().as_bytes(), &mut joined).expect("an answer");
    answer.finish(&mut joined).expect("a good end");
    let ids: std::collections::HashSet<String> =
        joined.0.into_values().flat_map(|(ids, ..)| ids).collect();
    assert_eq!(ids.len(), 50);
}

#[tokio::test]
async fn an_empty_function_call_is_not_a_call() {
    for empty in [r#"{}"#, r#"{"name":"","arguments":""}"#, r#"{"name":null}"#, r#""""#, "null"] {
        let body = format!(
            r#"data: {{"choices":[{{"delta":{{"content":"x","function_call":{empty}}},"finish_reason":"stop"}}]}}"#
        );
        let (result, notes) = run(ResponseScript::stream(&format!("{body}\n\n"))).await;
        result.unwrap_or_else(|error| panic!("{empty}: {error:?}"));
        assert!(
            notes.all().iter().all(|emitted| !matches!(emitted, super::notes::Note::ToolCall(..)))
        );
    }
}
