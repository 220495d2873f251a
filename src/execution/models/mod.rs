//! ListModels: the models that a credential can use, as far as the provider states
//! anything about them. Spends no tokens.

mod directory;
mod notices;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

pub(crate) use self::{
    directory::{Lifetimes, ModelDirectory},
    notices::Notices,
};
use crate::{
    cooldown::Advice,
    credentials::ApiKey,
    error::{Deadline, Error},
    event::Phase,
    execution::{Executor, request::ListModels},
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

impl Executor {
    /// Returns a page of the models that a credential can use. Those whose end has
    /// passed are left out.
    pub async fn list_models(&self, request: ListModels) -> Result<ModelPage, Error> {
        let credential = self.credential(request.credential, None, &request.caller.secrets)?;
        let limit = request.deadline.map_or(LIST_LIMIT, |deadline| deadline.mul_f64(0.9));
        let limit = limit.min(LIST_LIMIT);
        let listed = tokio::time::timeout(limit, self.models_of(&credential)).await;
        let (models, age) = listed.map_err(|_elapsed| Error::Deadline {
            deadline: Deadline::Total,
            limit,
            phase: Phase::Waiting,
        })??;
        Ok(ModelPage::cut(&models, &request.page_token, request.page_size, age))
    }

    /// Returns the provider's record of a model; `None` if it has none.
    pub(super) async fn model_record(
        &self,
        model: &str,
        credential: &ApiKey,
    ) -> Result<Option<ModelRecord>, Error> {
        let fingerprint = *self.cache_secret.fingerprint(credential).as_bytes();
        let ask = async || self.fireworks.model(model, credential).await;
        self.models.record(fingerprint, model, ask).await
    }

    async fn models_of(
        &self,
        credential: &ApiKey,
    ) -> Result<(Arc<[ModelRecord]>, Duration), Error> {
        let fingerprint = *self.cache_secret.fingerprint(credential).as_bytes();
        // A key that was rejected a moment ago would be rejected again.
        if let Advice::Refuse(error) = self.cooldowns.advice(&fingerprint, "") {
            return Err(error);
        }
        let ask = async || self.fireworks.models(credential).await;
        let answered = self.models.list(fingerprint, ask).await;
        let models = answered.answer.inspect_err(|error| {
            self.cooldowns.learn(&fingerprint, "", error);
        })?;
        Ok((models, answered.at.elapsed()))
    }
}

impl ModelPage {
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
