//! The token counts, and their JSON.

use serde_json::{Value, json};

use crate::{
    answer::choice::{Choice, Part},
    script::effects::ScriptedUsage,
};

/// The cost of a call, in tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) prompt: u32,
    pub(crate) cached: u32,
    pub(crate) completion: u32,
    pub(crate) reasoning: u32,
}

impl Usage {
    pub(crate) fn of(prompt: u32, cached: u32, choices: &[Choice]) -> Usage {
        let parts = || choices.iter().flat_map(|choice| &choice.parts);
        let thoughts = parts().filter(|part| matches!(part, Part::Reasoning(_)));
        Usage {
            prompt,
            cached,
            completion: parts().map(Part::cost).sum(),
            reasoning: thoughts.map(Part::cost).sum(),
        }
    }

    /// Returns the counts, or the script's replacement; `None` if the script
    /// omits usage.
    pub(crate) fn json(self, script: &ScriptedUsage) -> Option<Value> {
        match script {
            ScriptedUsage::Absent => None,
            ScriptedUsage::Given(usage) => Some(usage.clone()),
            ScriptedUsage::Counted => Some(json!({
                "prompt_tokens": self.prompt,
                "total_tokens": self.prompt + self.completion,
                "completion_tokens": self.completion,
                "prompt_tokens_details": {"cached_tokens": self.cached},
                "completion_tokens_details": {"reasoning_tokens": self.reasoning},
                "output_tokens_details": {"reasoning_tokens": self.reasoning},
            })),
        }
    }
}
