//! The message at which a prompt departs from its session's last one.

use fastrand::Rng;
use serde_json::json;
use sparkler::{
    internals::PrefixAffinity,
    proto::{ChatMessage, PromptPrefix},
};

use crate::{
    affinity::{in_session, message, world},
    support::{Ask, Caller, ask},
};

/// Returns what the worker says of a prompt beside the last one.
async fn prefix(caller: &Caller, ask: Ask) -> Option<PromptPrefix> {
    caller.answer(ask).await.prompt_prefix
}

/// A conversation of some messages, the last of a user.
fn conversation(random: &mut Rng) -> Vec<ChatMessage> {
    let turns = random.usize(1..6);
    let roles = ["user", "assistant"].into_iter().cycle().take(2 * turns - 1);
    let system = message("system", &format!("rules {}", random.u64(..)));
    let said = roles.map(|role| message(role, &format!("words {}", random.u64(..))));
    std::iter::once(system).chain(said).collect()
}

#[tokio::test]
async fn each_seeded_change_is_named_at_its_message() {
    let world = world(1, PrefixAffinity::On).await;
    let caller = world.caller().await;
    for seed in 0..100 {
        let random = &mut Rng::with_seed(seed);
        let session = format!("session {seed}");
        let mut messages = conversation(random);
        assert_eq!(prefix(&caller, in_session(&session, &messages)).await, None, "seed {seed}");
        let previous = messages.len() as u32;
        let changed = random.usize(..messages.len());
        messages[changed].content.push_str(" and more");
        if random.bool() {
            messages.push(message("assistant", "Yes."));
            messages.push(message("user", "Why?"));
        }
        let said = prefix(&caller, in_session(&session, &messages)).await.expect("a last call");
        assert_eq!(said.first_changed_message, Some(changed as u32), "seed {seed}");
        assert_eq!(said.previous_messages, previous, "seed {seed}");
        let again = prefix(&caller, in_session(&session, &messages)).await.expect("a last call");
        assert_eq!(again.first_changed_message, None, "seed {seed}");
    }
}

#[tokio::test]
async fn a_conversation_that_goes_on_has_changed_nowhere() {
    let world = world(1, PrefixAffinity::On).await;
    let caller = world.caller().await;
    let mut messages = vec![message("system", "rules")];
    for turn in 0..4 {
        messages.push(message("user", &format!("question {turn}")));
        let said = prefix(&caller, in_session("one", &messages)).await;
        assert_eq!(said.is_some(), turn > 0);
        assert!(said.is_none_or(|prefix| prefix.first_changed_message.is_none()));
        messages.push(message("assistant", "answer"));
    }
}

#[tokio::test]
async fn sessions_nodes_and_models_are_followed_apart() {
    let world = world(1, PrefixAffinity::On).await;
    let caller = world.caller().await;
    let asked = |prompt: &str| ask(prompt).session("one").tenant("acme").flow_node("a");
    assert_eq!(prefix(&caller, asked("Hi")).await, None);
    for other in [
        asked("Ho").session("two"),
        asked("Ho").tenant("initech"),
        asked("Ho").flow_node("b"),
        asked("Ho").model("accounts/fireworks/models/kimi-k3"),
    ] {
        assert_eq!(prefix(&caller, other).await, None);
    }
    let said = prefix(&caller, asked("Ho")).await.expect("a last call");
    assert_eq!(said.first_changed_message, Some(0));
}

#[tokio::test]
async fn changed_tools_are_said_apart() {
    let world = world(1, PrefixAffinity::On).await;
    let caller = world.caller().await;
    let asked = |name: &str| {
        let tool = json!([{"type": "function", "function": {"name": name}}]);
        ask("Hi").session("one").set("tools", tool)
    };
    prefix(&caller, asked("search")).await;
    let said = prefix(&caller, asked("find")).await.expect("a last call");
    assert!(said.tools_changed && said.first_changed_message.is_none());
    let said = prefix(&caller, asked("find")).await.expect("a last call");
    assert!(!said.tools_changed);
}

#[tokio::test]
async fn a_hit_sends_no_prompt_and_so_says_nothing() {
    let world = world(1, PrefixAffinity::On).await;
    let caller = world.caller().await;
    let asked = || ask("Hi").session("one").cached();
    prefix(&caller, asked()).await;
    assert_eq!(prefix(&caller, asked()).await, None);
    assert_eq!(prefix(&caller, ask("Hi").cached()).await, None);
}

#[tokio::test]
async fn nothing_is_followed_without_affinity() {
    let world = world(1, PrefixAffinity::Off).await;
    let caller = world.caller().await;
    for prompt in ["Hi", "Ho"] {
        assert_eq!(prefix(&caller, ask(prompt).session("one")).await, None);
    }
}
