//! Lua scripts that Redis runs atomically.

use std::sync::OnceLock;

use ::redis::{Cmd, cmd};

/// A script that the server caches by the hash of its text. Meant for a `static`.
///
/// All keys of one invocation must share a hash tag, so that a Cluster can run it.
#[derive(Debug)]
pub struct Script {
    name: &'static str,
    text: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    /// Creates a script; `name` labels it in metrics and logs.
    pub const fn new(name: &'static str, text: &'static str) -> Script {
        Script { name, text, hash: OnceLock::new() }
    }

    /// Returns the script's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the script's text.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Returns the command that runs the script if the server has cached it.
    pub(super) fn by_hash(&self, keys: &[&[u8]], arguments: &[&[u8]]) -> Cmd {
        let hash = self.hash.get_or_init(|| ::redis::Script::new(self.text).get_hash().to_owned());
        invocation("EVALSHA", hash, keys, arguments)
    }

    /// Returns the command that runs the script and makes the server cache it.
    pub(super) fn by_text(&self, keys: &[&[u8]], arguments: &[&[u8]]) -> Cmd {
        invocation("EVAL", self.text, keys, arguments)
    }
}

fn invocation(command: &str, script: &str, keys: &[&[u8]], arguments: &[&[u8]]) -> Cmd {
    let mut invocation = cmd(command);
    invocation.arg(script).arg(keys.len()).arg(keys).arg(arguments);
    invocation
}
