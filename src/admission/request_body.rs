//! Charges memory for requests while they arrive: that may take long, and a request's
//! tenant is known only afterwards. The charge of a complete request is in
//! [`memory`](super::memory).

use super::{Admission, refusal};
use crate::error::Error;

/// Memory of a call before any of its message, in bytes: its headers, which may be this
/// long, and its stream.
const CALL_BYTES: u64 = 16 << 10;
/// A message exists as received and as decoded.
const COPIES: u64 = 2;

/// Memory charged for one arriving request, released when dropped.
#[derive(Debug)]
pub struct RequestBodyCharge {
    admission: Admission,
    bytes: u64,
}

impl Admission {
    /// Charges memory for a request before its body arrives.
    ///
    /// # Errors
    ///
    /// [`Error::Saturated`] if not enough memory is left.
    pub fn request_body(&self) -> Result<RequestBodyCharge, Error> {
        let mut request_body = RequestBodyCharge { admission: self.clone(), bytes: 0 };
        request_body.charge(CALL_BYTES)?;
        Ok(request_body)
    }
}

impl RequestBodyCharge {
    /// Charges memory for `bytes` more of the request.
    ///
    /// # Errors
    ///
    /// [`Error::Saturated`] if not enough memory is left.
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
