//! Counts the steps that checking an answer takes, before it is checked.
//!
//! A dry run of the validator that follows every branch and compares nothing:
//! its result is an upper bound of the check, and it has a limit of its own.

use serde_json::Value;

use super::graph::{Graph, SchemaNode};

/// Maximum steps of a check; well under a second.
pub(super) const MOST: u64 = 4_000_000;
/// Maximum depth: the validator's stack grows with each level of schema and answer.
const DEEPEST: usize = 512;
/// Per byte of text, a state of a pattern costs less than a step; the text
/// itself even less.
const STATE_BYTES_PER_STEP: u64 = 16;
const BYTES_PER_STEP: u64 = 64;

/// Returns an upper bound of the steps that checking the answer takes; `None`
/// if it exceeds [`MOST`].
pub(super) fn count(graph: &Graph, answer: &Value) -> Option<u64> {
    let mut run = DryRun { nodes: &graph.nodes, left: MOST };
    run.value(0, answer, DEEPEST).filter(|steps| *steps <= MOST)
}

struct DryRun<'a> {
    nodes: &'a [SchemaNode],
    /// Remaining steps of the dry run itself.
    left: u64,
}

impl DryRun<'_> {
    fn value(&mut self, node: usize, value: &Value, levels: usize) -> Option<u64> {
        let levels = levels.checked_sub(1)?;
        self.left = self.left.checked_sub(1)?;
        let nodes = self.nodes;
        let node = &nodes[node];
        let mut here = 0_u64;
        for branch in &node.here {
            here = here.saturating_add(self.value(*branch, value, levels)?);
        }
        let below = match value {
            Value::Array(items) => self.items(node, items, levels)?,
            Value::Object(members) => {
                let mut steps = 0_u64;
                for (key, member) in members {
                    steps = steps.saturating_add(self.member(node, key, member, levels)?);
                }
                steps
            }
            Value::String(text) => text_steps(text, node.states),
            _ => 0,
        };
        Some(here.saturating_mul(node.times).saturating_add(below).saturating_add(node.own))
    }

    fn items(&mut self, node: &SchemaNode, items: &[Value], levels: usize) -> Option<u64> {
        let mut steps = 0_u64;
        for (index, item) in items.iter().enumerate() {
            for schema in node.prefix.get(index).into_iter().chain(&node.items) {
                steps = steps.saturating_add(self.value(*schema, item, levels)?);
            }
        }
        if node.unique {
            let comparisons = u64::from(items.len().checked_ilog2().unwrap_or(0)) + 1;
            let weight = items.iter().try_fold(0, |sum, item| Some(sum + self.weight(item)?))?;
            steps = steps.saturating_add(weight.saturating_mul(comparisons.max(16)));
        }
        Some(steps)
    }

    fn member(
        &mut self,
        node: &SchemaNode,
        key: &str,
        member: &Value,
        levels: usize,
    ) -> Option<u64> {
        let mut steps = text_steps(key, 0);
        let property = node.properties.get(key);
        let additional = if property.is_none() { node.additional.as_ref() } else { None };
        for schema in property.into_iter().chain(additional).chain(&node.members) {
            steps = steps.saturating_add(self.value(*schema, member, levels)?);
        }
        for (states, schema) in &node.by_pattern {
            steps = steps.saturating_add(text_steps(key, *states));
            steps = steps.saturating_add(self.value(*schema, member, levels)?);
        }
        if let Some(names) = node.names {
            steps = steps.saturating_add(self.name(names, key, levels)?);
        }
        Some(steps)
    }

    /// Counts the check of a member's name against the schema of names.
    fn name(&mut self, node: usize, key: &str, levels: usize) -> Option<u64> {
        let levels = levels.checked_sub(1)?;
        self.left = self.left.checked_sub(1)?;
        let nodes = self.nodes;
        let node = &nodes[node];
        let mut steps = node.own.saturating_add(text_steps(key, node.states));
        for branch in &node.here {
            steps = steps.saturating_add(self.name(*branch, key, levels)?);
        }
        Some(steps)
    }

    /// Returns the cost of comparing a value.
    fn weight(&mut self, value: &Value) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        let mut weight = 1;
        match value {
            Value::Array(items) => {
                for item in items {
                    weight += self.weight(item)?;
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    weight += text_steps(key, 0) + self.weight(member)?;
                }
            }
            Value::String(text) => weight += text_steps(text, 0),
            _ => {}
        }
        Some(weight)
    }
}

fn text_steps(text: &str, states: u64) -> u64 {
    let bytes = text.len() as u64;
    1 + bytes / BYTES_PER_STEP + bytes.saturating_mul(states) / STATE_BYTES_PER_STEP
}
