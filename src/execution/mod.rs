//! The policy of an execution, readable as a list: admit → prepare → look up → join or
//! lead → session.
//!
//! Knows nothing of protobuf: `grpc` converts on both sides. Depends on nodes, the
//! cache and flights.

mod affinity;
mod attach;
mod check;
mod credential;
mod join;
mod leader;
mod look_up;
mod model_page;
mod models;
mod observe;
mod prefixes;
mod prepare;
mod queue;
pub(crate) mod request;
pub(crate) mod response;
mod scope;
mod services;
mod session;
mod settings;
mod sharing;

use std::sync::Arc;

use tokio::time::Instant;

pub(crate) use self::{
    check::{Findings, Question},
    model_page::ModelPage,
    models::{Lifetimes, ModelRecords, Notices},
    observe::{call::CallRecord, refusal::count_refusal},
    prefixes::{Prefixes, PromptPrefix},
    queue::{QueueEvent, Queued},
    session::Session,
    settings::{Deadlines, Settings},
};
use self::{
    leader::Gatherer,
    prepare::PreparedExecution,
    request::{AttachRequest, Check, Context, ExecuteRequest, Limits, ListModels},
    session::{
        SessionStart,
        clock::Clock,
        token::{SessionToken, TokenOwner},
    },
};
pub use self::{services::Services, settings::PrefixAffinity};
use crate::{
    admission::{Entry, Permit, Waiting},
    callers::Caller,
    error::{Error, Violation},
    lifecycle::Stage,
    output::Schema,
};

/// Executes requests. Clones share the worker's services.
#[derive(Debug, Clone)]
pub struct Executor {
    /// The parts of the worker.
    pub services: Arc<Services>,
    /// Texts to embed that wait for those of other executions.
    gatherer: Arc<Gatherer>,
}

impl Executor {
    /// Creates the executor of a worker.
    pub fn new(services: Arc<Services>) -> Executor {
        Executor { services, gatherer: Arc::default() }
    }

    /// Opens the record of an incoming call on the current span. `node_type` is
    /// `None` for a call that resumes an execution.
    pub fn record(
        &self,
        node_type: Option<&str>,
        context: Arc<Context>,
        arrived: Instant,
    ) -> CallRecord {
        CallRecord::open(&self.services, node_type, context, arrived)
    }

    /// Takes a slot for a call, or a position in the queue, before its content is
    /// examined. Counted before the stage is read, so that a drain waits for a call
    /// admitted just before it.
    pub fn admit(
        &self,
        caller: &Caller,
        named_tenant: &str,
        request_bytes: usize,
    ) -> Result<Entry, Error> {
        let entry = self.services.admission.admit(self.tenant(caller, named_tenant), request_bytes);
        let entry = entry.inspect_err(|error| self.count_refusal(error))?;
        if self.services.lifecycle.stage() >= Stage::Draining {
            return Err(Error::DRAINING);
        }
        Ok(entry)
    }

    /// Queues a call that found no slot free. It waits no longer than its own deadlines,
    /// which count from its arrival.
    pub fn enqueue(&self, waiting: Waiting, arrived: Instant, limits: &Limits) -> Queued {
        Queued::new(&self.services, waiting, arrived, limits)
    }

    /// Checks the caller's tenant against its daily quota.
    pub async fn afford(&self, caller: &Caller, named_tenant: &str) -> Result<(), Error> {
        let affordable = self.services.quotas.check(self.tenant(caller, named_tenant)).await;
        affordable.inspect_err(|error| self.count_refusal(error))
    }

    /// Compiles the schema of a call. The inner error describes an invalid schema.
    ///
    /// # Errors
    ///
    /// Fails if no slot was free in time, which is not the schema's fault.
    pub async fn compile(
        &self,
        caller: &Caller,
        named_tenant: &str,
        text: String,
    ) -> Result<Result<Schema, String>, Error> {
        let compiled = leader::compile(self.tenant(caller, named_tenant), text).await;
        compiled.inspect_err(|error| self.count_refusal(error))
    }

    /// Starts an execution, joins one in progress, or finds a completed one.
    /// Returns before anything is sent to the provider.
    ///
    /// Boxed because the session is moved with every event.
    pub fn execute(
        &self,
        permit: Permit,
        request: ExecuteRequest,
        record: CallRecord,
    ) -> Result<Box<Session>, Error> {
        let begun = begin(self, &permit, request, &record);
        self.session(permit, begun, record)
    }

    /// Resumes an execution. Never starts one.
    pub fn attach(
        &self,
        permit: Permit,
        request: AttachRequest,
        record: CallRecord,
    ) -> Result<Box<Session>, Error> {
        let picked_up = attach::pick_up(&self.services, &permit, request);
        self.session(permit, picked_up, record)
    }

    /// Checks a node's fields, and its credential if there is one.
    pub async fn check(&self, check: Check) -> Result<Findings, Error> {
        Findings::of(&self.services, check).await
    }

    /// Returns a page of the models that a credential can use.
    pub async fn list_models(&self, request: ListModels) -> Result<ModelPage, Error> {
        ModelPage::of(&self.services, request).await
    }

    fn session(
        &self,
        permit: Permit,
        start: Result<SessionStart, Error>,
        record: CallRecord,
    ) -> Result<Box<Session>, Error> {
        let (start, record) = record.after(start)?;
        Ok(Box::new(Session::new(self.services.clone(), permit, start, record)))
    }

    fn tenant<'a>(&self, caller: &'a Caller, named: &'a str) -> &'a str {
        self.services.settings.tenant(caller.tenant.as_deref(), named).unwrap_or_default()
    }

    fn count_refusal(&self, error: &Error) {
        count_refusal(&self.services.metrics, error);
    }
}

fn begin(
    Executor { services, gatherer }: &Executor,
    permit: &Permit,
    request: ExecuteRequest,
    record: &CallRecord,
) -> Result<SessionStart, Error> {
    let mut clock = Clock::new(request.arrived, &services.settings, &request.limits);
    clock.queued(permit.waited());
    let owner = TokenOwner::of(&request.caller, &request.context);
    let prepared = PreparedExecution::new(services, gatherer, request)?;
    let token = SessionToken::New(owner, prepared.fingerprint);
    let found = prepared.look_up(services, record, &mut clock)?;
    let (subscriber, found) = match found {
        Some(found) => found,
        None if prepared.sharing.only_reads() && services.fleet.is_none() => {
            return Err(Error::NotCached);
        }
        None => prepared.join_or_lead(services, permit, record)?,
    };
    Ok(SessionStart { subscriber, clock, found, token })
}

fn invalid(field: &str, description: &str) -> Error {
    Error::InvalidNodeConfig(vec![Violation::new(field, description)])
}
