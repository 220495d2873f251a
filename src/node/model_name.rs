//! Checks on a model's name: its validity, and whether it can refer to another
//! model tomorrow.
//!
//! Otherwise the name belongs to the provider: nothing is made of its parts, except
//! the URL of its record in `fireworks::models`, which checks them.

use super::shape::TextRule;

/// The rule for a model's name.
pub(super) static MODEL_NAME_RULE: TextRule = TextRule {
    pattern: "^[!-~]+$",
    accepts: is_model_name,
    words: "a model's name: printable ASCII without spaces",
};

fn is_model_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns true if the provider may move the name to another model: its
/// routers, and names in the forms that it gives routers. Too broad rather than
/// too narrow: entries stored under an alias merely expire sooner.
pub(super) fn is_alias(name: &str) -> bool {
    // The part after `#` is the deployment that serves the model.
    let model = name.split('#').next().unwrap_or(name);
    let mut segments = model.split('/');
    let last = model.rsplit('/').next().unwrap_or(model);
    segments.any(|segment| segment == "routers" || segment.starts_with("firerouter"))
        || last.starts_with("auto")
        || ["-latest", "-fast", "-spot"].iter().any(|ending| last.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_move_are_known() {
        for (name, moving) in [
            ("accounts/fireworks/models/kimi-k3", false),
            ("accounts/fireworks/models/deepseek-v4p1-flash-1017", false),
            ("accounts/acme/deployments/a1b2c3", false),
            ("accounts/fireworks/models/glm-5p3#accounts/acme/deployments/auto", false),
            ("accounts/fireworks/models/fast-llama", false),
            ("accounts/fireworks/routers/kimi-k3-us", true),
            ("accounts/fireworks/routers/auto-instant", true),
            ("accounts/fireworks/models/kimi-k3-fast", true),
            ("glm-5p3-spot", true),
            ("glm-latest", true),
            ("auto", true),
            ("firerouter/glm", true),
            ("kimi-k3-fast#accounts/acme/deployments/x", true),
        ] {
            assert_eq!(is_alias(name), moving, "{name}");
        }
    }
}
