//! Packs content: plain, or compressed if that makes it smaller.

use std::borrow::Cow;

use super::Unreadable;

/// Smaller content is not compressed.
const MIN_BYTES: usize = 512;
/// A fast level: appends and completions wait for it.
const LEVEL: i32 = 1;
/// Limits the memory that a few bytes can claim when unpacked, from any writer.
const MAX_RATIO: usize = 64;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

pub(super) fn pack(content: &[u8], bytes: &mut Vec<u8>) {
    let compressed = compress(content);
    match compressed {
        Some(compressed) => {
            bytes.push(ZSTD);
            bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&compressed);
        }
        None => {
            bytes.push(PLAIN);
            bytes.extend_from_slice(content);
        }
    }
}

pub(super) fn unpack(packed: &[u8]) -> Result<Cow<'_, [u8]>, Unreadable> {
    match packed {
        [PLAIN, content @ ..] => Ok(Cow::Borrowed(content)),
        [ZSTD, rest @ ..] => decompress(rest).map(Cow::Owned).ok_or(Unreadable::Content),
        [] => Err(Unreadable::Content),
        _ => Err(Unreadable::Version),
    }
}

fn compress(content: &[u8]) -> Option<Vec<u8>> {
    if content.len() < MIN_BYTES || u32::try_from(content.len()).is_err() {
        return None;
    }
    let compressed = zstd::bulk::compress(content, LEVEL).ok()?;
    let worth_while = compressed.len() < content.len();
    (worth_while && content.len() <= compressed.len() * MAX_RATIO).then_some(compressed)
}

fn decompress(rest: &[u8]) -> Option<Vec<u8>> {
    let (length, compressed) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > compressed.len() * MAX_RATIO {
        return None;
    }
    let content = zstd::bulk::decompress(compressed, length).ok()?;
    (content.len() == length).then_some(content)
}
