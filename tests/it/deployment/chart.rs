//! The chart as it renders: `deploy/check` holds `deploy/helm/golden` to it.

use std::fs;

use super::{read, root};

/// A set of the chart's values, rendered.
pub(crate) struct Rendered {
    pub(crate) name: String,
    /// The worker's environment. What Kubernetes fills in has no value.
    pub(crate) environment: Vec<(String, Option<String>)>,
}

/// Every set there is.
pub(crate) fn rendered() -> Vec<Rendered> {
    let files = fs::read_dir(root().join("deploy/helm/golden")).expect("the rendered charts");
    let paths = files.map(|file| file.expect("a file").path());
    let rendered: Vec<Rendered> = paths
        .map(|path| Rendered {
            name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            environment: environment(&read(&path)),
        })
        .collect();
    assert!(rendered.len() >= 4, "there are {}", rendered.len());
    rendered
}

/// The entries of `env:` of the one container.
fn environment(manifests: &str) -> Vec<(String, Option<String>)> {
    let (_, container) = manifests.split_once("          env:\n").expect("an environment");
    let (entries, _) = container.split_once("          ports:\n").expect("ports after it");
    entries
        .split("            - name: ")
        .skip(1)
        .map(|entry| {
            let (name, rest) = entry.split_once('\n').expect("more than a name");
            let line = rest.lines().next().unwrap_or_default().trim();
            let value = line.strip_prefix("value: ").map(|value| value.trim_matches('"'));
            (name.to_owned(), value.map(str::to_owned))
        })
        .collect()
}
