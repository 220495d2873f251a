//! The wire: code generated from `proto/`, and its conversions. Protobuf and
//! `Status` stop here; everything behind the door is plain values.

mod codec;
mod describe;
mod expansion;
mod refusal;
mod request;
mod response;
mod status;

#[allow(missing_docs, missing_debug_implementations, clippy::all, reason = "generated code")]
mod generated {
    tonic::include_proto!("sparkler.worker.v1");
}

pub use self::{
    codec::Codec,
    expansion::{Expansion, TooMuch, most},
    generated::*,
    refusal::name_refusal,
    request::{Arrival, Door},
    status::status,
};

/// The compiled schema, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/worker.binpb"));
