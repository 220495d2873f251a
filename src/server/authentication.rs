//! Authenticates each call of the worker before its message is read. The result
//! travels with the request as a [`Caller`](crate::callers::Caller); an unknown
//! caller is refused here.

use tonic::{Request, Status, metadata::MetadataValue, service::Interceptor};

use super::connection::Peer;
use crate::{
    callers::{Callers, Evidence},
    config::ConnectionAge,
    error::Error,
    grpc::CutAt,
    grpc::status,
};

/// The interceptor that authenticates every call.
#[derive(Debug, Clone)]
pub(super) struct Authentication {
    callers: Callers,
    age: Option<ConnectionAge>,
}

impl Authentication {
    pub(super) fn new(callers: Callers, age: Option<ConnectionAge>) -> Authentication {
        Authentication { callers, age }
    }

    fn cut_at(&self, peer: &Peer) -> Option<CutAt> {
        let ConnectionAge { limit, grace } = self.age?;
        peer.since.checked_add(limit.saturating_add(grace)).map(CutAt)
    }
}

impl Interceptor for Authentication {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        // Nothing beyond this point needs the credential.
        let token = request.metadata_mut().remove("authorization");
        let authorization = token.as_ref().map(MetadataValue::as_encoded_bytes);
        let peer = request.extensions().get::<Peer>().cloned();
        let certificate = peer.as_ref().and_then(|peer| peer.certificate.as_deref());
        let Some(caller) = self.callers.identify(Evidence { authorization, certificate }) else {
            return Err(status(&Error::CallerUnauthenticated));
        };
        request.extensions_mut().insert(caller);
        if let Some(cut_at) = peer.and_then(|peer| self.cut_at(&peer)) {
            request.extensions_mut().insert(cut_at);
        }
        Ok(request)
    }
}
