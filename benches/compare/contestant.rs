//! Who is measured, and how each is started in front of the upstream.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    answer::Answer,
    call::Face,
    floor, nginx, peers,
    process::{self, Child},
    upstream,
};

/// What is spoken to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Protocol {
    Http1,
    /// Without TLS, and without asking first.
    Http2,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Contestant {
    /// The upstream itself.
    Direct,
    Sparkler,
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
            Self::Floor => "floor",
            Self::FloorAskingWhole => "floor, not asking for a stream",
            Self::Nginx => "nginx",
            Self::LiteLlm => "LiteLLM",
            Self::VllmRouter => "vllm-router",
        }
    }

    /// Starts it, and returns when it accepts connections.
    pub(crate) fn start(self, scene: &Scene<'_>) -> anyhow::Result<Running> {
        let address = process::free_address()?;
        let execute_node = |child| Running { child: Some(child), address, face: Face::Grpc };
        match self {
            Self::Direct => Ok(Running { child: None, address: scene.upstream, face: openai("") }),
            Self::Sparkler => sparkler(scene, address).map(execute_node),
            Self::Floor => floor(scene, address, false).map(execute_node),
            Self::FloorAskingWhole => floor(scene, address, true).map(execute_node),
            Self::Nginx => {
                let child = nginx::start(scene, address)?;
                Ok(Running { child: Some(child), address, face: openai("/inference") })
            }
            Self::LiteLlm => {
                let child = peers::start_litellm(scene, address)?;
                Ok(Running { child: Some(child), address, face: openai("") })
            }
            Self::VllmRouter => {
                let child = peers::start_vllm_router(scene, address)?;
                Ok(Running { child: Some(child), address, face: openai("") })
            }
        }
    }
}

fn openai(prefix: &str) -> Face {
    Face::Http { path: format!("{prefix}/v1/chat/completions"), model: "measured".to_owned() }
}

/// What a contestant is put into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) upstream: SocketAddr,
    /// Spoken by those that have a choice.
    pub(crate) protocol: Protocol,
    /// Runtime threads of those that have a choice.
    pub(crate) threads: usize,
    pub(crate) place: &'a Place,
}

/// What stays the same from experiment to experiment.
#[derive(Debug)]
pub(crate) struct Place {
    /// The worker under test.
    pub(crate) sparkler: PathBuf,
    /// For configurations and logs.
    pub(crate) directory: PathBuf,
}

/// A contestant under way; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Option<Child>,
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

fn sparkler(scene: &Scene<'_>, address: SocketAddr) -> anyhow::Result<Child> {
    let mut command = Command::new(&scene.place.sparkler);
    let protocol = match scene.protocol {
        Protocol::Http1 => "http1",
        Protocol::Http2 => "http2",
    };
    command
        .arg("serve")
        .env("SPARKLER_LISTEN", address.to_string())
        .env("SPARKLER_ADMIN_LISTEN", process::free_address()?.to_string())
        .env("SPARKLER_FIREWORKS_BASE_URL", format!("http://{}/inference/v1", scene.upstream))
        .env("SPARKLER_FIREWORKS_PROTOCOL", protocol)
        .env("SPARKLER_WORKER_THREADS", scene.threads.to_string());
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
