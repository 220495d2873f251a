//! Asks the provider about its models: those that a key can use, and the record of
//! one. Spends no tokens.
//!
//! The inference API lists what a key can use, but names neither the end of a model
//! nor, reliably, its availability; the records of the account API do, where there is
//! one: behind a base URL that ends in `/inference/v1`.

mod record;

use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use url::Url;

pub(crate) use self::record::{EndDate, ModelRecord};
use super::{
    ClientState, exchange, extend,
    failure::{self, ErrorContext},
    head,
    stream::ResponseBody,
    transport,
};
use crate::{
    credentials::ApiKey,
    error::{Error, ProviderErrorKind},
    event::Phase,
};

/// The account whose models everybody can use.
const PUBLIC_ACCOUNT: &str = "fireworks";
/// Bounds of a list: accounts whose records are read, pages of each, and records of
/// a page (the provider's own maximum).
const MAX_ACCOUNTS: usize = 8;
const MAX_PAGES: usize = 25;
const PAGE_SIZE: usize = 200;
/// Maximum models of a list; the rest is left out.
const MAX_MODELS: usize = 10_000;

/// Returns the models that a key can use, by name.
///
/// # Errors
/// The provider refuses the key, or cannot be asked.
pub(super) async fn list(
    client: &ClientState,
    credential: &ApiKey,
) -> Result<Vec<ModelRecord>, Error> {
    let mut models = match listed(client, credential).await {
        Ok(models) => models,
        // The list is known to fail with 500 for accounts without deployments, and with
        // 403 for keys that may only chat; such keys can use the serverless models of the
        // public account.
        Err(error) if is_about_the_list(&error) => {
            let records = records_of(client, PUBLIC_ACCOUNT, credential).await;
            let serverless: Vec<ModelRecord> =
                records.into_iter().filter(|record| record.serverless == Some(true)).collect();
            return if serverless.is_empty() { Err(error) } else { Ok(sorted(serverless)) };
        }
        Err(error) => return Err(error),
    };
    for account in accounts(&models) {
        let records = records_of(client, &account, credential).await;
        for record in records {
            if let Some(model) = models.iter_mut().find(|model| model.name == record.name) {
                model.complete_with(record);
            }
        }
    }
    Ok(sorted(models))
}

/// Returns the provider's record of a model; `None` if it has none, or keeps none of
/// names in this form.
///
/// # Errors
/// The provider refuses the key, or cannot be asked.
pub(super) async fn record(
    client: &ClientState,
    name: &str,
    credential: &ApiKey,
) -> Result<Option<ModelRecord>, Error> {
    let path = account_api(&client.config.base_url).zip(resource(name));
    let Some((api, [account, model])) = path else { return Ok(None) };
    let url = below(&api, &["accounts", account, "models", model])?;
    match get(client, url, credential).await {
        Ok(value) => Ok(ModelRecord::of_account(&value)),
        Err(Error::Provider(error)) if error.http_status == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn listed(client: &ClientState, credential: &ApiKey) -> Result<Vec<ModelRecord>, Error> {
    let list = get(client, below(&client.config.base_url, &["models"])?, credential).await?;
    let rows = list.get("data").and_then(Value::as_array).map(Vec::as_slice);
    let rows = rows.ok_or_else(|| unusable("the list of models has no data", credential))?;
    Ok(rows.iter().filter_map(ModelRecord::of_list).take(MAX_MODELS).collect())
}

/// Returns an account's records, as far as they can be read: they only complete what
/// the list says.
async fn records_of(client: &ClientState, account: &str, credential: &ApiKey) -> Vec<ModelRecord> {
    let mut records = Vec::new();
    let Some(api) = account_api(&client.config.base_url) else { return records };
    let Ok(mut url) = below(&api, &["accounts", account, "models"]) else { return records };
    let mut token = String::new();
    for _ in 0..MAX_PAGES {
        url.query_pairs_mut().clear().append_pair("pageSize", &PAGE_SIZE.to_string());
        if !token.is_empty() {
            url.query_pairs_mut().append_pair("pageToken", &token);
        }
        let Ok(page) = get(client, url.clone(), credential).await else { break };
        let rows = page.get("models").and_then(Value::as_array).map(Vec::as_slice);
        records.extend(rows.unwrap_or_default().iter().filter_map(ModelRecord::of_account));
        match page.get("nextPageToken").and_then(Value::as_str) {
            Some(next) if !next.is_empty() && next != token => token = next.to_owned(),
            _ => break,
        }
    }
    records
}

/// Returns the accounts that own the models, the public one first.
fn accounts(models: &[ModelRecord]) -> Vec<String> {
    let mut accounts = vec![PUBLIC_ACCOUNT.to_owned()];
    for [account, _] in models.iter().filter_map(|model| resource(&model.name)) {
        if accounts.len() < MAX_ACCOUNTS && !accounts.iter().any(|known| known == account) {
            accounts.push(account.to_owned());
        }
    }
    accounts
}

fn sorted(mut models: Vec<ModelRecord>) -> Vec<ModelRecord> {
    models.sort_by(|one, other| one.name.cmp(&other.name));
    models.dedup_by(|one, other| one.name == other.name);
    models
}

/// Returns the account and the id of a model, if its name has a form of which the
/// provider keeps records. A deployment or snapshot behind the name is left out.
///
/// The name belongs to the caller: only parts that mean nothing in a URL pass.
fn resource(name: &str) -> Option<[&str; 2]> {
    let model = name.split(['#', '@']).next().unwrap_or(name);
    let parts: Vec<&str> = model.split('/').collect();
    let [account, id] = match parts[..] {
        ["accounts", account, "models", id] => [account, id],
        [account, id] if account != "accounts" => [account, id],
        _ => return None,
    };
    [account, id].into_iter().all(is_id).then_some([account, id])
}

fn is_id(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !part.is_empty() && part.bytes().all(is_plain) && !part.bytes().all(|byte| byte == b'.')
}

/// Returns the URL of the account API beside the inference API.
fn account_api(base_url: &Url) -> Option<Url> {
    let path = base_url.path().trim_end_matches('/').strip_suffix("/inference/v1")?;
    let mut url = base_url.clone();
    url.set_path(&format!("{path}/v1"));
    Some(url)
}

/// Sends a GET request with the key, and reads the JSON that comes.
async fn get(client: &ClientState, url: Url, credential: &ApiKey) -> Result<Value, Error> {
    let mut request = reqwest::Request::new(Method::GET, url);
    *request.headers_mut() = exchange::json_headers(credential.authorization());
    let response = client.connections.questions().execute(request).await;
    let response = response.map_err(|error| {
        let context = context(credential, None);
        failure::own(ProviderErrorKind::Unavailable, transport::describe(&error), context)
    })?;
    if response.status() != StatusCode::OK {
        return Err(refused(client, response, credential).await);
    }
    let body = ResponseBody::new(response).read_whole(client.config.max_event_bytes).await;
    let body = body.map_err(|_| unusable("the answer broke off or is too large", credential))?;
    serde_json::from_slice(&Bytes::from(body))
        .map_err(|_| unusable("what came is not JSON; the base URL may be wrong", credential))
}

async fn refused(client: &ClientState, response: reqwest::Response, credential: &ApiKey) -> Error {
    let status = response.status().as_u16();
    let retry_after = head::retry_after(response.headers(), SystemTime::now());
    let request_id = head::request_id(response.headers(), credential);
    let text = exchange::read_refusal(response, client.config.max_error_bytes).await;
    let context = ErrorContext { retry_after, ..context(credential, request_id.as_deref()) };
    failure::from_status(status, &text, context).into()
}

fn unusable(message: &str, credential: &ApiKey) -> Error {
    failure::own(ProviderErrorKind::AnswerInvalid, message, context(credential, None)).into()
}

fn context<'a>(credential: &'a ApiKey, request_id: Option<&'a str>) -> ErrorContext<'a> {
    ErrorContext {
        credential,
        phase: Phase::Waiting,
        request_id,
        retry_after: None,
        account_wide: false,
    }
}

fn is_about_the_list(error: &Error) -> bool {
    matches!(error, Error::Provider(error) if matches!(error.http_status, Some(403 | 500)))
}

fn below(base_url: &Url, path: &[&str]) -> Result<Url, Error> {
    extend(base_url, path).map_err(|_| Error::Internal("the base URL cannot be extended"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_mean_nothing_in_a_url_have_a_record() {
        for (name, expected) in [
            ("accounts/fireworks/models/glm-5p3", Some(["fireworks", "glm-5p3"])),
            ("accounts/me/models/mine@snapshot", Some(["me", "mine"])),
            ("accounts/me/models/mine#accounts/me/deployments/d", Some(["me", "mine"])),
            ("fireworks/qwen3-embedding-8b", Some(["fireworks", "qwen3-embedding-8b"])),
            ("accounts/fireworks/routers/kimi-k3-fast", None),
            ("accounts/me/models/..", None),
            ("accounts/me/models/a%2Fb", None),
            ("accounts/me/models/a?b=c", None),
            ("accounts/../models", None),
            ("../me", None),
            ("accounts/models", None),
            ("glm-5p3", None),
            ("", None),
        ] {
            assert_eq!(resource(name), expected, "{name}");
        }
    }

    #[test]
    fn the_account_api_is_beside_the_inference_api() {
        for (base_url, expected) in [
            ("https://api.fireworks.ai/inference/v1", Some("https://api.fireworks.ai/v1")),
            ("http://127.0.0.1:1/inference/v1/", Some("http://127.0.0.1:1/v1")),
            ("https://gateway/fireworks/inference/v1", Some("https://gateway/fireworks/v1")),
            ("https://other.example/v1", None),
        ] {
            let found = account_api(&Url::parse(base_url).expect("a URL"));
            assert_eq!(found.as_ref().map(Url::as_str), expected, "{base_url}");
        }
    }
}
