//! The conventions for generative AI whose names metrics carry.

/// The released names, the latest ones, or both while backends move.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Conventions {
    /// Those of release 1.42.
    #[default]
    Released,
    /// Those of the development text that replaces it.
    Latest,
    /// Both.
    Both,
}

impl Conventions {
    /// The word of `OTEL_SEMCONV_STABILITY_OPT_IN` for the latest names.
    pub(crate) const LATEST: &str = "gen_ai_latest_experimental";
    /// The word for both.
    pub(crate) const BOTH: &str = "gen_ai_latest_experimental/dup";

    /// Parses the list of `OTEL_SEMCONV_STABILITY_OPT_IN`; words for other conventions
    /// count for nothing.
    pub(crate) fn opted_in(list: &str) -> Conventions {
        let has = |wanted: &str| list.split(',').any(|word| word.trim() == wanted);
        if has(Conventions::BOTH) {
            Conventions::Both
        } else if has(Conventions::LATEST) {
            Conventions::Latest
        } else {
            Conventions::Released
        }
    }

    /// Returns true if the released names are used.
    pub(crate) fn released(self) -> bool {
        self != Conventions::Latest
    }

    /// Returns true if the latest names are used.
    pub(crate) fn latest(self) -> bool {
        self != Conventions::Released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_win_over_the_latest_alone() {
        for (list, expected) in [
            ("", Conventions::Released),
            ("http/dup,rpc", Conventions::Released),
            ("http, gen_ai_latest_experimental", Conventions::Latest),
            ("gen_ai_latest_experimental/dup", Conventions::Both),
            ("gen_ai_latest_experimental,gen_ai_latest_experimental/dup", Conventions::Both),
        ] {
            assert_eq!(Conventions::opted_in(list), expected, "{list}");
        }
    }
}
