//! The worst requests that a caller could think of: deep, wide, empty many times
//! over, of long keys and numbers that are none, with schemas and contexts to match.

use std::fmt;

use proptest::{prelude::*, sample::select};

/// The size of the largest requests, in bytes.
pub(crate) const LARGEST: usize = 1 << 20;

/// A call as it goes over the wire.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) path: &'static str,
    pub(crate) message: Vec<u8>,
}

/// Its beginning: what is worst is the same over and over.
impl fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beginning = &self.message[..self.message.len().min(400)];
        write!(formatter, "{} {}", self.path, beginning.escape_ascii())
    }
}

/// A field with a length: text, bytes or a message.
pub(crate) fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 8);
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// A field so many times, and not beyond so many bytes.
fn repeated(number: u32, times: usize, budget: usize, item: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in 0..times {
        let item = field(number, &item(index));
        if bytes.len() + item.len() > budget {
            break;
        }
        bytes.extend(item);
    }
    bytes
}

/// One level of a `google.protobuf.Value`, from the outside in.
#[derive(Debug, Clone, Copy)]
enum Level {
    /// A list of so many.
    List(usize),
    /// A struct of so many members, with keys of so many bytes or more.
    Struct(usize, usize),
    /// So many lists of one in each other.
    Nested(usize),
}

fn value(levels: &[Level], leaf: &[u8], budget: usize) -> Vec<u8> {
    let Some((level, within)) = levels.split_first() else {
        return leaf.to_vec();
    };
    let list = |content: &[u8]| field(6, content);
    match *level {
        Level::List(times) => {
            let item = value(within, leaf, budget / times);
            list(&repeated(1, times, budget, |_| item.clone()))
        }
        Level::Struct(..) => field(5, &members(levels, leaf, budget)),
        Level::Nested(levels) => {
            (0..levels).fold(value(within, leaf, budget / 2), |inner, _| list(&field(1, &inner)))
        }
    }
}

/// A `google.protobuf.Struct`, by its outermost level.
fn members(levels: &[Level], leaf: &[u8], budget: usize) -> Vec<u8> {
    let (times, key_bytes, within) = match levels.split_first() {
        Some((Level::Struct(times, key_bytes), within)) => (*times, *key_bytes, within),
        _ => (1, 5, levels),
    };
    let member = value(within, leaf, budget / times);
    let entry = |index: usize| {
        let key = format!("{index:0key_bytes$x}");
        [field(1, key.as_bytes()), field(2, &member)].concat()
    };
    repeated(1, times, budget, entry)
}

fn level() -> impl Strategy<Value = Level> {
    let times = || (0_u32..18).prop_map(|power| 1_usize << power);
    let key_bytes = prop_oneof![4 => 1_usize..8, 1 => 8_usize..400, 1 => Just(60_000_usize)];
    prop_oneof![
        times().prop_map(Level::List),
        (times(), key_bytes).prop_map(|(times, key_bytes)| Level::Struct(times, key_bytes)),
        (1_usize..60).prop_map(Level::Nested),
    ]
}

/// What is at the bottom: nothing at all, null, NaN, a number, a bool, texts,
/// and an empty list and struct.
fn leaf() -> impl Strategy<Value = Vec<u8>> {
    let number = |number: f64| [&[0x11][..], &number.to_le_bytes()].concat();
    prop_oneof![
        Just(Vec::new()),
        Just(vec![8, 0]),
        select(vec![f64::NAN, f64::INFINITY, -0.0, 1.5, 1e300]).prop_map(number),
        Just(vec![0x20, 1]),
        (0_usize..60).prop_map(|length| field(3, "\u{1}".repeat(length).as_bytes())),
        Just(field(6, &[])),
        Just(field(5, &[])),
    ]
}

fn config() -> impl Strategy<Value = Vec<u8>> {
    (proptest::collection::vec(level(), 0..5), leaf(), budget())
        .prop_map(|(levels, leaf, budget)| members(&levels, &leaf, budget))
}

fn tools() -> impl Strategy<Value = Vec<u8>> {
    let key = select(vec!["tools", "stop", "modelKwargs", "responseFormat", "logitBias"]);
    (key, proptest::collection::vec(level(), 0..5), leaf(), budget()).prop_map(
        |(key, levels, leaf, budget)| {
            let value = value(&levels, &leaf, budget);
            field(1, &[field(1, key.as_bytes()), field(2, &value)].concat())
        },
    )
}

/// Few bytes as often as many.
fn budget() -> impl Strategy<Value = usize> {
    (0_u32..=16).prop_map(|halvings| LARGEST >> halvings)
}

/// Conversations of messages that are all alike: empty, short, and with parts
/// and calls of their own.
fn chat() -> impl Strategy<Value = Vec<u8>> {
    let within = || (1_usize..2000, 0_usize..60, budget());
    let texts = |length: usize| [field(1, b"user"), field(2, &vec![b'x'; length])].concat();
    let message = prop_oneof![
        Just(Vec::new()),
        (0_usize..200).prop_map(texts),
        within().prop_map(|(times, length, budget)| {
            repeated(3, times, budget, |_| field(1, &vec![b'x'; length]))
        }),
        within().prop_map(|(times, _, budget)| repeated(3, times, budget, |_| Vec::new())),
        within().prop_map(|(times, _, budget)| repeated(4, times, budget, |_| Vec::new())),
        within().prop_map(|(times, length, budget)| {
            repeated(4, times, budget, |_| field(3, &vec![b'"'; length]))
        }),
    ];
    (message, budget())
        .prop_map(|(message, budget)| repeated(1, LARGEST, budget, |_| message.clone()))
}

/// A text that is escaped on its way to the provider, or is not.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let unit = select(vec!["x", "\u{1}", "\"", "\n", "é", "[", "{\"a\":", "[0,"]);
    (unit, budget()).prop_map(|(unit, budget)| unit.repeat(budget / unit.len()).into_bytes())
}

fn context() -> impl Strategy<Value = Vec<u8>> {
    let labels = (0_usize..40, budget()).prop_map(|(key_bytes, budget)| {
        repeated(7, LARGEST, budget, |index| field(1, format!("{index:0key_bytes$}").as_bytes()))
    });
    prop_oneof![labels, (1_u32..6, text()).prop_map(|(number, text)| field(number, &text))]
}

/// A request for JSON by a schema of many items.
fn schema_of((open, item, close): (&str, &str, &str), count: usize) -> Vec<u8> {
    let items: Vec<String> =
        (0..count).map(|index| item.replace('#', &index.to_string())).collect();
    let schema = format!("{open}{}{close}", items.join(","));
    [vec![8, 2], field(2, schema.as_bytes())].concat()
}

/// Schemas that are much for their bytes.
fn schema() -> impl Strategy<Value = Vec<u8>> {
    let kinds = select(vec![
        ("{\"enum\":[", "#", "]}"),
        ("{\"properties\":{", "\"#\":{}", "}}"),
        ("{\"properties\":{", "\"#\":{\"type\":\"string\"}", "}}"),
        ("{\"required\":[", "\"#\"", "]}"),
        ("{\"anyOf\":[", "{\"const\":[]}", "]}"),
        ("{\"$defs\":{", "\"#\":{\"items\":{}}", "}}"),
        ("{\"properties\":{", "\"#\":{\"format\":\"date-time\"}", "}}"),
        ("{\"x\":[", "{}", "]}"),
        ("{\"x\":{", "\"#\":0", "}}"),
    ]);
    let of_patterns = |(pattern, count): (&str, usize)| {
        let item = format!("\"#\":{{\"pattern\":\"#{pattern}\"}}");
        schema_of(("{\"properties\":{", &item, "}}"), count)
    };
    let patterns = select(vec![
        "(a{100}){40}",
        "(\\\\w{30}|x{30}){30}",
        "\\\\p{L}",
        "(?i)\\\\p{L}{200}",
        "[\\\\w.-]{1,255}(a|b){300}",
        "^[a-z]{1,64}$",
    ]);
    prop_oneof![
        3 => (kinds, 0_u32..14).prop_map(|(kind, power)| schema_of(kind, 1 << power)),
        2 => (patterns, 1_usize..200).prop_map(of_patterns),
        1 => text().prop_map(|text| [vec![8, 2], field(2, &text)].concat()),
    ]
}

/// Everything else that an execution needs to go as far as it can.
pub(crate) fn around(node_type: &str, credential: u32) -> Vec<u8> {
    [field(1, node_type.as_bytes()), field(credential, &field(1, b"fw_a_key"))].concat()
}

fn execution() -> impl Strategy<Value = Vec<u8>> {
    const MODEL: [&[u8]; 2] = [b"modelName", b"accounts/fireworks/models/glm-5p3"];
    let model = || field(1, &[field(1, MODEL[0]), field(2, &field(3, MODEL[1]))].concat());
    let with = move |more: Vec<u8>| {
        let once = field(9, &[40, 1]);
        [around("chatFireworks", 5), field(2, &model()), field(3, b"x"), once, more].concat()
    };
    prop_oneof![
        3 => prop_oneof![config(), tools()].prop_map(|config| field(2, &config)),
        2 => chat().prop_map(|chat| field(4, &chat)),
        1 => context().prop_map(|context| field(6, &context)),
        2 => schema().prop_map(|output| field(8, &output)),
        1 => (select(vec![1_u32, 3, 10, 15]), text()).prop_map(|(number, text)| field(number, &text)),
    ]
    .prop_map(with)
}

/// A call of any RPC at its worst.
pub(crate) fn frame() -> impl Strategy<Value = Frame> {
    let of = |path: &'static str| move |message| Frame { path, message };
    let attachment = prop_oneof![
        context().prop_map(|context| field(4, &context)),
        text().prop_map(|text| field(1, &text)),
    ];
    let check = prop_oneof![config(), tools()]
        .prop_map(|config| [around("chatFireworks", 3), field(2, &config)].concat());
    let unknown = (1_u32..30, text()).prop_map(|(number, text)| field(number, &text));
    let question = (3_u32..8, text()).prop_map(|(number, text)| field(number, &text));
    let service = || text().prop_map(|text| field(1, &text));
    prop_oneof![
        6 => execution().prop_map(of("sparkler.worker.v1.WorkerService/ExecuteNode")),
        1 => attachment.prop_map(of("sparkler.worker.v1.WorkerService/AttachExecution")),
        3 => check.prop_map(of("sparkler.worker.v1.WorkerService/CheckNode")),
        1 => unknown.prop_map(of("sparkler.worker.v1.WorkerService/ListNodeTypes")),
        1 => service().prop_map(of("grpc.health.v1.Health/Check")),
        1 => service().prop_map(of("grpc.health.v1.Health/Watch")),
        1 => question
            .prop_map(of("grpc.reflection.v1.ServerReflection/ServerReflectionInfo")),
    ]
}
