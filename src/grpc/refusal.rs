//! Refusals by the gRPC stack itself, before the service has seen the request:
//! given the reason and the details that every failure has.

use http::{HeaderValue, Response};
use tonic::{Code, Status};

use crate::error::{Error, Violation};
use crate::grpc::status;

/// The header that lists accepted encodings; the stack sends it with a refusal of
/// compression.
const ACCEPTS: &str = "grpc-accept-encoding";

/// Gives a refusal by the stack its reason and details; leaves every other response
/// unchanged. Expects every response, before its body.
///
/// The stack reports OUT_OF_RANGE for a message that is too large and INTERNAL for
/// a malformed one. Both are the caller's fault, not the worker's.
pub(crate) fn name_refusal<B: Default>(
    response: Response<B>,
    max_message_bytes: usize,
) -> Response<B> {
    let refusal = Status::from_header_map(response.headers());
    // The worker's own statuses always have details.
    let code = refusal.filter(|refusal| refusal.details().is_empty()).map(|refusal| refusal.code());
    let description = match code {
        Some(Code::Unimplemented) if response.headers().contains_key(ACCEPTS) => {
            let mut named = status(&Error::RequestCompressed).into_http();
            named.headers_mut().insert(ACCEPTS, HeaderValue::from_static("identity"));
            return named;
        }
        Some(Code::OutOfRange) => {
            format!("is larger than {max_message_bytes} bytes, which is all that is read")
        }
        Some(Code::Internal) => "is not one whole message of gRPC".to_owned(),
        _ => return response,
    };
    let error = Error::InvalidNodeConfig(vec![Violation::new("request", description)]);
    status(&error).into_http()
}
