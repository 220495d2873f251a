//! The prompt of a request as it is sent: the bytes that decide what a provider's
//! prompt cache can use again.

use std::{fmt, ops::Range};

use bytes::Bytes;

/// The tools and the messages of a request, in the bytes of its body. A text prompt is
/// one message.
#[derive(Clone, Default)]
pub struct SentPrompt {
    body: Bytes,
    tools: Option<Range<usize>>,
    messages: Vec<Range<usize>>,
}

impl SentPrompt {
    pub(crate) fn new(
        body: Bytes,
        tools: Option<Range<usize>>,
        messages: Vec<Range<usize>>,
    ) -> SentPrompt {
        SentPrompt { body, tools, messages }
    }

    /// Returns the tools, which the model reads before all messages; empty for none.
    pub fn tools(&self) -> &[u8] {
        self.tools.clone().map_or(&[], |tools| &self.body[tools])
    }

    /// Iterates over the messages, oldest first.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.messages.iter().map(|message| &self.body[message.clone()])
    }
}

impl fmt::Debug for SentPrompt {
    /// Omits the text.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = self.messages.len();
        formatter.debug_struct("SentPrompt").field("messages", &messages).finish_non_exhaustive()
    }
}
