//! The input of a node: a prompt, a conversation or texts, as plain values.
//!
//! `grpc` builds it without validation; [`Input::check`] validates it, and
//! `message` writes it for the provider. Sizes are not limited here: the
//! transport limits them.

use super::{
    problems::{Path, Problems, did_you_mean},
    shape::TextRule,
};

/// Maximum images in a conversation: the provider's limit.
pub(super) const MOST_IMAGES: usize = 30;

/// Maximum texts of an execution.
const MOST_TEXTS: usize = 2048;

const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];
const DETAILS: [&str; 3] = ["auto", "low", "high"];

/// The rule for an image's URL.
pub(super) static IMAGE_URL: TextRule = TextRule {
    pattern: "^(https://|data:image/).",
    accepts: is_image_url,
    words: "an https:// URL or a data:image/… URL",
};

/// The input of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Plain text.
    Prompt(String),
    /// A conversation, oldest message first.
    Chat(Vec<Message>),
    /// Texts to embed, each by itself.
    Texts(Vec<String>),
}

/// The kinds of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Plain text.
    Prompt,
    /// A conversation.
    Chat,
    /// Texts to embed.
    Texts,
}

impl InputKind {
    /// Returns the name used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            InputKind::Prompt => "prompt",
            InputKind::Chat => "chat",
            InputKind::Texts => "texts",
        }
    }
}

/// One message. Empty values are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// The content, if it is plain text.
    pub content: String,
    /// The content, if it is a list of parts.
    pub parts: Vec<Part>,
    /// The calls an assistant asked for.
    pub tool_calls: Vec<ToolCall>,
    /// The id of the call that a tool message answers.
    pub tool_call_id: String,
    /// An assistant's reasoning.
    pub reasoning_content: String,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A part without contents: always invalid, but conversion does not judge.
    Empty,
    /// Text.
    Text(String),
    /// An image.
    Image {
        /// Its URL, or the image itself as a data URL.
        url: String,
        /// `auto`, `low`, `high`, or empty.
        detail: String,
    },
}

/// A tool call the model asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The call's id.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments, as the model wrote them: JSON text, or an attempt at it.
    pub arguments: String,
}

impl Input {
    /// Returns the kind of input.
    pub fn kind(&self) -> InputKind {
        match self {
            Input::Prompt(_) => InputKind::Prompt,
            Input::Chat(_) => InputKind::Chat,
            Input::Texts(_) => InputKind::Texts,
        }
    }

    /// Reports every problem of the input.
    pub(super) fn check(&self, problems: &mut Problems) {
        match self {
            Input::Prompt(prompt) => {
                if prompt.is_empty() {
                    problems.add("prompt", "is empty: give the text to send");
                }
            }
            Input::Chat(messages) => check_chat(messages, problems),
            Input::Texts(texts) => check_texts(texts, problems),
        }
    }
}

fn check_texts(texts: &[String], problems: &mut Problems) {
    let input = Path::Root("texts");
    let list = input.member("texts");
    let count = texts.len();
    match count {
        0 => problems.add(list, "is empty: give at least one text"),
        1..=MOST_TEXTS => {}
        _ => problems.add(list, format!("has {count} texts; at most {MOST_TEXTS} at a time")),
    }
    for (index, _) in texts.iter().enumerate().filter(|(_, text)| text.is_empty()) {
        problems.add(list.item(index), "is empty: leave it out");
    }
}

fn check_chat(messages: &[Message], problems: &mut Problems) {
    let chat = Path::Root("chat");
    let list = chat.member("messages");
    if messages.is_empty() {
        problems.add(list, "is empty: give at least one message");
    }
    for (index, message) in messages.iter().enumerate() {
        message.check(list.item(index), problems);
    }
    let is_image = |part: &&Part| matches!(part, Part::Image { .. });
    let parts = messages.iter().flat_map(|message| &message.parts);
    let images = parts.filter(is_image).count();
    if images > MOST_IMAGES {
        let description = format!("has {images} images; the provider takes at most {MOST_IMAGES}");
        problems.add(list, description);
    }
}

impl Message {
    fn check(&self, path: Path<'_>, problems: &mut Problems) {
        self.check_role(path, problems);
        self.check_content(path, problems);
        self.check_assistant_only(path, problems);
        self.check_tool_call_id(path, problems);
        let parts = path.member("parts");
        for (index, part) in self.parts.iter().enumerate() {
            part.check(parts.item(index), problems);
        }
        let calls = path.member("tool_calls");
        for (index, call) in self.tool_calls.iter().enumerate() {
            call.check(calls.item(index), problems);
        }
    }

    fn check_role(&self, path: Path<'_>, problems: &mut Problems) {
        let role = self.role.as_str();
        if ROLES.contains(&role) {
            return;
        }
        let description = match role {
            "" => "is required: system, user, assistant or tool".to_owned(),
            "developer" => "must be system: the provider knows no developer role".to_owned(),
            _ => format!("must be system, user, assistant or tool{}", did_you_mean(role, ROLES)),
        };
        problems.add(path.member("role"), description);
    }

    fn check_content(&self, path: Path<'_>, problems: &mut Problems) {
        match (self.content.is_empty(), self.parts.is_empty()) {
            (false, false) => {
                problems.add(path.member("parts"), "excludes content: give one of the two");
            }
            (true, true) if !self.may_be_silent() => {
                let description = "is empty: only a tool message, or an assistant message with \
                                   tool calls or reasoning, may be";
                problems.add(path.member("content"), description);
            }
            _ => {}
        }
    }

    /// Returns true if the message may be empty: a tool's, or an assistant's
    /// with calls or reasoning.
    fn may_be_silent(&self) -> bool {
        match self.role.as_str() {
            "assistant" => !self.tool_calls.is_empty() || !self.reasoning_content.is_empty(),
            "tool" => true,
            _ => false,
        }
    }

    fn check_assistant_only(&self, path: Path<'_>, problems: &mut Problems) {
        if self.role == "assistant" {
            return;
        }
        let description = "belongs to assistant messages only";
        if !self.tool_calls.is_empty() {
            problems.add(path.member("tool_calls"), description);
        }
        if !self.reasoning_content.is_empty() {
            problems.add(path.member("reasoning_content"), description);
        }
    }

    fn check_tool_call_id(&self, path: Path<'_>, problems: &mut Problems) {
        let path = path.member("tool_call_id");
        match (self.role.as_str(), self.tool_call_id.is_empty()) {
            ("tool", true) => {
                problems.add(path, "is required: the id of the call this is the result of");
            }
            ("tool", false) | (_, true) => {}
            (_, false) => problems.add(path, "belongs to tool messages only"),
        }
    }
}

impl Part {
    fn check(&self, path: Path<'_>, problems: &mut Problems) {
        match self {
            Part::Empty => problems.add(path, "is empty: give text or image_url"),
            Part::Text(_) => {}
            Part::Image { url, detail } => {
                let path = path.member("image_url");
                if !is_image_url(url) {
                    let description = format!("must be {}", IMAGE_URL.words);
                    problems.add(path.member("url"), description);
                }
                if !detail.is_empty() && !DETAILS.contains(&detail.as_str()) {
                    problems.add(path.member("detail"), "must be auto, low or high");
                }
            }
        }
    }
}

impl ToolCall {
    fn check(&self, path: Path<'_>, problems: &mut Problems) {
        if self.id.is_empty() {
            problems.add(path.member("id"), "is required");
        }
        if self.name.is_empty() {
            problems.add(path.member("name"), "is required");
        }
    }
}

fn is_image_url(url: &str) -> bool {
    let starts_with = |scheme: &str| {
        url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            && url.len() > scheme.len()
    };
    starts_with("https://") || starts_with("data:image/")
}
