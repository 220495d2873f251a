//! The wire: code generated from `proto/`, and its conversions. Protobuf and
//! `Status` stop here; everything behind the door is plain values.

#[allow(missing_docs, missing_debug_implementations, clippy::all, reason = "generated code")]
mod generated {
    tonic::include_proto!("sparkler.worker.v1");
}

pub use self::generated::*;

/// The compiled schema, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/worker.binpb"));
