//! Texts of a form, in its languages.

/// A text in the languages of the forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalizedText {
    /// English.
    pub en: &'static str,
    /// Korean.
    pub ko: &'static str,
}

/// Creates a text in English and Korean, for declarations.
pub const fn words(en: &'static str, ko: &'static str) -> LocalizedText {
    LocalizedText { en, ko }
}
