//! Converts events into protobuf messages.

use std::time::Duration;

use bytes::Bytes;

use crate::proto::{
    CacheOutcome, CacheStatus, Choice, Completed, Cost, Delta, Embeddings, ExecuteNodeResponse,
    Progress, PromptPrefix, Restarted, Started, StoreStatus, Timing, ToolCall, ToolCallFragment,
    Usage, execute_node_response::Event, progress,
};
use crate::{
    event::{self, Phase},
    execution::{
        self,
        response::{self, Output, ResponseEvent},
    },
    flight::Stored,
    output::json_of,
    recording::MergedDelta,
};

impl From<Output> for ExecuteNodeResponse {
    fn from(output: Output) -> ExecuteNodeResponse {
        let event = match output.event {
            ResponseEvent::Started(started) => Event::Started(started.into()),
            ResponseEvent::Delta(delta) => Event::Delta(delta.into()),
            ResponseEvent::Restarted { attempt, reason } => {
                Event::Restarted(Restarted { attempt, reason: reason.to_owned() })
            }
            ResponseEvent::Progress { phase, elapsed } => Event::Progress(Progress {
                phase: progress::Phase::from(phase).into(),
                elapsed: duration(elapsed),
            }),
            ResponseEvent::Completed(completed) => Event::Completed(Box::new((*completed).into())),
        };
        ExecuteNodeResponse { sequence: output.sequence, event: Some(event) }
    }
}

impl From<response::Started> for Started {
    fn from(started: response::Started) -> Started {
        Started {
            execution_token: started.execution_token,
            worker_id: started.worker_id,
            worker_version: env!("CARGO_PKG_VERSION").to_owned(),
            model: started.model,
            cache_status: CacheStatus::from(started.cache_status).into(),
        }
    }
}

impl From<MergedDelta> for Delta {
    fn from(delta: MergedDelta) -> Delta {
        Delta {
            choice: delta.choice,
            text: delta.text,
            reasoning: delta.reasoning,
            tool_calls: delta.tool_calls.into_iter().map(ToolCallFragment::from).collect(),
            logprobs: delta.logprobs,
        }
    }
}

impl From<event::ToolCallFragment> for ToolCallFragment {
    fn from(fragment: event::ToolCallFragment) -> ToolCallFragment {
        ToolCallFragment {
            index: fragment.index,
            id: fragment.id.unwrap_or_default(),
            name: fragment.name.unwrap_or_default(),
            arguments: fragment.arguments,
        }
    }
}

impl From<event::ToolCallFragment> for ToolCall {
    fn from(call: event::ToolCallFragment) -> ToolCall {
        ToolCall {
            id: call.id.unwrap_or_default(),
            name: call.name.unwrap_or_default(),
            arguments: call.arguments,
        }
    }
}

impl From<response::Completed> for Completed {
    fn from(completed: response::Completed) -> Completed {
        let choices = completed.choices.into_iter().zip(0..);
        Completed {
            choices: choices.map(|(choice, index)| answer(choice, index)).collect(),
            embeddings: completed.embeddings.map(Embeddings::from),
            usage: completed.usage.map(Usage::from),
            cost: completed.cost.map(Cost::from),
            timing: Some(completed.timing.into()),
            attempts: completed.attempts,
            cache: Some(completed.cache.into()),
            provider_request_id: completed.provider_request_id.unwrap_or_default(),
            model: completed.model,
            service_tier: completed.service_tier.unwrap_or_default(),
            prompt_prefix: completed.prefix.map(PromptPrefix::from),
        }
    }
}

fn answer(choice: response::Choice, index: u32) -> Choice {
    let json = if choice.is_json { json_of(&choice.text) } else { "" };
    Choice {
        index,
        json_unchecked: choice.is_unchecked,
        json_was_fenced: choice.is_json && json.len() < choice.text.len(),
        json: json.to_owned(),
        text: choice.text,
        reasoning: choice.reasoning,
        tool_calls: choice.tool_calls.into_iter().map(ToolCall::from).collect(),
        finish_reason: choice.finish_reason.as_str().to_owned(),
        logprobs: choice.logprobs,
    }
}

impl From<event::Embeddings> for Embeddings {
    fn from(embeddings: event::Embeddings) -> Embeddings {
        let event::TextSources { cached, joined, executed, repeated } = embeddings.sources;
        let vector_bytes = embeddings.vectors.first().map_or(0, Bytes::len);
        Embeddings {
            dimensions: (vector_bytes / size_of::<f32>()) as u32,
            cached,
            joined,
            executed,
            repeated,
            tokens_estimated: embeddings.estimated,
            vectors: embeddings.vectors.concat(),
        }
    }
}

impl From<event::Usage> for Usage {
    fn from(usage: event::Usage) -> Usage {
        let cached_share = usage.cached_share();
        let event::Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens,
            cached_tokens,
            reasoning_tokens,
        } = usage;
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens,
            cached_tokens,
            reasoning_tokens,
            cached_share,
        }
    }
}

impl From<execution::PromptPrefix> for PromptPrefix {
    fn from(prefix: execution::PromptPrefix) -> PromptPrefix {
        let execution::PromptPrefix { previous_messages, first_changed_message, tools_changed } =
            prefix;
        PromptPrefix { previous_messages, first_changed_message, tools_changed }
    }
}

impl From<response::Cost> for Cost {
    fn from(cost: response::Cost) -> Cost {
        Cost {
            spent_nanodollars: cost.spent,
            original_nanodollars: cost.original,
            saved_nanodollars: cost.original - cost.spent,
            price_date: cost.price_date.to_string(),
            tier: cost.tier.as_str().to_owned(),
            tier_unpriced: cost.is_fallback,
        }
    }
}

impl From<response::Timing> for Timing {
    fn from(timing: response::Timing) -> Timing {
        Timing {
            queue: timing.queue.and_then(duration),
            cache: timing.cache.and_then(duration),
            connect: timing.connect.and_then(duration),
            first_token: timing.first_token.and_then(duration),
            total: duration(timing.total),
        }
    }
}

impl From<response::CacheOutcome> for CacheOutcome {
    fn from(outcome: response::CacheOutcome) -> CacheOutcome {
        let (store, not_stored_reason) = match outcome.stored {
            None => (StoreStatus::Unspecified, ""),
            Some(Stored::Stored) => (StoreStatus::Stored, ""),
            Some(Stored::NotStored(reason)) => (StoreStatus::NotStored, reason),
        };
        CacheOutcome {
            status: CacheStatus::from(outcome.status).into(),
            store: store.into(),
            not_stored_reason: not_stored_reason.to_owned(),
            key_fingerprint: outcome.key_fingerprint,
            age: outcome.age.and_then(duration),
            source_execution: outcome.source_execution.to_string(),
        }
    }
}

impl From<response::CacheStatus> for CacheStatus {
    fn from(status: response::CacheStatus) -> CacheStatus {
        match status {
            response::CacheStatus::Disabled => CacheStatus::Disabled,
            response::CacheStatus::Bypassed => CacheStatus::Bypassed,
            response::CacheStatus::Hit => CacheStatus::Hit,
            response::CacheStatus::Miss => CacheStatus::Miss,
            response::CacheStatus::Joined => CacheStatus::Joined,
            response::CacheStatus::LookupFailed => CacheStatus::LookupFailed,
        }
    }
}

impl From<Phase> for progress::Phase {
    fn from(phase: Phase) -> progress::Phase {
        match phase {
            Phase::Queued => progress::Phase::Queued,
            Phase::Connecting => progress::Phase::Connecting,
            Phase::Waiting => progress::Phase::Waiting,
            Phase::Streaming => progress::Phase::Streaming,
            Phase::Retrying => progress::Phase::Retrying,
        }
    }
}

/// Converts a duration; `None` beyond protobuf's range of some 292 billion years.
fn duration(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}
