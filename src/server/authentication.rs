//! Authenticates each call of the worker before its message is read. The result
//! travels with the request as a [`Caller`](crate::callers::Caller); an unknown
//! caller is refused here.

use http::{HeaderValue, Request, header::AUTHORIZATION};
use tonic::Status;

use super::connection::Peer;
use crate::{
    callers::{Callers, Evidence},
    config::ConnectionAge,
    error::Error,
    grpc::CutAt,
    grpc::status,
};

/// Authenticates every call.
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

    /// Replaces the credential of a request by its caller: nothing beyond this point
    /// needs it.
    pub(super) fn authenticate<B>(&self, request: &mut Request<B>) -> Result<(), Status> {
        let token = request.headers_mut().remove(AUTHORIZATION);
        let authorization = token.as_ref().map(HeaderValue::as_bytes);
        let peer = request.extensions().get::<Peer>();
        let certificate = peer.and_then(|peer| peer.certificate.as_deref());
        let caller = self.callers.identify(Evidence { authorization, certificate });
        let caller = caller.ok_or_else(|| status(&Error::CallerUnauthenticated))?;
        let cut_at = peer.and_then(|peer| self.cut_at(peer));
        request.extensions_mut().insert(caller);
        if let Some(cut_at) = cut_at {
            request.extensions_mut().insert(cut_at);
        }
        Ok(())
    }
}
