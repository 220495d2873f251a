//! The worker's mailbox: short notices from other workers, by way of Redis.
//!
//! One channel for the worker's whole life, subscribed to over a connection of
//! its own. Notices may be lost (Redis keeps none): whoever waits for one looks
//! for itself now and then, and more often while the mailbox is not healthy.

use std::{sync::Arc, time::Duration};

use ::redis::{Value, aio::PubSub};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::{
    sync::{broadcast, watch},
    time::{sleep, timeout},
};

use super::{Cause, RedisConfig, link, pause::Pause};

/// What a notice says; its content is the users' affair.
pub type Notification = Bytes;

/// The worker's mailbox. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct NotificationChannel {
    channel: Arc<str>,
    notifications: broadcast::Sender<Notification>,
    healthy: watch::Sender<bool>,
}

impl NotificationChannel {
    /// Notices that wait for a slow reader; the oldest are lost beyond that.
    const WAITING: usize = 4096;
    /// How often the server is asked whether it is still there.
    const ASKED_EVERY: Duration = Duration::from_secs(1);
    /// How long it may take to answer that, or to let the worker subscribe.
    const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

    pub(super) fn new(instance: &str) -> NotificationChannel {
        NotificationChannel {
            channel: format!("sparkler:1:notify:{instance}").into(),
            notifications: broadcast::Sender::new(NotificationChannel::WAITING),
            healthy: watch::Sender::new(false),
        }
    }

    /// The channel that reaches this worker.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// Every notice from now on. A reader that lags misses some.
    pub fn subscribe(&self) -> broadcast::Receiver<Notification> {
        self.notifications.subscribe()
    }

    /// Whether notices arrive, as far as is known.
    pub fn is_healthy(&self) -> bool {
        *self.healthy.borrow()
    }

    /// The same, to be waited for.
    pub fn health(&self) -> watch::Receiver<bool> {
        self.healthy.subscribe()
    }

    /// Listens for ever, connecting again whenever it has to, and when `redialled`
    /// says that the server has become another.
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
            // Where the keeper has found a server there is one to listen to.
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

    /// Takes notices until the connection ends, or the server no longer answers.
    async fn receive(&self, connection: PubSub) {
        let (mut asking, mut messages) = connection.split();
        let taking = async {
            while let Some(message) = messages.next().await {
                // Nobody may be there to read it.
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
