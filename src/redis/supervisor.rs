//! Keeps the link to Redis open while the server answers, and closed while it does not.
//!
//! A command that times out, or finds the server gone or read-only, closes the link for
//! all commands. The supervisor then probes the server with growing delays, and opens the
//! link once a small write has been answered in time. If the probe fails, it connects
//! again: the server may be another one.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ::redis::cmd;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use super::{Cause, RedisConfig, link::Link, pause::Pause, warning::Warning};
use crate::metrics::Metrics;

/// The state of the link to Redis.
pub(super) struct LinkState {
    pub(super) config: RedisConfig,
    pub(super) warning: Warning,
    pub(super) metrics: Metrics,
    open: watch::Sender<Option<Open>>,
    /// Notified when the link is closed.
    closed: Notify,
    /// The number of connections made so far.
    reconnects: watch::Sender<u64>,
    /// The hash tag of the key whose command failed: in a Cluster, it selects the server
    /// to probe.
    suspect: Mutex<Vec<u8>>,
}

/// An open link.
#[derive(Clone)]
pub(super) struct Open {
    pub(super) link: Link,
    /// The number of this opening, so that a failure over an earlier one does not close
    /// the link.
    turn: u64,
}

impl LinkState {
    /// Time after which an open link counts as stable, and the delays start over.
    const CALM: Duration = Duration::from_secs(5);

    pub(super) fn new(config: RedisConfig, metrics: Metrics) -> LinkState {
        metrics.redis_is_used(Cause::REFUSALS.map(Cause::as_str));
        LinkState {
            config,
            metrics,
            warning: Warning::default(),
            open: watch::Sender::new(None),
            closed: Notify::new(),
            reconnects: watch::Sender::new(0),
            suspect: Mutex::new(Vec::new()),
        }
    }

    /// Returns the link, if it is open.
    pub(super) fn open(&self) -> Option<Open> {
        self.open.borrow().clone()
    }

    /// Returns a watch on the open link.
    pub(super) fn is_open(&self) -> watch::Receiver<Option<Open>> {
        self.open.subscribe()
    }

    /// Returns a watch on the number of connections made so far.
    pub(super) fn reconnects(&self) -> watch::Receiver<u64> {
        self.reconnects.subscribe()
    }

    /// Closes the link after a command for `key` failed, unless it was reopened since.
    pub(super) fn close(&self, failed: &Open, key: &[u8]) {
        let was_open = self.open.send_if_modified(|open| {
            let same = open.as_ref().is_some_and(|open| open.turn == failed.turn);
            if same {
                *open = None;
            }
            same
        });
        if was_open {
            self.metrics.redis_reachable(false);
            *self.suspect() = hash_tag(key).to_vec();
            self.closed.notify_one();
        }
    }

    /// Records a failure in the log and the metrics.
    pub(super) fn failed(&self, cause: Cause) {
        self.warning.failed(cause);
        if cause.is_refusal() {
            self.metrics.redis_refused(cause.as_str());
        }
    }

    /// Keeps the link open, forever.
    pub(super) async fn keep(&self) {
        let mut pause = Pause::default();
        let mut turn = 0;
        loop {
            match Link::dial(&self.config).await {
                Ok(link) => {
                    self.reconnects.send_modify(|count| *count += 1);
                    let failed = self.keep_link(link, &mut turn, &mut pause).await;
                    self.failed(failed);
                }
                Err(cause) => self.failed(cause),
            }
            sleep(pause.next()).await;
        }
    }

    /// Opens one link each time the server answers a probe; returns the cause once it
    /// does not.
    async fn keep_link(&self, mut link: Link, turn: &mut u64, pause: &mut Pause) -> Cause {
        loop {
            if let Err(cause) = self.ask(&mut link).await {
                return cause;
            }
            *turn += 1;
            self.open.send_replace(Some(Open { link: link.clone(), turn: *turn }));
            self.metrics.redis_reachable(true);
            self.warning.recovered();
            let opened = Instant::now();
            self.closed.notified().await;
            // A single late answer costs one probe; frequent ones are probed after
            // growing delays.
            if opened.elapsed() > LinkState::CALM {
                pause.reset();
            } else {
                sleep(pause.next()).await;
            }
        }
    }

    /// Probes the server with a small write.
    async fn ask(&self, link: &mut Link) -> Result<(), Cause> {
        let key = [b"sparkler:1:{", self.suspect().as_slice(), b"}:probe"].concat();
        let mut probe = cmd("SET");
        probe.arg(key).arg("").arg("PX").arg(1000);
        match timeout(self.config.timeout, link.send(&probe)).await {
            Ok(Ok(_)) => Ok(()),
            Err(_) => Err(Cause::Late),
            Ok(Err(error)) => match Cause::of(&error) {
                // The server answers, and may still serve reads.
                Cause::Full => Ok(()),
                cause => Err(cause),
            },
        }
    }

    fn suspect(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.suspect.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the part of a key that selects its server in a Cluster.
fn hash_tag(key: &[u8]) -> &[u8] {
    let tag = || {
        let from = key.iter().position(|byte| *byte == b'{')? + 1;
        let length = key[from..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &key[from..from + length])
    };
    tag().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::hash_tag;

    #[test]
    fn the_hash_tag_is_what_stands_in_braces() {
        assert_eq!(hash_tag(b"sparkler:1:{ab}:flight"), b"ab");
        assert_eq!(hash_tag(b"plain"), b"plain");
        assert_eq!(hash_tag(b"{}empty"), b"{}empty");
    }
}
