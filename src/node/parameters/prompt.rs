//! The treatment of the prompt on its way to the model.

use crate::node::{
    field::{Field, Literal, words},
    group::Group,
    input::{IMAGE_URL, MOST_IMAGES},
    shape::{Shape, TextRule},
};

static IMAGE_DATA: TextRule =
    TextRule { pattern: "^data:image/.", accepts: is_image_data, words: "a data:image/… URL" };

fn is_image_data(text: &str) -> bool {
    (IMAGE_URL.accepts)(text) && text.starts_with("data:")
}

const IMAGE: Shape = Shape::text(usize::MAX, &IMAGE_DATA);

/// For prompts and chats.
pub(in crate::node) static PROMPT: &[Field] = &Group::Prompt.of([
    Field::new(
        "contextLengthExceededBehavior",
        Shape::Keyword(&["truncate", "error"]),
        words("When the window is exceeded", "컨텍스트 초과 시"),
    )
    .help(
        "truncate lowers maxTokens to what fits, error refuses. A prompt longer than the window is refused either way.",
        "truncate는 maxTokens를 들어갈 만큼 낮추고, error는 거절합니다. 프롬프트 자체가 창보다 길면 어느 쪽이든 거절됩니다.",
    )
    .sent_as("context_length_exceeded_behavior")
    .neutral(Literal::Keyword("truncate")),
]);

/// For chats only.
pub(in crate::node) static CHAT_PROMPT: &[Field] = &Group::Prompt.of([
    Field::count("promptTruncateLen", words("Truncate prompt to", "프롬프트 절단 길이"))
        .help(
            "Drops the oldest turns of a chat beyond this many tokens; system messages stay.",
            "이 토큰 수를 넘는 대화는 오래된 것부터 버립니다. system 메시지는 남습니다.",
        )
        .sent_as("prompt_truncate_len"),
    Field::boolean("safeTokenization", words("Safe tokenization", "안전 토큰화"))
        .help(
            "Keeps special tokens in messages from acting as such. Refused by models without it, and turns promptTruncateLen off.",
            "메시지 속 특수 토큰이 특수 토큰으로 작동하지 않게 합니다. 지원하지 않는 모델은 거절하며, promptTruncateLen을 끕니다.",
        )
        .sent_as("safe_tokenization"),
]);

/// For prompts only.
pub(in crate::node) static IMAGES: &[Field] = &Group::Prompt.of([Field::new(
    "images",
    Shape::List {
        of: &Shape::OneOf {
            form: "json",
            shapes: &[
                IMAGE,
                Shape::List {
                    of: &IMAGE,
                    most: MOST_IMAGES,
                },
            ],
        },
        most: MOST_IMAGES,
    },
    words("Images", "이미지"),
)
.help(
    "data:image/… URLs, one for each <image> in the prompt. In a chat, images are parts of messages.",
    "프롬프트의 <image>마다 하나씩 대응하는 data:image/… URL입니다. 대화에서는 메시지의 일부로 넣습니다.",
)
.sent_as("images")]);
