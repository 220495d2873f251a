//! A Markdown document whose marked blocks can be taken out and put back.

const MARK: &str = "<!-- output of: ";
const FENCE: &str = "```";
/// Begins a line that the reader types.
const PROMPT: &str = "$ ";

/// A document: text, and blocks between its parts.
#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    /// What is not output, in order; one more than there are blocks.
    parts: Vec<String>,
    /// The marked blocks, in order.
    pub(crate) blocks: Vec<Block>,
}

/// A block of output.
#[derive(Debug, PartialEq)]
pub(crate) struct Block {
    /// What it is the output of.
    pub(crate) command: String,
    /// Its lines.
    pub(crate) shown: Vec<String>,
}

impl Document {
    /// Finds the blocks; says where one is not as it must be.
    pub(crate) fn read(text: &str) -> Result<Document, String> {
        let mut document = Document { parts: vec![String::new()], blocks: Vec::new() };
        let mut lines = text.split_inclusive('\n').peekable();
        while let Some(line) = lines.next() {
            document.keep(line);
            let Some(command) = line.strip_prefix(MARK) else { continue };
            let command = command
                .trim_end()
                .strip_suffix("-->")
                .ok_or_else(|| format!("{line:?} does not end in -->"))?;
            let command = command.trim().to_owned();
            let fence = lines.next_if(|line| line.starts_with(FENCE));
            document.keep(fence.ok_or_else(|| format!("no block right below {line:?}"))?);
            while let Some(typed) = lines.next_if(|line| line.starts_with(PROMPT)) {
                document.keep(typed);
            }
            let mut shown = Vec::new();
            loop {
                match lines.peek() {
                    None => return Err(format!("the block of {command:?} has no end")),
                    Some(line) if line.starts_with(FENCE) => break,
                    Some(line) => shown.push(line.trim_end().to_owned()),
                }
                lines.next();
            }
            document.blocks.push(Block { command, shown });
            document.parts.push(lines.next().unwrap_or_default().to_owned());
        }
        Ok(document)
    }

    /// The whole again.
    pub(crate) fn text(&self) -> String {
        let mut parts = self.parts.iter();
        let mut text = parts.next().cloned().unwrap_or_default();
        for (block, part) in self.blocks.iter().zip(parts) {
            for line in &block.shown {
                text.push_str(line);
                text.push('\n');
            }
            text.push_str(part);
        }
        text
    }

    fn keep(&mut self, line: &str) {
        self.parts.last_mut().expect("there is always one").push_str(line);
    }
}

#[test]
fn only_marked_blocks_are_output() {
    let text = "# Title\n<!-- output of: sparkler demo -->\n```text\n$ sparkler demo\none\n\ntwo\n```\n\
                ```sh\nnot this\n```\nend";
    let mut document = Document::read(text).expect("well made");
    assert_eq!(document.text(), text);
    assert_eq!(document.blocks.len(), 1);
    assert_eq!(document.blocks[0].command, "sparkler demo");
    assert_eq!(document.blocks[0].shown, ["one", "", "two"]);
    document.blocks[0].shown = vec!["three".to_owned()];
    assert_eq!(document.text(), text.replace("one\n\ntwo", "three"));
}

#[test]
fn a_mark_without_its_block_is_a_mistake() {
    for text in [
        "<!-- output of: sparkler demo -->\n",
        "<!-- output of: sparkler demo -->\n\n```\n```\n",
        "<!-- output of: sparkler demo -->\n```\nno end\n",
        "<!-- output of: sparkler demo\n```\n```\n",
    ] {
        assert!(Document::read(text).is_err(), "{text}");
    }
}
