//! A worker explains itself to a client that has no schema.

use serde_json::Value;

use crate::{
    clients::client::{finish, installed},
    support::World,
};

/// `buf curl`, which learns the schema by reflection.
async fn curl(arguments: &[&str]) -> String {
    let mut command = installed("clients/typescript", "node_modules/.bin/buf");
    command.args(["curl", "--http2-prior-knowledge", "--protocol", "grpc"]).args(arguments);
    let output = finish(command).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let world = World::start().await;
    let services = curl(&["--list-services", &world.url()]).await;
    for service in ["grpc.health.v1.Health", "sparkler.worker.v1.WorkerService"] {
        assert!(services.lines().any(|line| line == service), "{services}");
    }
}

#[tokio::test]
async fn a_call_needs_no_schema() {
    let world = World::start().await;
    let method = format!("{}/sparkler.worker.v1.WorkerService/ListNodeTypes", world.url());
    let answer: Value = serde_json::from_str(&curl(&[&method]).await).expect("JSON");
    let names: Vec<&Value> =
        answer["nodeTypes"].as_array().expect("a list").iter().map(|node| &node["name"]).collect();
    assert_eq!(names, ["chatFireworks", "fireworks", "fireworksEmbeddings"]);
    let health = format!("{}/grpc.health.v1.Health/Check", world.url());
    let answer: Value = serde_json::from_str(&curl(&[&health]).await).expect("JSON");
    assert_eq!(answer["status"], "SERVING");
}
