//! A schema as a graph: for each subschema, the checks it adds at the same
//! place of the answer and below it.
//!
//! The validator follows references wherever they lead and cannot be stopped.
//! So its work is counted beforehand, here for one place of an answer, in
//! [`steps`](super::steps) for a whole one. Both overestimate: every branch is
//! assumed to be followed.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
};

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::pattern;

/// Maximum branches of a schema for one place of the answer.
const MOST_BRANCHES: u64 = 4096;
/// Maximum depth of references and combinators at one place of the answer: the
/// validator's stack grows as deep.
const DEEPEST: usize = 64;
/// Maximum branches that `unevaluated…` may make the validator write out.
const MOST_WRITTEN_OUT: u64 = 16_384;
/// Maximum resources within the schema: the validator compiles their targets
/// once for every path to them.
const MOST_RESOURCES: usize = 4;
/// Steps of the `regex` format, which compiles the model's text as a regular
/// expression.
const REGEX_FORMAT_STEPS: u64 = 100_000;

/// A schema, reduced to its cost.
#[derive(Debug)]
pub(super) struct Graph {
    /// The subschemas; the schema itself comes first.
    pub(super) nodes: Vec<SchemaNode>,
    /// The number of patterns.
    pub(super) patterns: usize,
    /// The states of all its patterns; the same one is compiled once.
    pub(super) pattern_states: u64,
}

/// A subschema.
#[derive(Debug, Default)]
pub(super) struct SchemaNode {
    /// Steps of its own keywords.
    pub(super) own: u64,
    /// The states of its patterns; each costs a step per few bytes of text.
    pub(super) states: u64,
    pub(super) unique: bool,
    /// Maximum times the validator checks the same place: once more for each
    /// level at which it has to find out what was evaluated.
    pub(super) times: u64,
    /// Subschemas for the same place.
    pub(super) here: Vec<usize>,
    pub(super) properties: HashMap<String, usize>,
    /// For members whose names match; with the states of each pattern.
    pub(super) by_pattern: Vec<(u64, usize)>,
    /// For members that are not among the properties.
    pub(super) additional: Option<usize>,
    /// For any member.
    pub(super) members: Vec<usize>,
    pub(super) names: Option<usize>,
    pub(super) prefix: Vec<usize>,
    /// For any item.
    pub(super) items: Vec<usize>,
}

impl Graph {
    /// Reads a schema, or returns the reason it is refused, as a sentence
    /// without its subject.
    pub(super) fn read(schema: &Value) -> Result<Graph, String> {
        let mut reader = Reader::new(schema);
        let is_draft_4 = schema["$schema"].as_str().is_some_and(|name| name.contains("draft-04"));
        reader.collect(schema, is_draft_4);
        if reader.resources.len() > MOST_RESOURCES {
            let count = reader.resources.len();
            return Err(format!("has {count} subschemas with an $id; at most {MOST_RESOURCES}"));
        }
        reader.node(schema, None);
        while let Some((index, schema)) = reader.waiting.pop_front() {
            reader.read(index, schema)?;
        }
        reader.bound()?;
        let Reader { nodes, patterns, pattern_states, .. } = reader;
        Ok(Graph { nodes, patterns, pattern_states })
    }
}

/// The position of a subschema: its parent and its key.
type SchemaPosition<'a> = Option<(usize, Cow<'a, str>)>;

struct Reader<'a> {
    root: &'a Value,
    nodes: Vec<SchemaNode>,
    places: Vec<SchemaPosition<'a>>,
    /// Nodes by the address of their schema.
    known: HashMap<usize, usize>,
    waiting: VecDeque<(usize, &'a Value)>,
    /// Subschemas named by an `$id`, the root included.
    resources: Vec<(&'a str, &'a Value)>,
    anchors: Vec<(&'a str, &'a Value)>,
    recursive_anchors: Vec<&'a Value>,
    patterns: usize,
    distinct_patterns: HashSet<&'a str>,
    pattern_states: u64,
}

impl<'a> Reader<'a> {
    fn new(root: &'a Value) -> Reader<'a> {
        Reader {
            root,
            nodes: Vec::new(),
            places: Vec::new(),
            known: HashMap::new(),
            waiting: VecDeque::new(),
            resources: Vec::new(),
            anchors: Vec::new(),
            recursive_anchors: Vec::new(),
            patterns: 0,
            distinct_patterns: HashSet::new(),
            pattern_states: 0,
        }
    }

    /// Collects the possible targets of references.
    fn collect(&mut self, value: &'a Value, is_draft_4: bool) {
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    match (key.as_str(), member) {
                        ("$id", Value::String(id)) => self.name(id, value),
                        ("id", Value::String(id)) if is_draft_4 => self.name(id, value),
                        ("$anchor" | "$dynamicAnchor", Value::String(name)) => {
                            self.anchors.push((name, value));
                        }
                        ("$recursiveAnchor", Value::Bool(true)) => {
                            self.recursive_anchors.push(value);
                        }
                        _ => self.collect(member, is_draft_4),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(item, is_draft_4)),
            _ => {}
        }
    }

    fn name(&mut self, id: &'a str, schema: &'a Value) {
        match id.strip_prefix('#') {
            Some(anchor) => self.anchors.push((anchor, schema)),
            None => self.resources.push((id, schema)),
        }
    }

    fn node(&mut self, schema: &'a Value, place: SchemaPosition<'a>) -> usize {
        let next = self.nodes.len();
        let index = *self.known.entry(std::ptr::from_ref(schema).addr()).or_insert(next);
        if index == next {
            self.nodes.push(SchemaNode { own: 1, times: 1, ..SchemaNode::default() });
            self.places.push(place);
            self.waiting.push_back((index, schema));
        }
        index
    }

    fn read(&mut self, index: usize, schema: &'a Value) -> Result<(), String> {
        let Value::Object(keywords) = schema else { return Ok(()) };
        for (keyword, value) in keywords {
            self.keyword(index, keyword, value)?;
        }
        Ok(())
    }

    fn keyword(&mut self, at: usize, keyword: &'a str, value: &'a Value) -> Result<(), String> {
        match (keyword, value) {
            ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(reference)) => {
                self.reference(at, keyword, reference)?;
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(branches)) => {
                let branches = self.list(at, keyword, branches);
                self.nodes[at].here.extend(branches);
            }
            ("dependentSchemas" | "dependencies", Value::Object(schemas)) => {
                for (key, schema) in schemas {
                    let dependent = self.below(at, keyword, schema, key);
                    self.nodes[at].here.push(dependent);
                }
                self.nodes[at].own += count(value);
            }
            ("properties", Value::Object(schemas)) => {
                for (key, schema) in schemas {
                    let property = self.below(at, keyword, schema, key);
                    self.nodes[at].properties.insert(key.clone(), property);
                }
                self.nodes[at].own += schemas.len() as u64;
            }
            ("patternProperties", Value::Object(schemas)) => {
                for (text, schema) in schemas {
                    let states = self.pattern(at, keyword, text)?;
                    let members = self.below(at, keyword, schema, text);
                    self.nodes[at].by_pattern.push((states, members));
                }
            }
            ("pattern", Value::String(text)) => {
                self.nodes[at].states += self.pattern(at, keyword, text)?;
            }
            ("items", Value::Array(schemas)) | ("prefixItems", Value::Array(schemas)) => {
                self.nodes[at].prefix = self.list(at, keyword, schemas);
            }
            ("format", Value::String(format)) => {
                self.nodes[at].states += 1;
                self.nodes[at].own += if format == "regex" { REGEX_FORMAT_STEPS } else { 1 };
            }
            ("uniqueItems", Value::Bool(unique)) => self.nodes[at].unique = *unique,
            ("enum" | "const" | "required" | "dependentRequired" | "type", _) => {
                self.nodes[at].own += count(value);
            }
            (_, Value::Object(_) | Value::Bool(_)) => self.single(at, keyword, value),
            _ => {}
        }
        Ok(())
    }

    /// Reads a keyword that holds a single schema; others are ignored.
    fn single(&mut self, at: usize, keyword: &'a str, schema: &'a Value) {
        let kind: fn(&mut SchemaNode, usize) = match keyword {
            "not" | "if" | "then" | "else" => |node, child| node.here.push(child),
            "additionalProperties" => |node, child| node.additional = Some(child),
            "unevaluatedProperties" => |node, child| {
                node.members.push(child);
                node.times = 2;
            },
            "propertyNames" => |node, child| node.names = Some(child),
            "items" | "additionalItems" | "contains" => |node, child| node.items.push(child),
            "unevaluatedItems" => |node, child| {
                node.items.push(child);
                node.times = 2;
            },
            _ => return,
        };
        let child = self.node(schema, Some((at, Cow::Borrowed(keyword))));
        kind(&mut self.nodes[at], child);
    }

    fn list(&mut self, at: usize, keyword: &str, schemas: &'a [Value]) -> Vec<usize> {
        let place = |index| Some((at, Cow::Owned(format!("{keyword}/{index}"))));
        schemas.iter().enumerate().map(|(index, schema)| self.node(schema, place(index))).collect()
    }

    fn below(&mut self, at: usize, keyword: &str, schema: &'a Value, key: &str) -> usize {
        let key = crate::error::shorten(key, 64);
        self.node(schema, Some((at, Cow::Owned(format!("{keyword}/{key}")))))
    }

    fn pattern(&mut self, at: usize, keyword: &str, text: &'a str) -> Result<u64, String> {
        self.patterns += 1;
        let states = pattern::states(text)
            .map_err(|problem| format!("at {}/{keyword}: {problem}", self.location(at)))?;
        if self.distinct_patterns.insert(text) {
            self.pattern_states = self.pattern_states.saturating_add(states);
        }
        Ok(states)
    }

    fn reference(&mut self, at: usize, keyword: &str, reference: &str) -> Result<(), String> {
        let mut targets = self.targets(reference);
        if keyword == "$recursiveRef" {
            targets.extend(&self.recursive_anchors);
        }
        if targets.is_empty() {
            let reference = crate::error::shorten(reference, 128).into_owned();
            let place = self.location(at);
            return Err(format!("at {place}: {keyword} {reference:?} leads to nothing in it"));
        }
        for target in targets {
            let child = self.node(target, Some((at, Cow::Owned(keyword.to_owned()))));
            self.nodes[at].here.push(child);
        }
        Ok(())
    }

    /// Returns every possible target of a reference, for any base.
    fn targets(&self, reference: &str) -> Vec<&'a Value> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let fragment = percent_decode_str(fragment).decode_utf8_lossy();
        let resources = self.resources.iter();
        let mut bases: Vec<&'a Value> = resources
            .filter(|(id, _)| uri.is_empty() || last_segment(id) == last_segment(uri))
            .map(|(_, schema)| *schema)
            .collect();
        if uri.is_empty() {
            bases.push(self.root);
        }
        if fragment.is_empty() || fragment.starts_with('/') {
            return bases.into_iter().filter_map(|base| base.pointer(&fragment)).collect();
        }
        let named = self.anchors.iter().filter(|(name, _)| *name == fragment);
        named.map(|(_, schema)| *schema).collect()
    }

    /// Refuses a schema that branches too much, naming the branch.
    fn bound(&mut self) -> Result<(), String> {
        let mut spans = vec![StepSpan::Unknown; self.nodes.len()];
        let mut written_out = 0_u64;
        for index in 0..self.nodes.len() {
            let (branches, _) = self.span(index, DEEPEST, &mut spans)?;
            if self.nodes[index].times > 1 {
                written_out = written_out.saturating_add(branches);
            }
            if written_out > MOST_WRITTEN_OUT {
                return Err(self.too_many(index, branches));
            }
        }
        Ok(())
    }

    /// Returns the number of branches for one place of the answer, and their depth.
    fn span(
        &mut self,
        index: usize,
        levels: usize,
        spans: &mut [StepSpan],
    ) -> Result<(u64, usize), String> {
        match spans[index] {
            StepSpan::Known(branches, depth) if depth <= levels => return Ok((branches, depth)),
            StepSpan::Open => {
                let place = self.location(index);
                return Err(format!("refers to itself without going into the answer, at {place}"));
            }
            StepSpan::Unknown if levels > 0 => {}
            _ => {
                let place = self.location(index);
                return Err(format!(
                    "branches too much: more than {DEEPEST} references and combinators lie \
                     within each other at {place}"
                ));
            }
        }
        spans[index] = StepSpan::Open;
        let (mut branches, mut deepest) = (0_u64, 0);
        for child in self.nodes[index].here.clone() {
            let (more, depth) = self.span(child, levels - 1, spans)?;
            branches = branches.saturating_add(more);
            deepest = deepest.max(depth);
        }
        let node = &mut self.nodes[index];
        if node.times > 1 {
            node.times += deepest as u64;
        }
        let branches = branches.saturating_mul(node.times).saturating_add(1);
        if branches > MOST_BRANCHES {
            return Err(self.too_many(index, branches));
        }
        spans[index] = StepSpan::Known(branches, deepest + 1);
        Ok((branches, deepest + 1))
    }

    fn too_many(&self, index: usize, branches: u64) -> String {
        format!(
            "branches too much: what is at {} has {branches} branches for one place of the \
             answer, of at most {MOST_BRANCHES} there and {MOST_WRITTEN_OUT} in all with \
             unevaluated…; repeat fewer $ref, anyOf, oneOf and allOf within each other",
            self.location(index)
        )
    }

    /// Returns the location of a subschema as a JSON pointer.
    fn location(&self, mut index: usize) -> String {
        let mut keys = Vec::new();
        while let Some((parent, key)) = &self.places[index] {
            keys.push(key.as_ref());
            index = *parent;
        }
        keys.push("#");
        keys.reverse();
        let location = keys.join("/");
        crate::error::shorten(&location, 200).into_owned()
    }
}

#[derive(Debug, Clone, Copy)]
enum StepSpan {
    Unknown,
    /// Under way: meeting it again means a cycle.
    Open,
    Known(u64, usize),
}

fn last_segment(uri: &str) -> &str {
    uri.trim_end_matches('#').rsplit('/').next().unwrap_or(uri)
}

/// Counts the values within a value, itself included.
fn count(value: &Value) -> u64 {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}
