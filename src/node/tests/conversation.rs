//! Valid and invalid inputs.

use super::*;

fn message(role: &str, content: &str) -> Message {
    Message { role: role.to_owned(), ..user(content) }
}

fn image(url: &str) -> Part {
    Part::Image { url: url.to_owned(), detail: String::new() }
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
}

#[test]
fn a_wrong_input_is_reported_with_place_and_reason() {
    let with_parts = |parts| Message { parts, ..message("user", "") };
    let with_call = |call| Message { tool_calls: vec![call], ..message("assistant", "") };
    for (given, reported) in [
        (message("", "a"), "role is required: system, user, assistant or tool"),
        (message("developer", "a"), "role must be system: the provider knows no developer role"),
        (
            message("asistant", "a"),
            "role must be system, user, assistant or tool; did you mean assistant?",
        ),
        (message("human", "a"), "role must be system, user, assistant or tool"),
        (
            message("user", ""),
            "content is empty: only a tool message, or an assistant message with tool calls or reasoning, may be",
        ),
        (
            message("assistant", ""),
            "content is empty: only a tool message, or an assistant message with tool calls or reasoning, may be",
        ),
        (
            Message { parts: vec![Part::Text("b".to_owned())], ..message("user", "a") },
            "parts excludes content: give one of the two",
        ),
        (
            message("tool", "a"),
            "tool_call_id is required: the id of the call this is the result of",
        ),
        (
            Message { tool_call_id: "1".to_owned(), ..message("user", "a") },
            "tool_call_id belongs to tool messages only",
        ),
        (
            Message { reasoning_content: "r".to_owned(), ..message("user", "a") },
            "reasoning_content belongs to assistant messages only",
        ),
        (
            Message { tool_calls: vec![call("1", "f", "{}")], ..message("user", "a") },
            "tool_calls belongs to assistant messages only",
        ),
        (with_call(call("", "f", "{}")), "tool_calls[0].id is required"),
        (with_call(call("1", "", "{}")), "tool_calls[0].name is required"),
        (with_parts(vec![Part::Empty]), "parts[0] is empty: give text or image_url"),
        (
            with_parts(vec![image("http://example.com/a.png")]),
            "parts[0].image_url.url must be an https:// URL or a data:image/… URL",
        ),
        (
            with_parts(vec![image("file:///etc/passwd")]),
            "parts[0].image_url.url must be an https:// URL or a data:image/… URL",
        ),
        (
            with_parts(vec![image("data:text/html;base64,AA==")]),
            "parts[0].image_url.url must be an https:// URL or a data:image/… URL",
        ),
        (
            with_parts(vec![Part::Image {
                url: "https://example.com/a".to_owned(),
                detail: "huge".to_owned(),
            }]),
            "parts[0].image_url.detail must be auto, low or high",
        ),
    ] {
        let problems = problems("chatFireworks", json!({}), Input::Chat(vec![user("a"), given]));
        assert_eq!(problems, [format!("chat.messages[1].{reported}")]);
    }
}

#[test]
fn nothing_to_say_is_refused() {
    for node_type in ["fireworks", "chatFireworks"] {
        let reported = problems(node_type, json!({}), Input::Prompt(String::new()));
        assert_eq!(reported, ["prompt is empty: give the text to send"]);
        let reported = problems(node_type, json!({}), Input::Chat(Vec::new()));
        assert_eq!(reported, ["chat.messages is empty: give at least one message"]);
    }
}

#[test]
fn thirty_images_are_taken_and_one_more_is_not() {
    let chat = |images: usize| {
        let parts = vec![image("https://example.com/a.png"); images];
        Input::Chat(vec![Message { parts, ..user("") }])
    };
    assert!(problems("chatFireworks", json!({}), chat(30)).is_empty());
    let reported = problems("chatFireworks", json!({}), chat(31));
    assert_eq!(reported, ["chat.messages has 31 images; the provider takes at most 30"]);
}

#[test]
fn deep_tool_arguments_do_not_overflow() {
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    let mut assistant = message("assistant", "");
    assistant.tool_calls = vec![call("1", "f", &deep)];
    assert!(problems("chatFireworks", json!({}), Input::Chat(vec![assistant])).is_empty());
}

#[test]
fn a_field_of_the_other_input_is_refused() {
    let tools = json!({"tools": [{"type": "function", "function": {"name": "a"}}]});
    let reported = problems("fireworks", tools.clone(), prompt());
    assert_eq!(
        reported,
        ["config.tools goes with a chat only: send the prompt as a chat of one user message"]
    );
    assert!(problems("fireworks", tools.clone(), Input::Chat(vec![user("a")])).is_empty());
    assert!(problems("chatFireworks", tools, prompt()).is_empty());

    let images = json!({"images": ["data:image/png;base64,AA=="]});
    let reported = problems("fireworks", images.clone(), Input::Chat(vec![user("a")]));
    assert_eq!(
        reported,
        ["config.images goes with a prompt only: put images into the parts of a message"]
    );
    assert!(problems("fireworks", images, prompt()).is_empty());
}

#[test]
fn a_whole_conversation_is_written_as_the_provider_takes_it() {
    let chat = Input::Chat(vec![
        message("system", "Be \"brief\"."),
        Message {
            parts: vec![
                Part::Text("What is this?".to_owned()),
                Part::Image {
                    url: "https://example.com/a.png".to_owned(),
                    detail: "low".to_owned(),
                },
                image("data:image/png;base64,AA=="),
            ],
            ..user("")
        },
        Message {
            tool_calls: vec![call("c1", "look", "{\"x\":1}")],
            reasoning_content: "Hm.".to_owned(),
            ..message("assistant", "")
        },
        Message { tool_call_id: "c1".to_owned(), ..message("tool", "") },
        message("assistant", "A cat."),
        user("Sure?"),
    ]);
    let plan = planned("chatFireworks", json!({}), chat, &OutputFormat::Text).expect("right");
    insta::assert_snapshot!(format!("{:#}", canonical(&plan)["messages"]));
}
