//! Sends one request and measures its answer: to the provider with the worker's own
//! client, or to a worker over gRPC. Both send the same bytes to the provider.

use std::time::{Duration, Instant};

use prost_types::Struct;
use serde_json::{Map, Value};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    super::{failure, units::proto_duration, worker::WorkerClient},
    sample::Stopwatch,
};
use crate::{
    credentials::ApiKey,
    error::{Deadline, Error, Fault, ProviderErrorKind},
    event::{Phase, Usage},
    fireworks::{Affinity, Attempt, RetryPolicy},
    node::{Input, Plan, Registry},
    output::OutputFormat,
    proto::{
        self, CachePolicy, CacheStatus, Completed, Credential, ExecuteNodeRequest, ExecutionLimits,
        OutputOptions, cache_policy::Mode, execute_node_request, execute_node_response::Event,
        execution_limits::OnCancel,
    },
};

/// The node that every request executes.
pub(super) const NODE: &str = "chatFireworks";

/// The time limit for connecting to the provider.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The time for a worker's own deadline to arrive after it expired.
const GRACE: Duration = Duration::from_secs(5);

/// The options of each request.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallOptions {
    /// The longest time of a request.
    pub(super) timeout: Duration,
    /// Maximum attempts.
    pub(super) attempts: u32,
    /// True if the worker may answer from its cache.
    pub(super) cache: bool,
}

/// The answer to one request, or its failure.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) watch: Stopwatch,
    pub(super) usage: Option<Usage>,
    pub(super) attempts: u32,
    /// True if the worker answered without a request of its own.
    pub(super) is_reused: bool,
    /// The attempts that may have cost something unknown.
    pub(super) unaccounted: u32,
    /// The cost that the worker reports.
    pub(super) reported_cost: Option<i64>,
    pub(super) failure: Option<BenchFailure>,
}

/// The failure of one request.
#[derive(Debug, Clone)]
pub(super) struct BenchFailure {
    pub(super) reason: String,
    pub(super) message: String,
    /// True if every other request would fail alike.
    pub(super) is_lasting: bool,
}

/// The provider, called from this process.
#[derive(Debug)]
pub(super) struct Direct {
    registry: Registry,
    credential: ApiKey,
}

/// A worker.
pub(super) struct Remote {
    pub(super) client: WorkerClient,
    pub(super) credential: Option<Credential>,
}

impl Direct {
    pub(super) fn new(registry: Registry, credential: ApiKey) -> Direct {
        Direct { registry, credential }
    }

    /// Makes one request. Dropping the future closes the provider's stream.
    pub(super) async fn call(
        &self,
        fields: Map<String, Value>,
        prompt: String,
        options: CallOptions,
    ) -> Measured {
        let mut measured = Measured::default();
        let plan = match plan(&self.registry, fields, prompt) {
            Ok(plan) => plan,
            Err(error) => return Measured { failure: Some((&error).into()), ..measured },
        };
        let attempts = self.attempts(&plan, options.attempts, &mut measured);
        if tokio::time::timeout(options.timeout, attempts).await.is_err() {
            measured.unaccounted += 1;
            measured.failure = Some((&overdue(options.timeout)).into());
        }
        measured
    }

    /// Makes attempts until one succeeds, has begun to answer, or was the last.
    async fn attempts(&self, plan: &Plan, max_attempts: u32, measured: &mut Measured) {
        let begun = Instant::now();
        let mut policy = RetryPolicy::default();
        policy.max_attempts = max_attempts;
        loop {
            measured.attempts += 1;
            let attempt = Attempt {
                credential: &self.credential,
                connect: CONNECT_LIMIT,
                affinity: &Affinity::default(),
            };
            let interrupted = match plan.run(attempt, &mut measured.watch).await {
                Ok(finish) => {
                    measured.usage = finish.usage;
                    measured.unaccounted += u32::from(!is_whole(finish.usage));
                    return;
                }
                Err(interrupted) => interrupted,
            };
            let has_begun = measured.watch.first.is_some();
            let is_free = !has_begun && is_refusal(interrupted.error.reason());
            measured.unaccounted += u32::from(!is_free);
            let again = policy.next(measured.attempts, begun.elapsed(), &interrupted.error);
            match again.filter(|_| !has_begun && measured.attempts < max_attempts) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => {
                    measured.usage = interrupted.usage;
                    measured.failure = Some((&interrupted.error).into());
                    return;
                }
            }
        }
    }
}

/// Plans a request as a worker would.
pub(super) fn plan(
    registry: &Registry,
    fields: Map<String, Value>,
    prompt: String,
) -> Result<Plan, Error> {
    let node = registry.find(NODE)?;
    node.plan(fields, Input::Prompt(prompt), &OutputFormat::Text).map_err(Error::InvalidNodeConfig)
}

impl Remote {
    /// Makes one request. Dropping the future cancels it.
    pub(super) async fn call(
        &self,
        config: Struct,
        prompt: String,
        options: CallOptions,
    ) -> Measured {
        let mut measured = Measured::default();
        let request = self.request(config, prompt, options);
        let call = self.follow(request, &mut measured.watch);
        let ended = match tokio::time::timeout(options.timeout + GRACE, call).await {
            Ok(ended) => ended,
            Err(_) => Err(Status::deadline_exceeded("the worker did not keep the time limit")),
        };
        match ended {
            Ok(completed) => measured.complete(&completed),
            Err(status) => measured.fail(&status, options.attempts),
        }
        measured
    }

    fn request(&self, config: Struct, prompt: String, options: CallOptions) -> ExecuteNodeRequest {
        let mode = if options.cache { Mode::ReadWrite } else { Mode::Off };
        ExecuteNodeRequest {
            node_type: NODE.to_owned(),
            config: Some(config),
            input: Some(execute_node_request::Input::Prompt(prompt)),
            credential: self.credential.clone(),
            cache: Some(CachePolicy { mode: mode.into(), ..CachePolicy::default() }),
            output: Some(OutputOptions { deltas: Some(true), ..OutputOptions::default() }),
            limits: Some(ExecutionLimits {
                total: Some(proto_duration(options.timeout)),
                max_attempts: options.attempts,
                on_cancel: OnCancel::Abort.into(),
                ..ExecutionLimits::default()
            }),
            ..ExecuteNodeRequest::default()
        }
    }

    async fn follow(
        &self,
        request: ExecuteNodeRequest,
        watch: &mut Stopwatch,
    ) -> Result<Completed, Status> {
        let mut events = self.client.clone().execute_node(request).await?.into_inner();
        while let Some(response) = events.message().await? {
            match response.event {
                Some(Event::Delta(delta))
                    if !(delta.text.is_empty()
                        && delta.reasoning.is_empty()
                        && delta.tool_calls.is_empty()) =>
                {
                    watch.output();
                }
                Some(Event::Completed(completed)) => return Ok(*completed),
                _ => {}
            }
        }
        Err(Status::data_loss("the worker ended the stream without `completed`"))
    }
}

impl Measured {
    fn complete(&mut self, completed: &Completed) {
        let status = completed.cache.as_ref().map(proto::CacheOutcome::status);
        self.is_reused =
            matches!(status, Some(CacheStatus::Hit | CacheStatus::Joined | CacheStatus::Stale));
        self.usage = completed.usage.as_ref().map(usage);
        self.attempts = completed.attempts;
        self.reported_cost = completed.cost.as_ref().map(|cost| cost.spent_nanodollars);
        let known = u32::from(is_whole(self.usage));
        self.unaccounted = if self.is_reused { 0 } else { self.attempts.max(1) - known };
    }

    fn fail(&mut self, status: &Status, max_attempts: u32) {
        let reason = failure::reason(status, &status.get_error_details());
        let detail = failure::failure_detail(status);
        // A status from elsewhere does not say how much was tried.
        self.attempts = detail.as_ref().map_or(max_attempts, |detail| detail.attempts);
        self.usage = detail.as_ref().and_then(|detail| detail.usage.as_ref()).map(usage);
        let is_free = self.watch.first.is_none() && is_refusal(&reason);
        self.unaccounted = if is_free { 0 } else { self.attempts };
        self.failure = Some(BenchFailure {
            reason,
            message: status.message().to_owned(),
            is_lasting: matches!(
                status.code(),
                Code::InvalidArgument
                    | Code::Unauthenticated
                    | Code::PermissionDenied
                    | Code::NotFound
                    | Code::FailedPrecondition
            ),
        });
    }
}

impl From<&Error> for BenchFailure {
    fn from(error: &Error) -> BenchFailure {
        BenchFailure {
            reason: error.reason().to_owned(),
            message: error.public_message(),
            is_lasting: error.fault() == Fault::Caller,
        }
    }
}

fn overdue(limit: Duration) -> Error {
    Error::Deadline { deadline: Deadline::Total, limit, phase: Phase::Streaming }
}

/// Returns true if the counts decide the cost. Those of an answer that broke off never
/// do: more may have been generated than was reported.
fn is_whole(usage: Option<Usage>) -> bool {
    usage.is_some_and(|usage| usage.prompt_tokens.is_some() && usage.completion_tokens.is_some())
}

/// Returns true if a provider that refuses for this reason has generated nothing.
fn is_refusal(reason: &str) -> bool {
    ProviderErrorKind::named(reason).is_some_and(|kind| match kind {
        ProviderErrorKind::CredentialRejected
        | ProviderErrorKind::ModelForbidden
        | ProviderErrorKind::ModelNotFound
        | ProviderErrorKind::ModelRetired
        | ProviderErrorKind::BillingRequired
        | ProviderErrorKind::AccountSuspended
        | ProviderErrorKind::RequestRejected
        | ProviderErrorKind::ContextTooLong
        | ProviderErrorKind::RateLimited
        | ProviderErrorKind::DeploymentScalingUp => true,
        ProviderErrorKind::Unavailable
        | ProviderErrorKind::StreamInterrupted
        | ProviderErrorKind::AnswerInvalid => false,
    })
}

fn usage(usage: &proto::Usage) -> Usage {
    Usage {
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        total_tokens: usage.total_tokens,
        cached_tokens: usage.cached_tokens,
        reasoning_tokens: usage.reasoning_tokens,
    }
}
