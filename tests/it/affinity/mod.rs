//! A conversation meets the replica that has its prefix cached, a tenant only its own
//! prefixes, and a prompt that departs from the last one is named where it does.

mod conversations;
mod headers;
mod prefixes;
mod tenants;

use fireworks_simulator::Options;
use sparkler::{config::Config, internals::PrefixAffinity, proto::ChatMessage};

use crate::support::{Ask, World, ask};

/// Words enough for about this many tokens, like no others.
pub(crate) fn text(name: &str, tokens: usize) -> String {
    (0..tokens).map(|number| format!("{name}{} ", number * 7 % 1000)).collect()
}

/// A message of a conversation.
pub(crate) fn message(role: &str, content: &str) -> ChatMessage {
    let (role, content) = (role.to_owned(), content.to_owned());
    ChatMessage { role, content, ..ChatMessage::default() }
}

/// A world whose provider has this many replicas.
pub(crate) async fn world(replicas: usize, affinity: PrefixAffinity) -> World {
    let options = Options { replicas, ..Options::instant() };
    World::with(options, |config| follow(config, affinity)).await
}

fn follow(config: &mut Config, affinity: PrefixAffinity) {
    config.execution.prefix_affinity = affinity;
    config.execution.trust_tenant = true;
}

/// Asks within a session.
pub(crate) fn in_session(session: &str, messages: &[ChatMessage]) -> Ask {
    ask("").chat(messages.to_vec()).session(session)
}
