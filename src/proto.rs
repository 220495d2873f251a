//! The wire: code generated from `proto/`, and its conversions.
#![allow(missing_docs, unreachable_pub, missing_debug_implementations)]
tonic::include_proto!("sparkler.worker.v1");
/// The compiled schema, for reflection and for proto JSON.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/worker.binpb"));
