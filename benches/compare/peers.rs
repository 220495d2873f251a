//! What users would pick instead: measured where it is on the machine, and run as
//! its makers advise.
//!
//! `--peers` installs those of PyPI, each into a virtual environment of its own,
//! once and within a time limit.

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
    process::{self, Child, Output},
    scene::Scene,
};

const INSTALL: Duration = Duration::from_secs(300);
const START: Duration = Duration::from_secs(60);

/// The peers of PyPI, with the package of each.
const PACKAGES: [(&str, &str); 2] = [("litellm", "litellm[proxy]"), ("vllm-router", "vllm-router")];

/// Installs the peers that are not on the machine; says why if one cannot be.
pub(crate) fn install_all(directory: &Path) {
    for (name, package) in PACKAGES {
        if program(name, directory).is_none()
            && let Err(error) = install(name, package, directory)
        {
            eprintln!("{error:#}");
        }
    }
}

/// Returns the path of a program: on the search path, or installed by `--peers`.
pub(crate) fn program(name: &str, directory: &Path) -> Option<PathBuf> {
    let environment = environment(name, directory);
    let installed = environment.join("installed").exists().then(|| environment.join("bin"));
    let search = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&search).chain(installed);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn found(name: &str, directory: &Path) -> anyhow::Result<PathBuf> {
    program(name, directory).with_context(|| format!("{name} is not on this machine"))
}

fn environment(name: &str, directory: &Path) -> PathBuf {
    directory.join("peers").join(name)
}

/// LiteLLM's proxy: one worker process, its in-memory cache on.
pub(crate) fn start_litellm(scene: &Scene<'_>, address: SocketAddr) -> anyhow::Result<Child> {
    let program = found("litellm", &scene.place.directory)?;
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
    let mut command = Command::new(program);
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
    let mut command = Command::new(found("vllm-router", &scene.place.directory)?);
    command
        .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--policy", "round_robin", "--log-level", "error"])
        .args(["--prometheus-port", &process::free_address()?.port().to_string()])
        .arg("--worker-urls")
        .arg(format!("http://{}", scene.upstream));
    Child::listening("vllm-router", &command, &scene.place.directory, address, START)
}

/// Makes the virtual environment with `package` in it.
fn install(name: &str, package: &str, directory: &Path) -> anyhow::Result<()> {
    let environment = environment(name, directory);
    eprintln!("installing {name} into {}", environment.display());
    let mut create = Command::new("python3");
    create.args(["-m", "venv", "--clear"]).arg(&environment);
    let mut install = Command::new(environment.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check"]).arg(package);
    for command in [create, install] {
        Child::start(&format!("install-{name}"), &command, directory, Output::Logged)
            .and_then(|mut child| child.finish(INSTALL))
            .with_context(|| format!("{name} cannot be installed"))?;
    }
    fs::write(environment.join("installed"), "")?;
    Ok(())
}
