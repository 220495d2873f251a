//! Checks the form of an answer where it holds nobody up: off the executing
//! threads, for a bounded time, few at a time.
//!
//! A schema that branches within itself takes exponential time in the depth of
//! the answer, and nothing can stop a check under way. One that outlasts its
//! time is given up: its thread goes on, and keeps its place until it ends. So
//! such schemas can slow the checks of others down, and never the streams.
//!
//! Called by the leader.

use std::time::Duration;

use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use crate::{
    error::{Error, shorten},
    output::OutputFormat,
};

/// How long one answer may be checked, the wait for a place included.
const LIMIT: Duration = Duration::from_secs(5);
/// Checks at a time. Of the process, as its threads are.
static PLACES: Semaphore = Semaphore::const_new(8);

/// Whether an answer has the form. Dropped, it leaves a check that goes on for
/// nobody.
pub(super) async fn inspect(output: &OutputFormat, text: String) -> Result<(), Error> {
    let beginning = shorten(&text, Error::MAX_TEXT_BYTES).into_owned();
    match timeout(LIMIT, check(output.clone(), text)).await {
        Ok(checked) => checked,
        Err(_) => Err(Error::OutputSchemaMismatch {
            problem: format!(
                "checking it takes longer than {}: the schema branches within itself",
                humantime::format_duration(LIMIT)
            ),
            text: beginning,
        }),
    }
}

async fn check(output: OutputFormat, text: String) -> Result<(), Error> {
    // Never closed.
    let place = PLACES.acquire().await;
    let checking = spawn_blocking(move || {
        let _place = place;
        output.check(&text)
    });
    checking.await.unwrap_or(Err(Error::Internal("the check of an answer panicked")))
}
