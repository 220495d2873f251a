//! ListModels: the models that a credential can use, as far as the provider states
//! anything about them. Spends no tokens.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::timeout;

use crate::execution::{Services, credential::credential, request::ListModels};
use crate::{
    cooldown::Advice,
    credentials::ApiKey,
    error::{Deadline, Error},
    event::Phase,
    fireworks::ModelRecord,
};

/// The longest time that a list waits for the provider.
const LIST_LIMIT: Duration = Duration::from_secs(30);
/// Maximum models of a page.
const MAX_PAGE: usize = 1_000;

/// A page of models.
#[derive(Debug)]
pub struct ModelPage {
    /// The models, by name.
    pub models: Vec<ModelRecord>,
    /// The name after which the next page begins; `None` on the last one.
    pub next: Option<String>,
    /// Time since the provider was asked.
    pub age: Duration,
}

impl ModelPage {
    /// Returns a page of the models that a credential can use. Those whose end has
    /// passed are left out.
    pub(super) async fn of(services: &Services, request: ListModels) -> Result<ModelPage, Error> {
        let grant = &request.caller.secrets;
        let credential = credential(&services.secrets, request.credential, None, grant)?;
        let limit = request.deadline.map_or(LIST_LIMIT, |deadline| deadline.mul_f64(0.9));
        let limit = limit.min(LIST_LIMIT);
        let listed = timeout(limit, models_of(services, &credential)).await;
        let (models, age) = listed.map_err(|_elapsed| Error::Deadline {
            deadline: Deadline::Total,
            limit,
            phase: Phase::Waiting,
        })??;
        Ok(ModelPage::cut(&models, &request.page_token, request.page_size, age))
    }

    fn cut(models: &[ModelRecord], after: &str, size: usize, age: Duration) -> ModelPage {
        let now = SystemTime::now();
        let size = if size == 0 { MAX_PAGE } else { size.min(MAX_PAGE) };
        let first = models.partition_point(|model| model.name.as_str() <= after);
        let mut left = models[first..].iter().filter(|model| model.ended(now).is_none());
        let models: Vec<ModelRecord> = left.by_ref().take(size).cloned().collect();
        let next = left.next().and(models.last()).map(|last| last.name.clone());
        ModelPage { models, next, age }
    }
}

async fn models_of(
    services: &Services,
    credential: &ApiKey,
) -> Result<(Arc<[ModelRecord]>, Duration), Error> {
    let Services { cache_secret, cooldowns, models, .. } = services;
    let fingerprint = cache_secret.fingerprint(credential);
    // A key that was rejected a moment ago would be rejected again.
    if let Advice::Refuse(error) = cooldowns.advice(fingerprint.as_bytes(), "") {
        return Err(error);
    }
    let answered = models.list(fingerprint, credential).await;
    let models = answered.answer.inspect_err(|error| {
        cooldowns.learn(fingerprint.as_bytes(), "", error);
    })?;
    Ok((models, answered.at.elapsed()))
}
