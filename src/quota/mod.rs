//! Daily quotas of tenants, in tokens and dollars, and their spend: of the whole fleet if
//! the workers share a Redis, otherwise of this worker alone.
//!
//! Upstream usage counts for the tenant whose execution sent the request; cache hits and
//! followers spend nothing. A quota is checked when a call arrives: executions in
//! progress when it is exhausted continue, so a tenant may end slightly above it. While
//! Redis is unavailable, each worker enforces quotas by its own knowledge, and logs that
//! it does; the spend of that time is reported when Redis is back.

mod file;
mod tenant;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use moka::sync::Cache;
use tokio::time::Instant;

pub(crate) use self::file::{QuotaFile, Spend};
use self::tenant::{Day, TenantSpend, TenantSpends};
use crate::{
    error::Error,
    file_watcher::FileWatcher,
    redis::{Connection, Script, Value},
};

static SPEND: Script = Script::new("spend", include_str!("spend.lua"));

/// The quotas of the operator's file, reloaded when it changes.
pub(crate) type QuotaLimits = Arc<FileWatcher<QuotaFile>>;

/// The quotas and spend of all tenants.
pub struct Quotas {
    limits: Option<QuotaLimits>,
    fleet: Option<Shared>,
    /// Tenants with spend on this worker: recorded nowhere else until reported, so never
    /// evicted for another tenant.
    spenders: Cache<Arc<str>, Arc<Mutex<TenantSpends>>>,
    /// All other tenants: the fleet's spend, which can be read again.
    others: Cache<Arc<str>, Arc<Mutex<TenantSpends>>>,
    /// True if the last report to Redis failed.
    alone: AtomicBool,
}

/// The fleet's record of spend.
pub struct Shared {
    /// The Redis that holds the record.
    pub redis: Connection,
    /// The key under which tenants' names are hashed there.
    pub naming_key: [u8; 32],
}

/// Time for which the fleet's spend is used without reading it again.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Maximum number of tenants remembered without spend on this worker.
const MAX_OTHERS: u64 = 100_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the quotas from a file.
///
/// # Errors
///
/// A message with every problem in the file.
pub fn limits(file: &Path) -> Result<QuotaLimits, String> {
    FileWatcher::read(vec![file.to_owned()], file::parse).map(Arc::new)
}

impl Quotas {
    /// Creates quotas without any spend.
    pub fn new(limits: Option<QuotaLimits>, fleet: Option<Shared>) -> Quotas {
        let spenders = Cache::builder().time_to_idle(2 * DAY).build();
        let others = Cache::builder().max_capacity(MAX_OTHERS).time_to_idle(DAY).build();
        Quotas { limits, fleet, spenders, others, alone: AtomicBool::new(false) }
    }

    /// Checks that a tenant may spend more today. Reads the fleet's spend from Redis if
    /// it is stale, within Redis's time limit.
    ///
    /// # Errors
    ///
    /// [`Error::Saturated`] with the quota that is exhausted, until the end of the day
    /// (UTC).
    pub async fn check(&self, tenant: &str) -> Result<(), Error> {
        let Some(limits) = &self.limits else {
            return Ok(());
        };
        let quota = limits.current().quota(tenant);
        if quota.is_unbounded() {
            return Ok(());
        }
        let (day, left) = today();
        if self.is_stale(tenant, day) {
            self.report(tenant).await;
        }
        let spent = self.with_spend(tenant, day, |spend| spend.known());
        match quota.met(tenant, spent) {
            None => Ok(()),
            Some(limit) => Err(Error::Saturated { limit, retry_after: left }),
        }
    }

    /// Adds the spend of one upstream request.
    pub fn record(&self, tenant: &str, spend: Spend) {
        if self.limits.is_some() {
            let spends = self.spenders.get_with(Arc::from(tenant), || self.spends(tenant));
            on(&spends, today().0, |known| known.spend(spend));
        }
    }

    /// Reports a tenant's unreported spend on this worker to the fleet. If dropped, the
    /// next report includes it.
    pub async fn settle(&self, tenant: &str) {
        if self.limits.is_some() && !self.with_spend(tenant, today().0, |spend| spend.is_reported())
        {
            self.report(tenant).await;
        }
    }

    /// Reports this worker's spend to the fleet, and reads the fleet's.
    async fn report(&self, tenant: &str) {
        let (Some(_), Some(fleet)) = (&self.limits, &self.fleet) else {
            return;
        };
        let (day, _) = today();
        let own = self.with_spend(tenant, day, |spend| {
            *spend.asked() = Some(Instant::now());
            spend.own()
        });
        // Boxed: every call has the room of this future, and few await it.
        let received = Box::pin(fleet.report(tenant, day, own)).await;
        self.note(received.is_none());
        if let Some(all) = received {
            self.with_spend(tenant, day, |spend| spend.received(own, all));
        }
    }

    fn is_stale(&self, tenant: &str, day: Day) -> bool {
        let asked = self.with_spend(tenant, day, |spend| *spend.asked());
        asked.is_none_or(|asked| asked.elapsed() >= FRESH_FOR)
    }

    fn with_spend<T>(&self, tenant: &str, day: Day, look: impl FnOnce(&mut TenantSpend) -> T) -> T {
        let known = self.spenders.get(tenant);
        on(&known.unwrap_or_else(|| self.spends(tenant)), day, look)
    }

    fn spends(&self, tenant: &str) -> Arc<Mutex<TenantSpends>> {
        let known = self.others.get(tenant);
        known.unwrap_or_else(|| self.others.get_with(Arc::from(tenant), Arc::default))
    }

    /// Logs the start and the end of a time without Redis.
    fn note(&self, alone: bool) {
        if self.alone.swap(alone, Ordering::Relaxed) == alone {
            return;
        }
        if alone {
            tracing::warn!(
                "Redis cannot be asked what tenants have spent today: this worker goes by its own \
                 count until it can"
            );
        } else {
            tracing::info!("Redis is asked again what tenants have spent today");
        }
    }
}

fn on<T>(spends: &Mutex<TenantSpends>, day: Day, look: impl FnOnce(&mut TenantSpend) -> T) -> T {
    look(spends.lock().unwrap_or_else(PoisonError::into_inner).on(day))
}

impl Shared {
    async fn report(&self, tenant: &str, day: Day, own: Spend) -> Option<Spend> {
        let key = self.key(tenant, day);
        let (tokens, money) = (own.tokens.to_string(), own.money.to_string());
        let keep = (2 * DAY).as_millis().to_string();
        let worker = self.redis.instance().as_bytes();
        let arguments = [worker, tokens.as_bytes(), money.as_bytes(), keep.as_bytes()];
        match self.redis.script(&SPEND, &[key.as_bytes()], &arguments).await {
            Ok(Value::Array(sums)) => match sums[..] {
                [Value::Int(tokens), Value::Int(money)] => {
                    Some(Spend { tokens: u64::try_from(tokens).ok()?, money })
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn key(&self, tenant: &str, day: Day) -> String {
        let mut name = blake3::Hasher::new_keyed(&self.naming_key);
        name.update(&day.to_le_bytes()).update(tenant.as_bytes());
        format!("sparkler:1:{{{}}}:spent", name.finalize().to_hex())
    }
}

/// Returns the current day in UTC, and the time left in it.
fn today() -> (Day, Duration) {
    // A clock before 1970 counts as the first day.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let day = now.as_secs() / DAY.as_secs();
    let ends = Duration::from_secs((day + 1) * DAY.as_secs());
    (day, ends - now)
}

impl fmt::Debug for Quotas {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Quotas")
            .field("limited", &self.limits.is_some())
            .field("shared", &self.fleet.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("redis", &self.redis).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(tokens: u64) -> Quotas {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("limits.json");
        let text = format!(r#"{{"default": {{"tokens_per_day": {tokens}}}}}"#);
        std::fs::write(&file, text).expect("a file");
        Quotas::new(Some(limits(&file).expect("limits")), None)
    }

    #[tokio::test]
    async fn a_crowd_of_tenants_evicts_no_spend() {
        let quotas = limited(10);
        for number in 0..=MAX_OTHERS + 1000 {
            quotas.record(&format!("tenant {number}"), Spend { tokens: 10, money: 0 });
        }
        quotas.spenders.run_pending_tasks();
        for number in (0..=MAX_OTHERS).step_by(1000) {
            let asked = quotas.check(&format!("tenant {number}")).await;
            assert!(asked.is_err(), "tenant {number} begins again");
        }
        quotas.check("a stranger").await.expect("who has spent nothing may");
    }
}
