//! The provider's record of a model, as far as it states anything: a missing or odd
//! field costs only itself, and nothing is guessed.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde_json::Value;

/// The longest name that is taken from the provider, in bytes.
const MAX_NAME_BYTES: usize = 512;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A record of a model. An absent field is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelRecord {
    /// The model's full name.
    pub name: String,
    /// Maximum tokens of prompt and answer together.
    pub context_length: Option<u64>,
    /// True if it takes part in a conversation.
    pub chat: Option<bool>,
    /// True if it continues a text.
    pub completion: Option<bool>,
    /// True if it returns vectors.
    pub embeddings: Option<bool>,
    /// True if it can call tools.
    pub tools: Option<bool>,
    /// True if it reads images.
    pub images: Option<bool>,
    /// True if it reasons before it answers.
    pub reasoning: Option<bool>,
    /// True if it is served without a deployment of one's own.
    pub serverless: Option<bool>,
    /// The first day on which it is no longer served.
    pub end: Option<EndDate>,
    /// The model that the provider names as its successor.
    pub successor: Option<String>,
}

impl ModelRecord {
    /// Reads a row of the inference API's list.
    pub(super) fn of_list(row: &Value) -> Option<ModelRecord> {
        let flag = |key: &str| row.get(key).and_then(Value::as_bool);
        Some(ModelRecord {
            name: name(row.get("id")?)?,
            context_length: count(row.get("context_length")),
            chat: flag("supports_chat"),
            completion: flag("supports_completion"),
            embeddings: flag("supports_embeddings").or_else(|| is_embedding(row)),
            tools: flag("supports_tools"),
            images: flag("supports_image_input"),
            reasoning: flag("supports_reasoning"),
            serverless: flag("supports_serverless"),
            end: row.get("deprecation_date").and_then(EndDate::read),
            successor: row.get("successor").and_then(name),
        })
    }

    /// Reads a record of the account API.
    pub(super) fn of_account(record: &Value) -> Option<ModelRecord> {
        let flag = |key: &str| record.get(key).and_then(Value::as_bool);
        Some(ModelRecord {
            name: name(record.get("name")?)?,
            context_length: count(record.get("contextLength")),
            chat: flag("supportsChat"),
            completion: flag("supportsCompletion"),
            embeddings: flag("supportsEmbeddings").or_else(|| is_embedding(record)),
            tools: flag("supportsTools"),
            images: flag("supportsImageInput"),
            reasoning: flag("supportsReasoning"),
            serverless: flag("supportsServerless"),
            end: record.get("deprecationDate").and_then(EndDate::read),
            successor: record.get("successor").and_then(name),
        })
    }

    /// Adds what the account's record says. It is the better source of availability
    /// and end; of the rest, what the list says holds.
    pub(super) fn complete_with(&mut self, record: ModelRecord) {
        let ModelRecord { context_length, chat, completion, embeddings, tools, .. } = record;
        self.context_length = self.context_length.or(context_length);
        self.chat = self.chat.or(chat);
        self.completion = self.completion.or(completion);
        self.embeddings = self.embeddings.or(embeddings);
        self.tools = self.tools.or(tools);
        self.images = self.images.or(record.images);
        self.reasoning = self.reasoning.or(record.reasoning);
        self.serverless = record.serverless.or(self.serverless);
        self.end = record.end.or(self.end);
        self.successor = record.successor.or(self.successor.take());
    }

    /// Names the successor, as the end of a sentence; empty if there is none.
    pub fn succession(&self) -> String {
        let successor = self.successor.as_deref();
        successor.map_or_else(String::new, |name| format!("; its successor is {name}"))
    }

    /// Returns the end, if it has passed.
    pub fn ended(&self, now: SystemTime) -> Option<EndDate> {
        self.end.filter(|end| end.start() <= now)
    }
}

/// The first day, in UTC, on which a model is no longer served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndDate {
    year: u16,
    month: u8,
    day: u8,
}

impl EndDate {
    /// Reads `{"year", "month", "day"}`, or text that begins with `YYYY-MM-DD`.
    fn read(value: &Value) -> Option<EndDate> {
        match value {
            Value::Object(date) => {
                let part = |key: &str| date.get(key).and_then(Value::as_u64);
                EndDate::new(part("year")?, part("month")?, part("day")?)
            }
            Value::String(text) => EndDate::parse(text),
            _ => None,
        }
    }

    /// Parses text that begins with `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<EndDate> {
        let mut parts = text.get(..10)?.split('-').map(|part| part.parse().ok());
        EndDate::new(parts.next()??, parts.next()??, parts.next()??)
    }

    fn new(year: u64, month: u64, day: u64) -> Option<EndDate> {
        let is_plausible = (2000..=9999).contains(&year);
        let date = EndDate {
            year: u16::try_from(year).ok().filter(|_| is_plausible)?,
            month: u8::try_from(month).ok()?,
            day: u8::try_from(day).ok()?,
        };
        date.checked_start().map(|_| date)
    }

    /// Returns the moment at which the day begins.
    pub fn start(self) -> SystemTime {
        self.checked_start().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns the whole days from `now` to the beginning of the day, rounded up; 0
    /// once it has begun.
    pub fn days_left(self, now: SystemTime) -> u64 {
        let left = self.start().duration_since(now).unwrap_or_default();
        left.as_secs().div_ceil(DAY.as_secs())
    }

    /// Returns the moment; `None` for a date that is not in the calendar.
    fn checked_start(self) -> Option<SystemTime> {
        humantime::parse_rfc3339(&format!("{self}T00:00:00Z")).ok()
    }
}

impl fmt::Display for EndDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EndDate { year, month, day } = self;
        write!(formatter, "{year:04}-{month:02}-{day:02}")
    }
}

/// Reads a name: printable ASCII without spaces, since it reaches logs and metrics.
fn name(value: &Value) -> Option<String> {
    let name = value.as_str()?;
    let fits = !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| name.to_owned())
}

fn count(value: Option<&Value>) -> Option<u64> {
    value.and_then(Value::as_u64).filter(|count| *count > 0)
}

/// Returns true if the record's kind is that of embedding models; other kinds say
/// nothing about it.
fn is_embedding(record: &Value) -> Option<bool> {
    let kind = record.get("kind").and_then(Value::as_str)?;
    kind.contains("EMBEDDING").then_some(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_date_is_read_in_both_forms_or_not_at_all() {
        let date = |value| EndDate::read(&value).map(|date| date.to_string());
        let expected = Some("2026-12-07".to_owned());
        assert_eq!(date(json!({"year": 2026, "month": 12, "day": 7})), expected);
        assert_eq!(date(json!("2026-12-07")), expected);
        assert_eq!(date(json!("2026-12-07T08:00:00Z")), expected);
        for odd in [
            json!(null),
            json!({}),
            json!({"year": 2026, "month": 12}),
            json!({"year": 0, "month": 0, "day": 0}),
            json!({"year": 2026, "month": 2, "day": 30}),
            json!("soon"),
            json!("2026-13-01"),
            json!("2026-1-1"),
            json!(20261207),
        ] {
            assert_eq!(date(odd.clone()), None, "{odd}");
        }
    }

    #[test]
    fn what_is_not_stated_is_unknown() {
        let bare = ModelRecord { name: "m".to_owned(), ..ModelRecord::default() };
        assert_eq!(ModelRecord::of_list(&json!({"id": "m"})), Some(bare.clone()));
        let odd = json!({
            "name": "m", "contextLength": 0, "supportsTools": "yes", "deprecationDate": null,
            "successor": "", "kind": 7,
        });
        assert_eq!(ModelRecord::of_account(&odd), Some(bare));
        assert_eq!(ModelRecord::of_list(&json!({"id": "a b"})), None);
        assert_eq!(ModelRecord::of_account(&json!({})), None);
    }

    #[test]
    fn the_days_left_end_with_the_first_day_without_it() {
        let end = EndDate::new(2026, 12, 7).expect("a date");
        let before = |seconds| end.start() - Duration::from_secs(seconds);
        for (now, left) in [(before(14 * 86_400), 14), (before(1), 1), (before(0), 0)] {
            assert_eq!(end.days_left(now), left);
        }
        let record = ModelRecord { end: Some(end), ..ModelRecord::default() };
        assert_eq!(record.ended(before(1)), None);
        assert_eq!(record.ended(before(0)), Some(end));
    }
}
