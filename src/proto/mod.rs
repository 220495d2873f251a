//! The wire format: code generated from `proto/`. Protobuf and `Status` stop at
//! `grpc`, which converts; everything behind it uses plain values.

#[allow(missing_docs, missing_debug_implementations, clippy::all, reason = "generated code")]
mod generated {
    tonic::include_proto!("sparkler.worker.v1");
}

pub use self::generated::*;

/// The encoded file descriptor set, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/worker.binpb"));
