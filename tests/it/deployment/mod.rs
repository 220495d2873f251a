//! What stands under `deploy/` and in `docs/operations.md` is about this worker:
//! the chart sets what the worker takes, the alerts and the dashboard ask for
//! what it measures. That the manifests are good Kubernetes is `deploy/check`'s
//! affair.

mod asked;
mod chart;
mod starting;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file of the repository.
fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
