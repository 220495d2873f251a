//! The prompts of a benchmark: built-in ones of known length, or those of a file.

use std::path::Path;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::Value;

use crate::files;

/// The question of every built-in prompt, which asks for more than any limit on tokens in
/// use, so that answers are of equal length.
const QUESTION: &str = "Write a very long and detailed essay about the history of bridges, of at \
                        least five thousand words. Begin at once, without a plan.";

/// The lengths of the built-in prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BuiltIn {
    /// About 30 tokens.
    Short,
    /// About 1,000 tokens.
    Medium,
    /// About 8,000 tokens.
    Long,
}

/// Prompts that are measured as one, used in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PromptSet {
    /// The name in the report.
    pub(super) name: String,
    prompts: Vec<String>,
}

impl PromptSet {
    /// Reads a file, one prompt a line.
    pub(super) fn read(path: &Path) -> anyhow::Result<PromptSet> {
        let context = || format!("--prompts-file {}", path.display());
        let text = files::read_text(path).with_context(context)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        PromptSet::parse(name, &text).with_context(context)
    }

    fn parse(name: String, text: &str) -> anyhow::Result<PromptSet> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let prompts = lines
            .map(|(index, line)| prompt(line).with_context(|| format!("line {}", index + 1)))
            .collect::<anyhow::Result<Vec<String>>>()?;
        if prompts.is_empty() {
            bail!("holds no prompt");
        }
        Ok(PromptSet { name, prompts })
    }

    /// Returns the prompt of a request. A nonce makes it unlike any other from its
    /// first token on.
    pub(super) fn prompt(&self, index: u32, nonce: Option<&str>) -> String {
        let prompt = &self.prompts[index as usize % self.prompts.len()];
        match nonce {
            Some(nonce) => format!("[{nonce}] {prompt}"),
            None => prompt.clone(),
        }
    }

    /// Returns the length of the longest prompt, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.prompts.iter().map(String::len).max().unwrap_or(0)
    }
}

impl From<BuiltIn> for PromptSet {
    fn from(length: BuiltIn) -> PromptSet {
        let (name, paragraphs) = match length {
            BuiltIn::Short => ("short", 0),
            BuiltIn::Medium => ("medium", 20),
            BuiltIn::Long => ("long", 160),
        };
        let mut text: String = (1..=paragraphs).map(paragraph).collect();
        text.push_str(QUESTION);
        PromptSet { name: name.to_owned(), prompts: vec![text] }
    }
}

/// Returns a paragraph of about fifty tokens, unlike the others.
fn paragraph(number: u32) -> String {
    let (year, length, spans) = (1500 + number * 3, 40 + number * 7 % 400, 1 + number % 9);
    format!(
        "Note {number}. In the year {year} a bridge was opened after long delays. It is {length} \
         metres long, stands on stone piers, has {spans} spans, and carried carts, cattle and \
         later trams across the river until the flood.\n"
    )
}

fn prompt(line: &str) -> anyhow::Result<String> {
    if !line.trim_start().starts_with(['"', '{']) {
        return Ok(line.to_owned());
    }
    match serde_json::from_str(line).context("begins as JSON and is not")? {
        Value::String(text) => Ok(text),
        Value::Object(mut object) => match object.remove("prompt") {
            Some(Value::String(text)) => Ok(text),
            _ => bail!("is an object without a text `prompt`"),
        },
        _ => bail!("is neither a text nor an object with `prompt`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_text_or_json() {
        let text = "plain\n\n\"with\\nbreak\"\n{\"prompt\": \"inside\", \"id\": 7}\n";
        let set = PromptSet::parse("p".to_owned(), text).unwrap();
        assert_eq!(set.prompts, ["plain", "with\nbreak", "inside"]);
        assert_eq!((set.prompt(4, None).as_str(), set.longest()), ("with\nbreak", 10));
        assert_eq!(set.prompt(0, Some("n1")), "[n1] plain");
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        for (text, problem) in [
            ("ok\n{\"a\": 1}", "line 2: is an object without"),
            ("\"open", "line 1: begins as JSON"),
            ("\n \n", "holds no prompt"),
        ] {
            let error = PromptSet::parse("p".to_owned(), text).unwrap_err();
            assert!(format!("{error:#}").starts_with(problem), "{error:#}");
        }
    }

    #[test]
    fn built_in_prompts_differ_in_length_only() {
        let [short, medium, long] =
            [BuiltIn::Short, BuiltIn::Medium, BuiltIn::Long].map(PromptSet::from);
        assert!(short.longest() * 20 < medium.longest());
        assert!(medium.longest() * 7 < long.longest());
        assert!([short, medium, long].iter().all(|set| set.prompt(0, None).ends_with(QUESTION)));
    }
}
