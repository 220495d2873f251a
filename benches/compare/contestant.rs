//! Who is measured, and how each is started in front of the upstream.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::Context;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    answer::Answer,
    floor, nginx, peers,
    plan::Face,
    process::{self, Child},
    scene::{Place, Protocol, Scene},
    sink, upstream,
};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Contestant {
    /// The upstream itself.
    Direct,
    Sparkler,
    /// Sparkler, which traces one call in a hundred.
    Sampled,
    /// Sparkler, which traces every call.
    Traced,
    Floor,
    /// The floor, where it asks the upstream for an answer in one piece.
    FloorAskingWhole,
    Nginx,
    LiteLlm,
    VllmRouter,
}

impl Contestant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "no worker",
            Self::Sparkler => "Sparkler",
            Self::Sampled => "Sparkler, 1 % of calls traced",
            Self::Traced => "Sparkler, all calls traced",
            Self::Floor => "floor",
            Self::FloorAskingWhole => "floor, not asking for a stream",
            Self::Nginx => "nginx",
            Self::LiteLlm => "LiteLLM",
            Self::VllmRouter => "vllm-router",
        }
    }

    /// Returns the program that has to be on the machine, if it is not the project's own.
    fn program(self) -> Option<&'static str> {
        match self {
            Self::Nginx => Some("nginx"),
            Self::LiteLlm => Some("litellm"),
            Self::VllmRouter => Some("vllm-router"),
            _ => None,
        }
    }

    /// Returns true if it can be measured on this machine.
    pub(crate) fn is_here(self, place: &Place) -> bool {
        self.program().is_none_or(|name| peers::program(name, &place.directory).is_some())
    }

    /// Starts it, and returns when it accepts connections.
    pub(crate) fn start(self, scene: &Scene<'_>) -> anyhow::Result<Running> {
        let address = process::free_address()?;
        let execute_node =
            |child| Running { child: Some(child), collector: None, address, face: Face::Grpc };
        match self {
            Self::Direct => Ok(openai(None, scene.upstream, "")),
            Self::Sparkler => sparkler(scene, address, None).map(execute_node),
            Self::Sampled => traced(scene, address, 0.01),
            Self::Traced => traced(scene, address, 1.0),
            Self::Floor => floor(scene, address, false).map(execute_node),
            Self::FloorAskingWhole => floor(scene, address, true).map(execute_node),
            Self::Nginx => {
                let child = nginx::start(scene, address)?;
                Ok(openai(Some(child), address, "/inference"))
            }
            Self::LiteLlm => {
                let child = peers::start_litellm(scene, address)?;
                Ok(openai(Some(child), address, ""))
            }
            Self::VllmRouter => {
                let child = peers::start_vllm_router(scene, address)?;
                Ok(openai(Some(child), address, ""))
            }
        }
    }
}

fn openai(child: Option<Child>, address: SocketAddr, prefix: &str) -> Running {
    let path = format!("{prefix}/v1/chat/completions");
    let face = Face::Http { path, model: "measured".to_owned() };
    Running { child, collector: None, address, face }
}

/// A contestant under way; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Option<Child>,
    /// The collector of its traces; its cost is not measured.
    #[expect(dead_code, reason = "held for its drop")]
    collector: Option<Child>,
    pub(crate) address: SocketAddr,
    pub(crate) face: Face,
}

impl Running {
    /// Whose cost is measured.
    pub(crate) fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

/// How long one of the project's own programs may take to listen.
const START: Duration = Duration::from_secs(10);

/// Starts the upstream.
pub(crate) fn start_upstream(
    answer: Answer,
    directory: &Path,
) -> anyhow::Result<(Child, SocketAddr)> {
    let address = process::free_address()?;
    let command = role("upstream", &upstream::Options { address, answer })?;
    let child = Child::listening("upstream", &command, directory, address, START)?;
    Ok((child, address))
}

fn floor(scene: &Scene<'_>, address: SocketAddr, asks_whole: bool) -> anyhow::Result<Child> {
    let Scene { upstream, protocol, threads, .. } = *scene;
    let options = floor::Options { address, upstream, protocol, threads, asks_whole };
    let command = role("floor", &options)?;
    Child::listening("floor", &command, &scene.place.directory, address, START)
}

/// A collector of traces, and Sparkler that exports a share of its calls to it.
fn traced(scene: &Scene<'_>, address: SocketAddr, share: f64) -> anyhow::Result<Running> {
    let options = sink::Options { address: process::free_address()? };
    let command = role("sink", &options)?;
    let directory = &scene.place.directory;
    let collector = Child::listening("sink", &command, directory, options.address, START)?;
    let child = sparkler(scene, address, Some((options.address, share)))?;
    Ok(Running { child: Some(child), collector: Some(collector), address, face: Face::Grpc })
}

fn sparkler(
    scene: &Scene<'_>,
    address: SocketAddr,
    traced: Option<(SocketAddr, f64)>,
) -> anyhow::Result<Child> {
    let mut command = Command::new(&scene.place.sparkler);
    let protocol = match scene.protocol {
        Protocol::Http1 => "http1",
        Protocol::Http2 => "http2",
    };
    command
        .arg("serve")
        // As the chart runs it.
        .env("SPARKLER_LOG_FORMAT", "json")
        .env("SPARKLER_LISTEN", address.to_string())
        .env("SPARKLER_ADMIN_LISTEN", process::free_address()?.to_string())
        .env("SPARKLER_FIREWORKS_BASE_URL", format!("http://{}/inference/v1", scene.upstream))
        .env("SPARKLER_FIREWORKS_PROTOCOL", protocol)
        .env("SPARKLER_WORKER_THREADS", scene.threads.to_string());
    if let Some((collector, share)) = traced {
        command
            .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("http://{collector}"))
            .env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
            .env("OTEL_TRACES_SAMPLER_ARG", share.to_string());
    }
    Child::listening("sparkler", &command, &scene.place.directory, address, START)
}

/// This executable in another role.
pub(crate) fn role(name: &str, options: &impl Serialize) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(name).arg(serde_json::to_string(options)?);
    Ok(command)
}

/// What [`role`] was given.
pub(crate) fn options<T: DeserializeOwned>(argument: Option<String>) -> anyhow::Result<T> {
    let argument = argument.context("a role needs its options")?;
    serde_json::from_str(&argument).context("a role's options")
}
