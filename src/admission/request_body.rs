//! What requests take of the worker's memory while they arrive: their callers are
//! in no hurry, perhaps, and whose they are is known only when they have come.
//!
//! Called by `server` with every piece of a request; what is charged when it has
//! come is in [`memory`](super::memory).

use super::{Admission, refusal};
use crate::error::Error;

/// What a call takes before anything of its message has come: its headers, which
/// may be this long, and its stream.
const CALL_BYTES: u64 = 16 << 10;
/// A message is there as it comes and as it is read.
const COPIES: u64 = 2;

/// Memory for one request on its way in, given back when dropped.
#[derive(Debug)]
pub struct RequestBodyCharge {
    admission: Admission,
    bytes: u64,
}

impl Admission {
    /// Takes memory for a request that is about to come; fails where there is
    /// none left.
    pub fn request_body(&self) -> Result<RequestBodyCharge, Error> {
        let mut request_body = RequestBodyCharge { admission: self.clone(), bytes: 0 };
        request_body.charge(CALL_BYTES)?;
        Ok(request_body)
    }
}

impl RequestBodyCharge {
    /// Takes memory for more bytes of the request; fails where there is none
    /// left.
    pub fn more(&mut self, bytes: usize) -> Result<(), Error> {
        self.charge((bytes as u64).saturating_mul(COPIES))
    }

    fn charge(&mut self, bytes: u64) -> Result<(), Error> {
        self.admission.queue().take_in(bytes).map_err(refusal)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for RequestBodyCharge {
    fn drop(&mut self) {
        self.admission.queue().taken_in(self.bytes);
    }
}
