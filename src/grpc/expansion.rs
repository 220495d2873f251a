//! Estimates a frame's size in memory before it is decoded: two bytes on the wire
//! may take hundreds in memory.
//!
//! One pass over the bytes, without allocation, guided by the message's descriptor.
//! Overestimates rather than underestimates: one collection at a time grows, and the
//! largest is assumed to have just grown. A JSON object is converted as a whole, within
//! the objects around it. A malformed frame is weighed up to the error, where prost refuses it.
//! `codec` weighs the requests of the API; responses come from a trusted worker.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use prost::{
    Message,
    bytes::Buf,
    encoding::{WireType, decode_key, decode_varint},
};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

/// A request may grow by this factor in memory, plus a constant number of bytes. The
/// frame itself and the node's own copy are not included.
const TIMES: u64 = 7;
const BESIDES: u64 = 640 << 10;
/// prost refuses deeper nesting.
const DEEPEST: usize = 100;
/// Slots of a vector's first item; a full one doubles.
const FIRST_SLOTS: u64 = 4;
/// Slots of a tree's first leaf, of a second one with the branch above both, and of each
/// entry beyond: leaves are half full.
const LEAF_SLOTS: u64 = 11;
const BRANCH_SLOTS: u64 = 25;
const ENTRY_SLOTS: u64 = 2;
/// Slots per entry of a hash table that has just doubled, and is copied.
const HASHED_SLOTS: u64 = 4;
/// Slots per number of a list that has just doubled, and is copied.
const NUMBER_SLOTS: u64 = 3;
/// Bytes of a text, list or map header, without its content.
const HANDLE: u64 = 24;
const MAP_HANDLE: u64 = 48;
const WELL_KNOWN: &str = ".google.protobuf.";
/// Extra bytes per item of a JSON list during conversion: a `serde_json::Value` is
/// larger, and the list is kept until its last item is converted.
const JSON_VALUE: &str = ".google.protobuf.Value";
const JSON_ENTRY: &str = ".google.protobuf.Struct.FieldsEntry";
const CONVERTED: u64 = 48;
/// Bytes per entry of the JSON map that a map of JSON values is converted to. All of them
/// are allocated while the old map is still whole.
const CONVERTED_ENTRY: u64 = 124;

/// The messages of the worker's own API.
static OWN: LazyLock<Expansion> =
    LazyLock::new(|| Expansion::of(crate::proto::FILE_DESCRIPTOR_SET).unwrap_or_default());

/// The memory layout of a set of messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expansion {
    by_name: HashMap<String, usize>,
    shapes: Arc<[MessageLayout]>,
}

/// The memory layout of one message.
#[derive(Debug, Default)]
struct MessageLayout {
    /// Bytes of the struct itself.
    bytes: u64,
    /// Extra bytes per item of a list of it.
    beside: u64,
    /// Extra bytes per entry of a map of it while the map is converted.
    converted: u64,
    /// By number.
    fields: Vec<Option<FieldLayout>>,
}

#[derive(Debug, Clone, Copy)]
enum FieldLayout {
    /// Stored in the struct.
    Inline,
    /// Text or bytes, possibly repeated.
    Text {
        repeated: bool,
    },
    /// A list of numbers.
    Numbers,
    Message {
        shape: usize,
        holds: Holds,
    },
}

impl FieldLayout {
    /// Returns the extra bytes of one item while the message around it is converted.
    fn converted(self, shapes: &[MessageLayout]) -> u64 {
        match self {
            FieldLayout::Message { shape, holds: Holds::Tree } => shapes[shape].converted,
            _ => 0,
        }
    }
}

/// The way a message is held by its parent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Holds {
    One,
    List,
    /// A map of the API.
    Table,
    /// A map of a well-known type.
    Tree,
}

/// The frame would grow beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMuch {
    /// The limit for a frame of its size, in bytes.
    pub most: u64,
}

/// Refuses a frame of the worker's API that would grow beyond its limit. `message`
/// is the full name of its message.
pub(super) fn check(message: &str, frame: &[u8]) -> Result<(), TooMuch> {
    let most = most(frame.len());
    match OWN.weigh(message, frame, most) {
        Some(weight) if weight > most => Err(TooMuch { most }),
        _ => Ok(()),
    }
}

/// Returns the limit for a request of this size, in bytes, its frame not included.
pub(crate) fn most(frame_bytes: usize) -> u64 {
    (frame_bytes as u64).saturating_mul(TIMES).saturating_add(BESIDES)
}

impl Expansion {
    /// Reads an encoded descriptor set; `None` if it is malformed.
    pub(crate) fn of(descriptors: &[u8]) -> Option<Expansion> {
        let set = FileDescriptorSet::decode(descriptors).ok()?;
        let mut messages = Vec::new();
        for file in &set.file {
            for message in &file.message_type {
                collect(&format!(".{}", file.package()), message, &mut messages);
            }
        }
        let by_name: HashMap<String, usize> =
            messages.iter().enumerate().map(|(index, (name, _))| (name.clone(), index)).collect();
        let mut sizes = vec![None; messages.len()];
        for index in 0..messages.len() {
            size(index, &messages, &by_name, &mut sizes);
        }
        let shape =
            |(index, (name, message)): (usize, &(String, &DescriptorProto))| MessageLayout {
                bytes: sizes[index].unwrap_or_default(),
                beside: if name == JSON_VALUE { CONVERTED } else { 0 },
                converted: if name == JSON_ENTRY { CONVERTED_ENTRY } else { 0 },
                fields: fields(message, |field| kind(field, &messages, &by_name)),
            };
        let shapes = messages.iter().enumerate().map(shape).collect();
        Some(Expansion { by_name, shapes })
    }

    /// Returns the size of a frame in memory, in bytes; stops soon after `most`.
    /// `None` for an unknown message.
    pub(crate) fn weigh(&self, message: &str, frame: &[u8], most: u64) -> Option<u64> {
        let shape = *self.by_name.get(&format!(".{message}"))?;
        let weight = self.shapes[shape].bytes;
        let mut scale = Scale { shapes: &self.shapes, weight, largest_copy: 0, most };
        let conversion = scale.message(shape, frame, DEEPEST).unwrap_or_default();
        // The frame is dropped before anything is converted.
        Some(scale.peak().saturating_add(conversion.saturating_sub(frame.len() as u64)))
    }
}

struct Scale<'a> {
    shapes: &'a [MessageLayout],
    weight: u64,
    /// Bytes of the largest vector that was copied as it grew: for a moment it is
    /// there twice.
    largest_copy: u64,
    most: u64,
}

impl Scale<'_> {
    /// Weighs a message, and returns what its conversion takes besides, with that of one
    /// message within it. `None` if the frame is malformed or too heavy.
    fn message(&mut self, shape: usize, mut frame: &[u8], levels: usize) -> Option<u64> {
        let shapes = self.shapes;
        let (mut last, mut items) = (None, 0);
        let (mut own, mut within) = (0, 0);
        while !frame.is_empty() {
            let (tag, wire) = decode_key(&mut frame).ok()?;
            let field = shapes[shape].fields.get(tag as usize).copied().flatten();
            let content = match wire {
                WireType::LengthDelimited => take(&mut frame)?,
                WireType::Varint => {
                    decode_varint(&mut frame).ok()?;
                    &[]
                }
                WireType::SixtyFourBit => skip(&mut frame, 8)?,
                WireType::ThirtyTwoBit => skip(&mut frame, 4)?,
                // Fields of a group, which is unknown, count as the message's own.
                WireType::StartGroup | WireType::EndGroup => &[],
            };
            items = if last.replace(tag) == Some(tag) { items + 1 } else { 1 };
            own += field.map_or(0, |field| field.converted(shapes));
            within = self.field(field, content, items, levels)?.max(within);
        }
        Some(own + within)
    }

    /// Weighs a field, likewise; it is the number `item` of those in a row.
    fn field(
        &mut self,
        field: Option<FieldLayout>,
        content: &[u8],
        item: u64,
        levels: usize,
    ) -> Option<u64> {
        let mut conversion = 0;
        match field {
            None | Some(FieldLayout::Inline) => {}
            Some(FieldLayout::Numbers) => self.add(NUMBER_SLOTS * 8 * (content.len() as u64 + 4)),
            Some(FieldLayout::Text { repeated }) => {
                self.add(content.len() as u64);
                if repeated {
                    self.push(item, HANDLE);
                }
            }
            Some(FieldLayout::Message { shape, holds }) => {
                let MessageLayout { bytes, beside, .. } = self.shapes[shape];
                match holds {
                    Holds::One => {}
                    Holds::List => {
                        self.push(item, bytes);
                        self.add(beside);
                    }
                    Holds::Table => self.add(HASHED_SLOTS * bytes),
                    Holds::Tree => self.add(tree(item, bytes) - tree(item - 1, bytes)),
                }
                if let Some(levels) = levels.checked_sub(1) {
                    conversion = self.message(shape, content, levels)?;
                }
            }
        }
        (self.peak() <= self.most).then_some(conversion)
    }

    /// Pushes the number `item` of a vector, whose items have these `bytes`.
    fn push(&mut self, item: u64, bytes: u64) {
        let full = item - 1;
        if full == 0 {
            self.add(FIRST_SLOTS * bytes);
        } else if full >= FIRST_SLOTS && full.is_power_of_two() {
            self.add(full * bytes);
            self.largest_copy = self.largest_copy.max(full * bytes);
        }
    }

    fn peak(&self) -> u64 {
        self.weight.saturating_add(self.largest_copy)
    }

    fn add(&mut self, bytes: u64) {
        self.weight = self.weight.saturating_add(bytes);
    }
}

/// Returns the bytes of a tree of JSON values, or of the map that it is converted to if
/// that is larger.
fn tree(items: u64, bytes: u64) -> u64 {
    let slots = match items {
        0 => 0,
        1..=LEAF_SLOTS => LEAF_SLOTS,
        _ => LEAF_SLOTS + BRANCH_SLOTS + ENTRY_SLOTS * (items - LEAF_SLOTS - 1),
    };
    (slots * bytes).max(CONVERTED_ENTRY * items)
}

fn take<'a>(frame: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(decode_varint(frame).ok()?).ok()?;
    skip(frame, length)
}

fn skip<'a>(frame: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let content = frame.get(..bytes)?;
    frame.advance(bytes);
    Some(content)
}

fn collect<'a>(
    around: &str,
    message: &'a DescriptorProto,
    messages: &mut Vec<(String, &'a DescriptorProto)>,
) {
    let name = format!("{around}.{}", message.name());
    for nested in &message.nested_type {
        collect(&name, nested, messages);
    }
    messages.push((name, message));
}

fn fields(
    message: &DescriptorProto,
    kind: impl Fn(&FieldDescriptorProto) -> FieldLayout,
) -> Vec<Option<FieldLayout>> {
    let mut fields = Vec::new();
    for field in &message.field {
        let number = field.number() as usize;
        fields.resize(fields.len().max(number + 1), None);
        fields[number] = Some(kind(field));
    }
    fields
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry)
}

fn kind(
    field: &FieldDescriptorProto,
    messages: &[(String, &DescriptorProto)],
    by_name: &HashMap<String, usize>,
) -> FieldLayout {
    let repeated = field.label() == Label::Repeated;
    match field.r#type() {
        Type::String | Type::Bytes => FieldLayout::Text { repeated },
        Type::Message => match by_name.get(field.type_name()) {
            Some(&shape) => {
                let holds = match (repeated, is_map_entry(messages[shape].1)) {
                    (false, _) => Holds::One,
                    (true, false) => Holds::List,
                    (true, true) if field.type_name().starts_with(WELL_KNOWN) => Holds::Tree,
                    (true, true) => Holds::Table,
                };
                FieldLayout::Message { shape, holds }
            }
            None => FieldLayout::Inline,
        },
        _ if repeated => FieldLayout::Numbers,
        _ => FieldLayout::Inline,
    }
}

/// Returns the size of a message's struct: its fields, and the largest of each
/// oneof. A message within itself is boxed.
fn size(
    index: usize,
    messages: &[(String, &DescriptorProto)],
    by_name: &HashMap<String, usize>,
    sizes: &mut [Option<u64>],
) -> u64 {
    const BOXED: u64 = 8;
    if let Some(known) = sizes[index] {
        return known;
    }
    sizes[index] = Some(BOXED);
    let mut bytes = 0;
    let mut oneofs: HashMap<i32, u64> = HashMap::new();
    for field in &messages[index].1.field {
        let own = match kind(field, messages, by_name) {
            FieldLayout::Inline => 8,
            FieldLayout::Text { .. }
            | FieldLayout::Numbers
            | FieldLayout::Message { holds: Holds::List | Holds::Tree, .. } => HANDLE,
            FieldLayout::Message { holds: Holds::Table, .. } => MAP_HANDLE,
            FieldLayout::Message { shape, holds: Holds::One } => {
                // Its absence takes a word, unless a oneof says so for all.
                let absent = if field.oneof_index.is_some() { 0 } else { 8 };
                size(shape, messages, by_name, sizes) + absent
            }
        };
        match field.oneof_index {
            Some(oneof) => {
                let largest = oneofs.entry(oneof).or_default();
                *largest = own.max(*largest);
            }
            None => bytes += own,
        }
    }
    let bytes = bytes + oneofs.values().map(|largest| largest + 8).sum::<u64>();
    sizes[index] = Some(bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use prost_types::{ListValue, Struct, Value, value::Kind};

    use super::*;
    use crate::proto::{Chat, ChatMessage, ExecuteNodeRequest, execute_node_request::Input};

    const EXECUTE: &str = "sparkler.worker.v1.ExecuteNodeRequest";

    fn checked(request: &ExecuteNodeRequest) -> Result<(), TooMuch> {
        check(EXECUTE, &request.encode_to_vec())
    }

    fn with_config(key: &str, kind: Kind) -> ExecuteNodeRequest {
        let fields = [(key.to_owned(), Value { kind: Some(kind) })].into();
        ExecuteNodeRequest { config: Some(Struct { fields }), ..ExecuteNodeRequest::default() }
    }

    #[test]
    fn what_grows_in_memory_is_refused_before_it_is_built() {
        let empty = vec![Value { kind: None }; 100_000];
        checked(&with_config("tools", Kind::ListValue(ListValue { values: empty })))
            .expect_err("empty items");
        let fields = (0..100_000).map(|key| (format!("{key:x}"), Value::default())).collect();
        checked(&with_config("tools", Kind::StructValue(Struct { fields })))
            .expect_err("short entries");
        let messages = vec![ChatMessage::default(); 100_000];
        let input = Some(Input::Chat(Chat { messages }));
        checked(&ExecuteNodeRequest { input, ..ExecuteNodeRequest::default() })
            .expect_err("empty messages");
    }

    #[test]
    fn an_object_of_many_empty_lists_is_refused() {
        let list = || Value { kind: Some(Kind::ListValue(ListValue::default())) };
        let fields = (0..8200).map(|key| (key.to_string(), list())).collect();
        checked(&with_config("tools", Kind::StructValue(Struct { fields })))
            .expect_err("twenty times its bytes");
    }

    #[test]
    fn many_objects_of_few_entries_are_refused() {
        for (entries, objects) in [(8, 8192), (16, 1024)] {
            let fields = (0..entries).map(|key| (format!("{key:05}"), Value::default())).collect();
            let object = Value { kind: Some(Kind::StructValue(Struct { fields })) };
            let values = vec![object; objects];
            checked(&with_config("tools", Kind::ListValue(ListValue { values })))
                .expect_err("over eight times its bytes");
        }
    }

    #[test]
    fn many_labels_are_refused() {
        let labels = (0..32_000).map(|key| (format!("{key:010}"), String::new())).collect();
        let context = Some(crate::proto::ExecutionContext { labels, ..Default::default() });
        checked(&ExecuteNodeRequest { context, ..ExecuteNodeRequest::default() })
            .expect_err("eleven times their bytes");
    }

    #[test]
    fn what_people_send_passes() {
        checked(&ExecuteNodeRequest::default()).expect("nothing");
        let prompt = Some(Input::Prompt("x".repeat(1 << 20)));
        checked(&ExecuteNodeRequest { input: prompt, ..ExecuteNodeRequest::default() })
            .expect("a long prompt");
        let message = ChatMessage {
            role: "user".into(),
            content: "What is the weather like in Busan today?".into(),
            ..ChatMessage::default()
        };
        for messages in [2000, 10_000, 100_000] {
            let input = Some(Input::Chat(Chat { messages: vec![message.clone(); messages] }));
            checked(&ExecuteNodeRequest { input, ..ExecuteNodeRequest::default() })
                .expect("a long conversation");
        }
    }

    #[test]
    fn a_dense_tool_schema_passes() {
        let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
        let object = |fields: Vec<(String, Value)>| Value {
            kind: Some(Kind::StructValue(Struct { fields: fields.into_iter().collect() })),
        };
        let property = |number: usize| {
            let description = "Name of the city whose weather is wanted, without its country";
            let fields = [("type", "string"), ("description", description)];
            let fields = fields.map(|(key, value)| (key.to_owned(), text(value)));
            (format!("property_{number}"), object(fields.into()))
        };
        let properties = object((0..4000).map(property).collect());
        let schema = object(vec![("properties".to_owned(), properties)]);
        checked(&with_config("tools", Kind::ListValue(ListValue { values: vec![schema] })))
            .expect("a dense schema");
    }

    #[test]
    fn a_frame_that_is_none_is_left_to_the_decoder() {
        for frame in [&[0xff; 20][..], &[0x12, 0xff], &[0x0b, 0x0c], b"GET / HTTP/1.1"] {
            check(EXECUTE, frame).expect("light");
        }
        assert_eq!(OWN.weigh("no.such.Message", &[], 0), None);
    }
}
