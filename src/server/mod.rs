//! The worker as a server: gRPC with health and reflection, and the admin pages
//! over HTTP. Takes its shutdown signal as an argument, and stops in stages.
//!
//! Shutdown, in order: health reports NOT_SERVING while calls are still accepted;
//! new calls are refused and connections receive GOAWAY; executions continue up to
//! the drain limit; the rest end with WORKER_DRAINING; then the server is dropped,
//! even if sockets hang. (The gRPC stack alone would wait forever for an idle
//! socket or an open health watch.)

mod accepting;
mod authentication;
mod bounded_tasks;
mod connection;
mod fleet;
mod handshake;
mod health;
mod ingress;
mod notice;
mod receiving;
mod side_ports;
mod unhandled;
mod watching;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    http::{Extensions, StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{sleep, timeout};
use tonic::{
    service::Routes,
    transport::{self, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};

use self::{
    accepting::listen,
    authentication::Authentication,
    connection::Peer,
    fleet::{fleet, meet},
    handshake::{Terms, connections},
    health::probes,
    ingress::{Ingress, Stages},
    notice::NOTICE,
    receiving::Receiving,
    side_ports::{serve_pages, serve_probes},
    watching::Watches,
};
use crate::{
    admission::Admission,
    cache::Memory,
    config::{Config, ConnectionAge, IngressConfig},
    cooldown::Cooldowns,
    execution::{
        Executor, Lifetimes, ModelRecords, Notices, Prefixes, Services, response::CacheStatus,
    },
    fireworks::Client,
    flight::Flights,
    grpc::Service,
    lifecycle::{DrainLimits, Lifecycle, Stage},
    metrics::{Metrics, Signal},
    node::Registry,
    price::PriceList,
    proto::{FILE_DESCRIPTOR_SET, worker_service_server::WorkerServiceServer},
    quota::{QuotaLimits, Quotas, Shared},
    redis::Connection,
    secrets::Secrets,
    telemetry::{Observer, Pipeline, Telemetry},
};

/// The names known to the health service: the whole worker, and its gRPC service.
const HEALTH_NAMES: [&str; 2] = ["", "sparkler.worker.v1.WorkerService"];

/// Time for ended streams to reach their callers.
const FAREWELL: Duration = Duration::from_secs(1);

/// Maximum size of a reflection request: it holds names.
const MAX_QUESTION_BYTES: usize = 4 << 10;

/// A worker whose ports are bound, but that is not yet serving.
#[derive(Debug)]
pub struct Server {
    services: Arc<Services>,
    incoming: TcpIncoming,
    local_addr: SocketAddr,
    health_incoming: Option<TcpIncoming>,
    admin: TcpIncoming,
    admin_addr: SocketAddr,
    health: HealthReporter,
    ingress: IngressConfig,
    limits: Option<QuotaLimits>,
    drain: DrainLimits,
    max_message_bytes: usize,
    reflection: bool,
}

impl Server {
    /// Builds a worker and binds its ports; answers nothing yet. A worker of a
    /// fleet first waits briefly for its Redis, so that its first calls are shared.
    ///
    /// # Errors
    ///
    /// Fails if the configuration cannot be applied, or a port cannot be bound.
    pub async fn bind(config: Config) -> anyhow::Result<Server> {
        let services = services(&config)?;
        if let Some(fleet) = &services.fleet {
            meet(fleet).await;
        }
        Server::bind_with(config, services).await
    }

    /// Binds the ports like [`bind`](Server::bind), with services of its own, such as
    /// those of [`services`] with another node in the registry.
    pub async fn bind_with(config: Config, services: Services) -> anyhow::Result<Server> {
        let incoming = listen(config.listen, "gRPC")?;
        let health_incoming =
            config.ingress.health_listen.map(|address| listen(address, "health")).transpose()?;
        let admin = listen(config.admin_listen, "HTTP")?;
        let health = HealthReporter::new();
        for name in HEALTH_NAMES {
            health.set_service_status(name, ServingStatus::NotServing).await;
        }
        Ok(Server {
            local_addr: incoming.local_addr()?,
            incoming,
            health_incoming,
            admin_addr: admin.local_addr()?,
            admin,
            health,
            ingress: config.ingress,
            limits: config.limits,
            drain: config.drain,
            // Room to report an input as too large. Data is charged as it arrives,
            // whatever its total.
            max_message_bytes: config.execution.max_input_bytes.saturating_mul(4),
            reflection: config.reflection,
            services: Arc::new(services),
        })
    }

    /// Returns the address of the gRPC port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the address of the separate health port, if there is one.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health_incoming.as_ref().and_then(|incoming| incoming.local_addr().ok())
    }

    /// Returns the address of the admin pages.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Registers `read` as the source of the number of lost log lines.
    pub fn watch_lost_lines(&self, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.services.metrics.watch_dropped(Signal::Logs, read);
    }

    /// Serves until `shutdown` resolves, then stops within its limits. In every
    /// case the remaining telemetry is delivered, within its own limit.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let telemetry = self.services.telemetry.clone();
        let served = self.serve(shutdown).await;
        telemetry.pipeline().shut_down().await;
        served
    }

    async fn serve(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let service = self.service()?;
        let Server { services, incoming, admin, health, ingress, limits, drain, .. } = self;
        let lifecycle = services.lifecycle.clone();
        follow(&ingress, limits, services.prices.clone(), &lifecycle);
        ingress.callers.watch(&services.metrics);
        if let Some(tls) = &ingress.tls {
            tls.record(&services.metrics);
        }
        for name in HEALTH_NAMES {
            health.set_service_status(name, ServingStatus::Serving).await;
        }
        let going_away = lifecycle.clone();
        let transport = transport(&ingress);
        let metrics = services.metrics.clone();
        let terms = Terms {
            tls: ingress.tls,
            age: ingress.age,
            lifecycle: Some(lifecycle.clone()),
            metrics: metrics.clone(),
        };
        let connections = until_draining(connections(incoming, terms), lifecycle.clone());
        let serving = transport.serve_with_incoming_shutdown(service, connections, async move {
            going_away.reached(Stage::Draining).await;
            sleep(NOTICE).await;
        });
        let pages = admin_pages(lifecycle.clone(), metrics.clone());
        lifecycle.spawn(serve_pages(admin, pages));
        if let Some(incoming) = self.health_incoming {
            let answers = Routes::new(probes(&health)).into_axum_router();
            lifecycle.spawn(serve_probes(incoming, answers, metrics));
        }
        let stopping = async {
            shutdown.await;
            stop(&services, &health, drain).await;
        };
        tokio::pin!(serving, stopping);
        tokio::select! {
            served = &mut serving => {
                served.context("the gRPC server failed")?;
                // Every connection has closed while the worker was draining.
                stopping.await;
            }
            () = &mut stopping => {
                // All executions have ended; only sockets and watches can still
                // hang.
                let _ = timeout(FAREWELL, serving).await;
            }
        }
        lifecycle.abort();
        let _ = timeout(FAREWELL, lifecycle.idle()).await;
        Ok(())
    }

    /// Builds the service of the gRPC port.
    fn service(&self) -> anyhow::Result<Ingress> {
        let services = self.services.clone();
        let service = Service::new(Executor::new(services.clone()));
        let stages = Stages {
            observer: self.observer(),
            receiving: Receiving {
                services,
                limit: self.ingress.request_timeout,
                watches: Watches::new(self.ingress.age),
            },
            authentication: Authentication::new(self.ingress.callers.clone(), self.ingress.age),
            max_message_bytes: self.max_message_bytes,
            worker: WorkerServiceServer::new(service)
                .max_decoding_message_size(self.max_message_bytes),
            open: self.open()?,
        };
        Ok(Ingress(Arc::new(stages)))
    }

    fn observer(&self) -> Observer {
        let metrics = self.services.metrics.clone();
        let caller_of = |extensions: &Extensions| extensions.get::<Peer>()?.address;
        Observer::new(self.services.telemetry.clone(), caller_of, move |call| {
            metrics.rpc_ended(call.method, call.status, call.took);
            if !call.has_owner {
                unhandled::record_unhandled_call(&call, &metrics);
            }
        })
    }

    /// Builds the services that are open to everyone: health, and reflection if
    /// enabled.
    fn open(&self) -> anyhow::Result<Routes> {
        let mut routes = Routes::builder();
        routes.add_service(probes(&self.health));
        if self.reflection {
            let describe = || {
                tonic_reflection::server::Builder::configure()
                    .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                    .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            };
            let (v1, v1alpha) = (describe().build_v1()?, describe().build_v1alpha()?);
            routes
                .add_service(v1.max_decoding_message_size(MAX_QUESTION_BYTES))
                .add_service(v1alpha.max_decoding_message_size(MAX_QUESTION_BYTES));
        }
        Ok(routes.routes().prepare())
    }
}

/// Builds the services of a worker from its configuration.
///
/// # Errors
///
/// Fails if the provider's client or the telemetry cannot be set up.
pub fn services(config: &Config) -> anyhow::Result<Services> {
    let client = Client::new(config.fireworks.clone())?;
    let mut pipeline = Pipeline::start(&config.telemetry)?;
    let metrics = Metrics::new(config.telemetry.conventions, |meters| pipeline.complete(meters));
    let telemetry = Telemetry::new(pipeline, metrics.provider().clone(), &config.telemetry);
    let lifecycle = Lifecycle::new();
    let redis = config
        .fleet
        .as_ref()
        .map(|fleet| Connection::open(fleet.redis.clone(), &lifecycle, &metrics));
    let cooldowns = Cooldowns::new(config.refusals_for, !client.is_fireworks(), metrics.clone());
    let models = ModelRecords::new(
        client.clone(),
        config.cache_secret.clone(),
        Lifetimes { answers: config.models_for, failures: config.refusals_for },
    );
    let services = Services {
        registry: Registry::new(client.clone()),
        fireworks: client,
        memory: Memory::new(config.memory),
        flights: Flights::new(config.flights),
        fleet: redis.clone().and_then(|redis| fleet(config, redis, &lifecycle)),
        prices: config.prices.clone(),
        secrets: Secrets::new(config.secrets_dir.clone()),
        cache_secret: config.cache_secret.clone(),
        other_secrets: config.fleet.clone().map_or(Vec::new(), |fleet| fleet.other_secrets),
        admission: Admission::new(config.admission),
        quotas: Quotas::new(
            config.limits.clone(),
            redis.map(|redis| Shared { redis, naming_key: config.cache_secret.naming_key() }),
        ),
        cooldowns,
        prefixes: Prefixes::new(),
        notices: Notices::new(
            models.clone(),
            config.prices.clone(),
            lifecycle.clone(),
            metrics.clone(),
        ),
        models,
        lifecycle,
        metrics,
        retry: config.retry.clone(),
        settings: config.execution.clone(),
        telemetry,
    };
    watch(&services, config);
    Ok(services)
}

/// Registers the gauges that are read from other modules. The flights are held
/// weakly: the services own both them and the metrics.
fn watch(services: &Services, config: &Config) {
    let Services { metrics, admission, lifecycle, flights, telemetry, .. } = services;
    let dropped = telemetry.pipeline().dropped.clone();
    metrics.watch_dropped(Signal::Traces, move || dropped.spans());
    let slots = || admission.clone();
    let (limit, taken, queued) = (slots(), slots(), slots());
    metrics.watch_admission(
        move || limit.limit() as u64,
        move || taken.taken() as u64,
        move || queued.queued() as u64,
    );
    let lifecycle = lifecycle.clone();
    metrics.watch_drain(move || lifecycle.stage() as u64);
    let flights = Arc::downgrade(flights);
    metrics.watch_flights(move || flights.upgrade().map_or(0, |flights| flights.count() as u64));
    let charged = admission.clone();
    metrics.watch_memory(config.memory_shares(), move || charged.bytes());
    for model in config.prices.current().models() {
        metrics.model_is_real(model);
    }
    let statuses = CacheStatus::ALL.map(CacheStatus::as_str);
    for form in services.registry.forms() {
        metrics.node_is_served(form.name(), &statuses);
    }
}

/// Accepts no connection once the worker drains; those that are open have their
/// notice then. The stream never ends: its end would close them.
fn until_draining<C: Send>(
    connections: impl Stream<Item = C> + Send,
    lifecycle: Lifecycle,
) -> impl Stream<Item = C> + Send {
    let draining = async move { lifecycle.reached(Stage::Draining).await };
    connections.take_until(Box::pin(draining)).chain(stream::pending())
}

/// Follows the operator's files for the lifetime of the worker.
fn follow(
    ingress: &IngressConfig,
    limits: Option<QuotaLimits>,
    prices: PriceList,
    lifecycle: &Lifecycle,
) {
    let callers = ingress.callers.clone();
    lifecycle.spawn(async move { callers.follow().await });
    if let Some(tls) = ingress.tls.clone() {
        lifecycle.spawn(async move { tls.follow().await });
    }
    if let Some(limits) = limits {
        lifecycle.spawn(async move { limits.follow().await });
    }
    lifecycle.spawn(async move { prices.follow().await });
}

/// Configures the transport. Token deltas are tiny: windows stay at their defaults,
/// and Nagle's algorithm is off on the sockets.
///
/// A caller may reset all of its concurrent calls at once, as when a flow with
/// hundreds of nodes is stopped; anything beyond that is a flood, and HTTP/2 ends
/// the connection. [`connection`] enforces the grace period of an old connection:
/// given both, tonic would cut without the GOAWAY that makes clients move.
fn transport(ingress: &IngressConfig) -> transport::Server {
    let mut server = transport::Server::builder();
    if let Some(ConnectionAge { limit, .. }) = ingress.age {
        server = server.max_connection_age(limit.saturating_add(NOTICE));
    }
    let resets = ingress.streams_per_connection as usize;
    server
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .http2_max_header_list_size(16 * 1024)
        .http2_max_pending_accept_reset_streams(Some(resets))
        .http2_max_local_error_reset_streams(Some(resets.max(1024)))
        .max_concurrent_streams(ingress.streams_per_connection)
}

/// Builds the admin pages. Liveness means that the process answers; readiness means
/// that it accepts calls. Neither depends on the provider. Metrics are in the
/// Prometheus text format.
fn admin_pages(lifecycle: Lifecycle, metrics: Metrics) -> Router {
    let ready = move || async move {
        match lifecycle.stage() {
            Stage::Serving => (StatusCode::OK, "ready\n"),
            Stage::Leaving | Stage::Draining | Stage::Stopping => {
                (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
            }
        }
    };
    let page = move || async move { ([(CONTENT_TYPE, Metrics::PAGE_TYPE)], metrics.page()) };
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(page))
}

async fn stop(services: &Services, health: &HealthReporter, limits: DrainLimits) {
    let lifecycle = &services.lifecycle;
    tracing::info!(executions = services.admission.taken(), "draining: new calls are refused");
    lifecycle.advance(Stage::Leaving);
    for name in HEALTH_NAMES {
        health.set_service_status(name, ServingStatus::NotServing).await;
    }
    sleep(limits.pre_drain_delay).await;
    lifecycle.advance(Stage::Draining);
    if timeout(limits.drain_limit, services.admission.idle()).await.is_ok() {
        return;
    }
    tracing::warn!(
        executions = services.admission.taken(),
        "drain limit reached; aborting remaining executions"
    );
    services.metrics.executions_cut(services.admission.taken() as u64);
    lifecycle.advance(Stage::Stopping);
    services.flights.abandon_all();
    let _ = timeout(FAREWELL, services.admission.idle()).await;
}
