//! The protobuf codec, with refusals that say what is wrong.
//!
//! tonic's own codec answers a malformed message with INTERNAL, as if the worker
//! had failed; the fault is the caller's.

use std::marker::PhantomData;

use bytes::Buf;
use prost::{Message, Name};
use tonic::{
    Status,
    codec::{BufferSettings, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::{
    expansion::{self, TooMuch},
    status::status,
};
use crate::error::{Error, Violation};

/// Encodes and decodes messages of the API.
#[derive(Debug)]
pub(crate) struct Codec<E, D>(PhantomData<(E, D)>);

impl<E, D> Default for Codec<E, D> {
    fn default() -> Codec<E, D> {
        Codec(PhantomData)
    }
}

impl<E, D> tonic::codec::Codec for Codec<E, D>
where
    E: Message + Send + 'static,
    D: Message + Name + Default + Send + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = ProtobufEncoder<E>;
    type Decoder = ProtobufDecoder<D>;

    fn encoder(&mut self) -> ProtobufEncoder<E> {
        ProtobufEncoder(PhantomData)
    }

    fn decoder(&mut self) -> ProtobufDecoder<D> {
        ProtobufDecoder(PhantomData)
    }
}

/// Encodes a message.
#[derive(Debug)]
pub(crate) struct ProtobufEncoder<E>(PhantomData<E>);

impl<E: Message> Encoder for ProtobufEncoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|_| Status::internal("a message could not be encoded"))
    }

    /// Returns settings for small buffers: most messages hold a few tokens, and each stream keeps its
    /// buffer for its lifetime.
    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(1024, 32 * 1024)
    }
}

/// Decodes a message.
#[derive(Debug)]
pub(crate) struct ProtobufDecoder<D>(PhantomData<D>);

impl<D: Message + Name + Default> Decoder for ProtobufDecoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        // The buffer holds the whole frame in one piece.
        if is_request::<D>()
            && let Err(TooMuch { most }) = expansion::check(&D::full_name(), buffer.chunk())
        {
            return Err(refuse(format!(
                "would take more than {most} bytes of memory: it has too many small or empty \
                 items; leave out what is empty, or send fewer"
            )));
        }
        D::decode(buffer).map(Some).map_err(|problem| {
            // prost's message names the field and the problem, never a value.
            refuse(format!("is not a message of this API: {problem}"))
        })
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(1024, 32 * 1024)
    }
}

/// Returns true for requests, which come from untrusted peers; responses come from a
/// worker.
fn is_request<D: Name>() -> bool {
    D::NAME.ends_with("Request")
}

fn refuse(description: String) -> Status {
    status(&Error::InvalidNodeConfig(vec![Violation::new("request", description)]))
}
