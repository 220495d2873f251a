//! What users would pick instead and can be had from PyPI: installed on demand,
//! each into a virtual environment of its own, and run as its makers advise.
//!
//! Not installed unless `--peers` asks for it. One that cannot be installed or
//! started is a row that says so.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context;

use crate::{
    call::API_KEY,
    contestant::Scene,
    process::{self, Child, Output},
};

const INSTALL: Duration = Duration::from_secs(900);
const START: Duration = Duration::from_secs(120);

/// LiteLLM's proxy: one worker process, its in-memory cache on.
pub(crate) fn start_litellm(scene: &Scene<'_>, address: SocketAddr) -> anyhow::Result<Child> {
    let environment = install("litellm", &["litellm[proxy]"], &scene.place.directory)?;
    let file = scene.place.directory.join("litellm.yaml");
    fs::write(
        &file,
        format!(
            "model_list:
  - model_name: measured
    litellm_params:
      model: openai/measured
      api_base: http://{}/inference/v1
      api_key: {API_KEY}
general_settings:
  master_key: {API_KEY}
litellm_settings:
  num_retries: 0
  telemetry: false
  cache: true
  cache_params:
    type: local
",
            scene.upstream
        ),
    )?;
    let mut command = Command::new(environment.join("bin/litellm"));
    command
        .args(["--host", "127.0.0.1", "--num_workers", "1", "--port"])
        .arg(address.port().to_string())
        .arg("--config")
        .arg(&file)
        // Its price list, which it would otherwise fetch.
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("LITELLM_LOG", "ERROR");
    Child::listening("litellm", &command, &scene.place.directory, address, START)
}

/// vllm-router, which has no cache.
pub(crate) fn start_vllm_router(scene: &Scene<'_>, address: SocketAddr) -> anyhow::Result<Child> {
    let environment = install("vllm-router", &["vllm-router"], &scene.place.directory)?;
    let mut command = Command::new(environment.join("bin/vllm-router"));
    command
        .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--policy", "round_robin", "--log-level", "error"])
        .args(["--prometheus-port", &process::free_address()?.port().to_string()])
        .arg("--worker-urls")
        .arg(format!("http://{}", scene.upstream));
    Child::listening("vllm-router", &command, &scene.place.directory, address, START)
}

/// The virtual environment with `packages` in it; made where it is missing.
fn install(name: &str, packages: &[&str], directory: &Path) -> anyhow::Result<PathBuf> {
    let environment = directory.join("peers").join(name);
    let finished = environment.join("installed");
    if finished.exists() {
        return Ok(environment);
    }
    eprintln!("installing {name} into {}", environment.display());
    let mut create = Command::new("python3");
    create.args(["-m", "venv", "--clear"]).arg(&environment);
    let mut install = Command::new(environment.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages);
    for command in [create, install] {
        Child::start(&format!("install-{name}"), &command, directory, Output::Logged)
            .and_then(|mut child| child.finish(INSTALL))
            .with_context(|| format!("{name} cannot be installed"))?;
    }
    fs::write(finished, "")?;
    Ok(environment)
}
