//! What a process had allocated when it ended, as DHAT reports it.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;
use serde_json::Value;

/// Bytes by stack, the innermost function first.
#[derive(Debug, Default)]
pub(crate) struct Profile(BTreeMap<Vec<String>, i64>);

impl Profile {
    /// Reads DHAT's file.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Profile> {
        let report: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
        let frames = report["ftbl"].as_array().context("no frames")?;
        let mut profile = Profile::default();
        for place in report["pps"].as_array().context("no program points")? {
            let bytes = place["eb"].as_i64().context("no bytes at the end")?;
            let stack = place["fs"].as_array().context("no stack")?;
            let name = |index: &Value| Some(function(frames[index.as_u64()? as usize].as_str()?));
            *profile.0.entry(stack.iter().filter_map(name).collect()).or_default() += bytes;
        }
        Ok(profile)
    }

    /// Returns the bytes of one stream, where `many` has so many more than `few`.
    pub(crate) fn difference(few: &Profile, many: &Profile, streams: usize) -> Profile {
        let streams = i64::try_from(streams).unwrap_or(i64::MAX);
        let mut difference = BTreeMap::new();
        for (stack, bytes) in &many.0 {
            let before = few.0.get(stack).copied().unwrap_or_default();
            difference.insert(stack.clone(), (bytes - before) / streams);
        }
        Profile(difference)
    }

    /// Returns the stacks with their bytes.
    pub(crate) fn stacks(&self) -> impl Iterator<Item = (&[String], i64)> {
        self.0.iter().map(|(stack, bytes)| (stack.as_slice(), *bytes))
    }

    /// Prints the largest places.
    pub(crate) fn print_sites(&self) {
        let mut sites: Vec<_> = self.stacks().filter(|(_, bytes)| *bytes >= 16).collect();
        sites.sort_by_key(|(_, bytes)| -bytes);
        for (stack, bytes) in sites {
            println!("{bytes} bytes");
            for function in stack.iter().take(16) {
                println!("    {function}");
            }
        }
    }
}

/// Returns the function of a frame such as `0x10A3: path::function (file.rs:1)`.
fn function(frame: &str) -> String {
    let named = frame.split_once(": ").map_or(frame, |(_, named)| named);
    named.rsplit_once(" (").map_or(named, |(name, _)| name).to_owned()
}
