//! The worker's notification channel: short messages from other workers through Redis.
//!
//! One channel for the worker's whole life, subscribed to over its own connection.
//! Messages may be lost (Redis stores none), so readers also poll now and then, and more
//! often while the channel is unhealthy.

use std::{sync::Arc, time::Duration};

use ::redis::{Value, aio::PubSub};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::{
    sync::{broadcast, watch},
    time::{sleep, timeout},
};

use super::{Cause, RedisConfig, link, pause::Pause};

/// The payload of a notification; its format belongs to the callers.
pub(crate) type Notification = Bytes;

/// The worker's notification channel. Cheap to clone; clones share one state.
#[derive(Debug, Clone)]
pub struct NotificationChannel {
    channel: Arc<str>,
    notifications: broadcast::Sender<Notification>,
    healthy: watch::Sender<bool>,
}

impl NotificationChannel {
    /// Notifications buffered for a slow reader; the oldest are dropped beyond that.
    const WAITING: usize = 4096;
    /// Interval of the pings that check the connection.
    const ASKED_EVERY: Duration = Duration::from_secs(1);
    /// Time limit of a ping or of subscribing.
    const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

    pub(super) fn new(instance: &str) -> NotificationChannel {
        NotificationChannel {
            channel: format!("sparkler:1:notify:{instance}").into(),
            notifications: broadcast::Sender::new(NotificationChannel::WAITING),
            healthy: watch::Sender::new(false),
        }
    }

    /// Returns the name of the channel that reaches this worker.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// Subscribes to all further notifications. A reader that lags misses some.
    pub fn subscribe(&self) -> broadcast::Receiver<Notification> {
        self.notifications.subscribe()
    }

    /// Returns true if notifications arrive, as far as known.
    pub fn is_healthy(&self) -> bool {
        *self.healthy.borrow()
    }

    /// Returns a watch on the channel's health.
    pub fn health(&self) -> watch::Receiver<bool> {
        self.healthy.subscribe()
    }

    /// Receives notifications forever. Reconnects after every failure, and when
    /// `reconnected` changes because the server may be another one.
    pub(super) async fn keep(self, config: RedisConfig, mut reconnected: watch::Receiver<u64>) {
        let mut pause = Pause::default();
        loop {
            if let Ok(connection) = self.connect(&config).await {
                pause.reset();
                reconnected.mark_unchanged();
                self.healthy.send_replace(true);
                tokio::select! {
                    () = self.receive(connection) => {}
                    _ = reconnected.changed() => {}
                }
                self.healthy.send_replace(false);
            }
            // The supervisor's new connection shows that there is a server to subscribe
            // to.
            let found = reconnected.changed();
            let _ = timeout(pause.next(), found).await;
        }
    }

    async fn connect(&self, config: &RedisConfig) -> Result<PubSub, Cause> {
        let mut connection = link::dial_subscriber(config).await?;
        let subscribing = connection.subscribe(&*self.channel);
        let subscribed = timeout(NotificationChannel::ANSWERS_WITHIN, subscribing).await;
        subscribed.map_err(|_| Cause::Late)?.map_err(|error| Cause::of(&error))?;
        Ok(connection)
    }

    /// Forwards notifications until the connection ends or the server stops answering.
    async fn receive(&self, connection: PubSub) {
        let (mut asking, mut messages) = connection.split();
        let taking = async {
            while let Some(message) = messages.next().await {
                // There may be no reader.
                let _ =
                    self.notifications.send(Bytes::copy_from_slice(message.get_payload_bytes()));
            }
        };
        let watching = async {
            loop {
                sleep(NotificationChannel::ASKED_EVERY).await;
                let answer =
                    timeout(NotificationChannel::ANSWERS_WITHIN, asking.ping::<Value>()).await;
                if !matches!(answer, Ok(Ok(_))) {
                    return;
                }
            }
        };
        tokio::select! {
            () = taking => {}
            () = watching => {}
        }
    }
}
