//! The simulator's tokenizer: splits a text into pieces that join to the same
//! text. It approximates a real one in counts only.

/// The longest piece, in characters.
const LONGEST: usize = 8;

/// Returns the pieces of a text, in order.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, tail) = rest.split_at(first_piece(rest));
        rest = tail;
        Some(piece)
    })
}

/// Counts the tokens of a text.
pub(crate) fn count(text: &str) -> u32 {
    u32::try_from(split(text).count()).unwrap_or(u32::MAX)
}

/// Returns a stable number for a token, as a tokenizer would.
pub(crate) fn id(token: &str) -> u32 {
    let hash = blake3::hash(token.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    u32::from_le_bytes([a, b, c, d]) % 150_000
}

/// Returns the length in bytes of the first piece: a space and a run of letters
/// or digits, or one character of another kind.
fn first_piece(text: &str) -> usize {
    let word = text.strip_prefix(' ').unwrap_or(text);
    let space = text.len() - word.len();
    let letters: usize = word
        .chars()
        .take(LONGEST)
        .take_while(|character| character.is_alphanumeric())
        .map(char::len_utf8)
        .sum();
    if letters > 0 {
        return space + letters;
    }
    text.chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_join_to_the_text() {
        for text in
            ["", " ", "Hello, world!", "a  b\n\n\tc", "naïve “quotes” 日本語", "{\"a\": [1, 2]}"]
        {
            assert_eq!(split(text).collect::<String>(), text);
        }
        assert_eq!(split("Hi there, all.").collect::<Vec<_>>(), ["Hi", " there", ",", " all", "."]);
    }
}
