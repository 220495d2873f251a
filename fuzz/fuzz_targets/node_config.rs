//! Node configurations of any JSON, for every node: planned or refused with a
//! field for each problem, never a panic; and what is planned means the same
//! when it is planned again.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use sparkler::{internals::{Client, ClientConfig, OutputFormat}, node::{Input, Registry}};

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    Registry::new(Client::new(ClientConfig::default()).expect("the default is a client"))
});

fuzz_target!(|input: &[u8]| {
    let Ok(mut config) = serde_json::from_slice::<Map<String, Value>>(input) else {
        return;
    };
    // Nearly nothing gets past a missing model.
    config.entry("modelName").or_insert_with(|| "accounts/fireworks/models/m".into());
    for form in REGISTRY.forms() {
        let node = REGISTRY.find(form.name()).expect("it is listed");
        let plan = |config| node.plan(config, Input::Prompt("x".to_owned()), &OutputFormat::Text);
        match plan(config.clone()) {
            Ok(planned) => {
                let again = plan(config.clone()).expect("it was planned before");
                assert!(planned.identity == again.identity);
            }
            Err(violations) => {
                assert!(!violations.is_empty());
                assert!(violations.iter().all(|violation| !violation.description.is_empty()));
            }
        }
    }
});
