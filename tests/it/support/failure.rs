//! A failed call with its details decoded, as any client could.

use std::{collections::HashMap, time::Duration};

use prost::Message;
use sparkler::proto::FailureDetail;
use tonic::{Code, Status};
use tonic_types::{StatusExt, pb};

/// A failed call.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) reason: String,
    pub(crate) domain: String,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) retry_after: Option<Duration>,
    /// Field and description.
    pub(crate) violations: Vec<(String, String)>,
    /// Subject and description.
    pub(crate) quota: Vec<(String, String)>,
    pub(crate) detail: Option<FailureDetail>,
    pub(crate) pushback: Option<String>,
}

impl Failure {
    pub(crate) fn decode(status: &Status) -> Failure {
        let details = status.get_error_details();
        let info = details.error_info();
        Failure {
            code: status.code(),
            message: status.message().to_owned(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            domain: info.map(|info| info.domain.clone()).unwrap_or_default(),
            metadata: info.map(|info| info.metadata.clone()).unwrap_or_default(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            violations: details.bad_request().map_or_else(Vec::new, |bad_request| {
                let violations = bad_request.field_violations.iter();
                violations
                    .map(|violation| (violation.field.clone(), violation.description.clone()))
                    .collect()
            }),
            quota: details.quota_failure().map_or_else(Vec::new, |failure| {
                let violations = failure.violations.iter();
                violations
                    .map(|violation| (violation.subject.clone(), violation.description.clone()))
                    .collect()
            }),
            detail: failure_detail(status),
            pushback: status
                .metadata()
                .get("grpc-retry-pushback-ms")
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
        }
    }

    pub(crate) fn safe_to_retry(&self) -> bool {
        self.metadata.get("safe_to_retry").is_some_and(|value| value == "true")
    }
}

fn failure_detail(status: &Status) -> Option<FailureDetail> {
    let rich = pb::Status::decode(status.details()).ok()?;
    let detail = rich
        .details
        .into_iter()
        .find(|any| any.type_url == "type.googleapis.com/sparkler.worker.v1.FailureDetail")?;
    FailureDetail::decode(&*detail.value).ok()
}
