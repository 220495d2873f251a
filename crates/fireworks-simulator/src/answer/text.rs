//! The texts of a simulator, drawn from a seeded generator.

use fastrand::Rng;

const ADJECTIVES: [&str; 16] = [
    "quiet",
    "patient",
    "bright",
    "narrow",
    "early",
    "careful",
    "distant",
    "naïve",
    "steady",
    "golden",
    "curious",
    "plain",
    "sudden",
    "gentle",
    "northern",
    "well-kept",
];
const NOUNS: [&str; 20] = [
    "river",
    "lantern",
    "garden",
    "café",
    "letter",
    "harbour",
    "engine",
    "orchard",
    "bridge",
    "signal",
    "window",
    "clockmaker",
    "market",
    "forest",
    "map",
    "kettle",
    "library",
    "spark",
    "neighbour",
    "train",
];
const VERBS: [&str; 12] = [
    "follows",
    "remembers",
    "answers",
    "carries",
    "finds",
    "outlasts",
    "leaves",
    "meets",
    "explains",
    "repairs",
    "watches",
    "crosses",
];
const OPENINGS: [&str; 6] =
    ["In short, ", "As it happens, ", "Once more, ", "Every spring ", "After a while ", "Here "];

/// Returns one word, for names and values.
pub(crate) fn word(rng: &mut Rng) -> &'static str {
    NOUNS[rng.usize(..NOUNS.len())]
}

/// Returns a sentence of about ten words, without surrounding spaces.
pub(crate) fn sentence(rng: &mut Rng) -> String {
    let adjective = pick(rng, &ADJECTIVES);
    let subject = pick(rng, &NOUNS);
    let verb = pick(rng, &VERBS);
    let object = pick(rng, &NOUNS);
    let second = pick(rng, &ADJECTIVES);
    match rng.u8(..4) {
        0 => format!("The {adjective} {subject} {verb} the {second} {object}."),
        1 => {
            let opening = pick(rng, &OPENINGS);
            format!("{opening}a {subject} {verb} the {object} — {adjective}, but {second}.")
        }
        2 => {
            let third = pick(rng, &VERBS);
            format!("A {adjective} {subject} {verb} what the {object} {third}.")
        }
        _ => {
            format!("No {subject} {verb} a {second} {object} for long, however {adjective} it is.")
        }
    }
}

/// Returns the first words of a prompt, as the topic of an answer.
pub(crate) fn topic(prompt: &str) -> String {
    const WORDS: usize = 6;
    const CHARACTERS: usize = 60;
    let words: Vec<&str> = prompt.split_whitespace().take(WORDS).collect();
    words.join(" ").chars().take(CHARACTERS).collect()
}

fn pick<'a>(rng: &mut Rng, words: &[&'a str]) -> &'a str {
    words[rng.usize(..words.len())]
}
