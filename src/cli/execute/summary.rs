//! The summary line after an answer: its duration, its cost and its source. Values
//! that the worker did not report are left out, never guessed.

use std::io::{self, Write};

use super::super::{
    terminal::{DIM, WARNING, printable},
    units,
};
use crate::proto::{
    CacheOutcome, CacheStatus, Completed, Cost, Embeddings, StoreStatus, Timing, Usage,
};

/// Writes the summary, preceded by a line for each truncated choice.
pub(in crate::cli) fn write(completed: &Completed, out: &mut impl Write) -> io::Result<()> {
    for choice in &completed.choices {
        if choice.finish_reason == "length" {
            let index = choice.index;
            writeln!(
                out,
                "{WARNING}choice {index} is cut: the token limit was met; raise maxTokens{WARNING:#}"
            )?;
        }
    }
    writeln!(out, "{DIM}{}{DIM:#}", printable(&figures(completed).join(" · ")))
}

fn figures(completed: &Completed) -> Vec<String> {
    let mut figures = Vec::new();
    figures.extend(completed.embeddings.as_ref().map(texts));
    figures.extend(completed.usage.iter().flat_map(tokens));
    figures.extend(completed.cost.iter().flat_map(money));
    figures.extend(completed.timing.iter().flat_map(times));
    figures.extend(completed.cache.as_ref().map(cache));
    figures.push(match completed.attempts {
        1 => "1 attempt".to_owned(),
        attempts => format!("{attempts} attempts"),
    });
    if !completed.model.is_empty() {
        figures.push(completed.model.clone());
    }
    figures
}

/// Counts the texts by the source of their vectors.
fn texts(embeddings: &Embeddings) -> String {
    let Embeddings { cached, joined, executed, repeated, .. } = *embeddings;
    let counts =
        [(executed, "executed"), (cached, "cached"), (joined, "joined"), (repeated, "repeated")];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    let all = cached + joined + executed + repeated;
    format!("{all} texts ({})", counts.join(", "))
}

fn tokens(usage: &Usage) -> Vec<String> {
    let mut figures = Vec::new();
    if let Some(prompt) = usage.prompt_tokens {
        figures.push(match (usage.cached_tokens, usage.cached_share) {
            (Some(cached), Some(share)) if cached > 0 => {
                format!("{prompt} tokens in ({cached} cached, {:.0} %)", share * 100.0)
            }
            (Some(cached), None) if cached > 0 => format!("{prompt} tokens in ({cached} cached)"),
            _ => format!("{prompt} tokens in"),
        });
    }
    if let Some(completion) = usage.completion_tokens {
        figures.push(match usage.reasoning_tokens {
            Some(reasoning) if reasoning > 0 => format!("{completion} out ({reasoning} reasoning)"),
            _ => format!("{completion} out"),
        });
    }
    figures
}

fn money(cost: &Cost) -> Vec<String> {
    let mut figures = vec![format!("{} spent", units::dollars(cost.spent_nanodollars))];
    if cost.saved_nanodollars > 0 {
        figures.push(format!("{} saved", units::dollars(cost.saved_nanodollars)));
    }
    figures
}

fn times(timing: &Timing) -> Vec<String> {
    [("first token", timing.first_token), ("total", timing.total)]
        .into_iter()
        .filter_map(|(name, time)| Some(format!("{name} {}", units::proto_span(time?)?)))
        .collect()
}

fn cache(outcome: &CacheOutcome) -> String {
    let status = match outcome.status() {
        CacheStatus::Unspecified => "unknown",
        CacheStatus::Disabled => "off",
        CacheStatus::Bypassed => "bypassed",
        CacheStatus::Hit => "hit",
        CacheStatus::Miss => "miss",
        CacheStatus::Joined => "joined",
        CacheStatus::Stale => "stale",
        CacheStatus::LookupFailed => "look-up failed",
    };
    let store = match outcome.store() {
        StoreStatus::Unspecified => String::new(),
        StoreStatus::Stored => ", stored".to_owned(),
        StoreStatus::NotStored if outcome.not_stored_reason.is_empty() => ", not stored".to_owned(),
        StoreStatus::NotStored => format!(", not stored ({})", outcome.not_stored_reason),
        StoreStatus::StoreFailed => ", storing failed".to_owned(),
    };
    let age = outcome
        .age
        .and_then(units::proto_span)
        .map(|age| format!(", {age} old"))
        .unwrap_or_default();
    format!("cache {status}{store}{age}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Choice;

    fn printed(completed: &Completed) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        write(completed, &mut out).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn everything_the_worker_reports_is_shown() {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let completed = Completed {
            usage: Some(Usage {
                prompt_tokens: Some(12),
                completion_tokens: Some(34),
                cached_tokens: Some(8),
                reasoning_tokens: Some(20),
                cached_share: Some(8.0 / 12.0),
                ..Usage::default()
            }),
            cost: Some(Cost { saved_nanodollars: 21_000, ..Cost::default() }),
            timing: Some(Timing {
                first_token: seconds(1),
                total: seconds(90),
                ..Timing::default()
            }),
            cache: Some(CacheOutcome {
                status: CacheStatus::Hit.into(),
                age: seconds(3),
                ..CacheOutcome::default()
            }),
            model: "m".to_owned(),
            ..Completed::default()
        };
        assert_eq!(
            printed(&completed),
            "12 tokens in (8 cached, 67 %) · 34 out (20 reasoning) · $0.00 spent · $0.000021 saved · \
             first token 1.00s · total 1m 30s · cache hit, 3.00s old · 0 attempts · m\n"
        );
    }

    #[test]
    fn what_the_worker_does_not_say_is_left_out() {
        assert_eq!(printed(&Completed::default()), "0 attempts\n");
    }

    #[test]
    fn texts_are_counted_by_their_source() {
        let embeddings = Embeddings { cached: 2, executed: 1, ..Embeddings::default() };
        let completed = Completed { embeddings: Some(embeddings), ..Completed::default() };
        assert_eq!(printed(&completed), "3 texts (1 executed, 2 cached) · 0 attempts\n");
    }

    #[test]
    fn an_answer_that_is_cut_says_so() {
        let completed = Completed {
            choices: vec![Choice { finish_reason: "length".to_owned(), ..Choice::default() }],
            ..Completed::default()
        };
        assert!(printed(&completed).starts_with("choice 0 is cut"));
    }
}
