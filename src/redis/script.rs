//! Lua scripts that Redis runs as one step.

use std::sync::OnceLock;

use ::redis::{Cmd, cmd};

/// A script, known to the server by the hash of its text. To be held in a
/// `static`.
///
/// All keys of one invocation carry one hash tag, so that a Cluster can run it.
#[derive(Debug)]
pub struct Script {
    name: &'static str,
    text: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    /// A script; `name` says in metrics and logs what it does.
    pub const fn new(name: &'static str, text: &'static str) -> Script {
        Script { name, text, hash: OnceLock::new() }
    }

    /// What it does, in a word.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its text.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Runs it if the server has it already.
    pub(super) fn by_hash(&self, keys: &[&[u8]], arguments: &[&[u8]]) -> Cmd {
        let hash = self.hash.get_or_init(|| ::redis::Script::new(self.text).get_hash().to_owned());
        invocation("EVALSHA", hash, keys, arguments)
    }

    /// Runs it, and the server has it from then on.
    pub(super) fn by_text(&self, keys: &[&[u8]], arguments: &[&[u8]]) -> Cmd {
        invocation("EVAL", self.text, keys, arguments)
    }
}

fn invocation(command: &str, script: &str, keys: &[&[u8]], arguments: &[&[u8]]) -> Cmd {
    let mut invocation = cmd(command);
    invocation.arg(script).arg(keys.len()).arg(keys).arg(arguments);
    invocation
}
