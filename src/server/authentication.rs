//! Asks each call of the worker who makes it, before its message is read. What
//! it learns goes with the request as a [`Caller`](crate::callers::Caller);
//! whoever is unknown is refused here.

use tonic::{Request, Status, metadata::MetadataValue, service::Interceptor};

use crate::{
    callers::{Callers, Evidence},
    error::Error,
    proto::status,
    report,
};

/// The question, asked of every call.
#[derive(Debug, Clone)]
pub(super) struct Authentication(Callers);

impl Authentication {
    pub(super) fn new(callers: Callers) -> Authentication {
        Authentication(callers)
    }
}

impl Interceptor for Authentication {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        // Nothing behind the door needs to see it.
        let token = request.metadata_mut().remove("authorization");
        let authorization = token.as_ref().map(MetadataValue::as_encoded_bytes);
        let Some(caller) = self.0.identify(Evidence { authorization, certificate: None }) else {
            let error = Error::CallerUnauthenticated;
            report::refused(&error);
            return Err(status(&error));
        };
        request.extensions_mut().insert(caller);
        Ok(request)
    }
}
