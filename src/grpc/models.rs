//! Converts the provider's records of models into protobuf messages.

use crate::{
    execution::ModelPage,
    fireworks::ModelRecord,
    price::{Prices, Rate},
    proto::{ListModelsResponse, Model, ModelPrice},
};

/// Converts a page of models, with their prices.
pub(super) fn response(page: ModelPage, prices: &Prices) -> ListModelsResponse {
    ListModelsResponse {
        models: page.models.into_iter().map(|record| model(record, prices)).collect(),
        next_page_token: page.next.unwrap_or_default(),
        age: prost_types::Duration::try_from(page.age).ok(),
    }
}

fn model(record: ModelRecord, prices: &Prices) -> Model {
    let rates = prices.rates(&record.name).into_iter();
    Model {
        prices: rates.map(|(tier, rate)| price(tier, rate, prices.date())).collect(),
        context_length: record.context_length,
        chat: record.chat,
        completion: record.completion,
        embeddings: record.embeddings,
        tools: record.tools,
        images: record.images,
        reasoning: record.reasoning,
        serverless: record.serverless,
        end_of_life: record.end.map(|end| end.to_string()).unwrap_or_default(),
        successor: record.successor.unwrap_or_default(),
        name: record.name,
    }
}

fn price(tier: &str, rate: Rate, date: &str) -> ModelPrice {
    ModelPrice {
        tier: tier.to_owned(),
        input_nanodollars: rate.input.cast_signed(),
        cached_input_nanodollars: rate.cached_input.cast_signed(),
        output_nanodollars: rate.output.cast_signed(),
        price_date: date.to_owned(),
    }
}
