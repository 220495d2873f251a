//! `sparkler execute`: what its flags, its files and its environment become in
//! the request.

use sparkler::proto::{
    CachePolicy, ChatMessage, ExecutionContext, ExecutionLimits,
    cache_policy::{Mode, Scope},
    credential::Source,
    execute_node_request::Input,
    execution_limits::OnCancel,
};

use crate::{
    cli::{
        execute::hello,
        program::{Program, file, path},
    },
    support::scripted_worker::ScriptedWorker,
};

#[tokio::test]
async fn the_prompt_can_come_from_stdin() {
    let worker = ScriptedWorker::start(hello()).await;
    Program::calling(&worker, &["execute", "-"]).stdin("two\nlines\n").run().await;
    assert!(worker.executed().input == Some(Input::Prompt("two\nlines".to_owned())));
}

#[tokio::test]
async fn a_conversation_comes_from_a_file_or_from_stdin() {
    let worker = ScriptedWorker::start(hello()).await;
    let json = r#"[{"role": "user", "content": "Hello?"}]"#;
    let conversation = file(json);
    for source in [path(&conversation), "-"] {
        let run =
            Program::calling(&worker, &["execute", "--messages", source]).stdin(json).run().await;
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let Some(Input::Chat(chat)) = worker.executed().input else {
            panic!("no conversation came");
        };
        let message = ChatMessage {
            role: "user".to_owned(),
            content: "Hello?".to_owned(),
            ..ChatMessage::default()
        };
        assert_eq!(chat.messages, [message]);
    }
}

#[tokio::test]
async fn texts_come_from_a_list_or_from_lines() {
    let worker = ScriptedWorker::start(hello()).await;
    for (content, expected) in [
        (r#"["one", "two\nlines"]"#, ["one", "two\nlines"]),
        ("one\n\nanother\n", ["one", "another"]),
    ] {
        let list = file(content);
        let run = Program::calling(&worker, &["execute", "--texts", path(&list)]).run().await;
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let request = worker.executed();
        assert_eq!(request.node_type, "fireworksEmbeddings");
        let Some(Input::Texts(texts)) = request.input else {
            panic!("no texts came");
        };
        assert_eq!(texts.texts, expected);
    }
}

#[tokio::test]
async fn the_credential_comes_from_its_flag_or_the_environment() {
    let worker = ScriptedWorker::start(hello()).await;
    let key = file("fw_file\n");
    let table: [(&[&str], Source); 3] = [
        (&[], Source::ApiKey("fw_environment".to_owned())),
        (&["--api-key-file", path(&key)], Source::ApiKey("fw_file".to_owned())),
        (&["--secret-name", "team"], Source::SecretName("team".to_owned())),
    ];
    for (flags, source) in table {
        let arguments = [&["execute", "p"], flags].concat();
        let run = Program::calling(&worker, &arguments).run().await;
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let credential = worker.executed().credential.expect("a credential");
        assert!(credential.source == Some(source), "{flags:?}");
    }
}

#[tokio::test]
async fn every_flag_arrives_in_the_request() {
    let worker = ScriptedWorker::start(hello()).await;
    let arguments = "execute --node fireworks --model m --config {\"topK\":5} --cache=only-if-cached \
        --cache-scope tenant --cache-ttl 10m --cache-salt s --idempotency-key k \
        --connect-timeout 1s --first-token-timeout 2s --idle-timeout 3s --total-timeout 4s \
        --max-attempts 5 --on-cancel drain --allow-restart \
        --flow-id f --run-id r --node-id n --session-id s --tenant t --no-deltas p";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let run = Program::calling(&worker, &arguments).run().await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);

    let request = worker.executed();
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let mut fields: Vec<_> = request.config.expect("a config").fields.into_keys().collect();
    fields.sort();
    assert_eq!(
        (request.node_type.as_str(), fields),
        ("fireworks", vec!["modelName".to_owned(), "topK".to_owned()])
    );
    assert_eq!(request.idempotency_key, "k");
    let cache = request.cache.expect("a cache policy");
    assert_eq!((cache.mode(), cache.scope()), (Mode::OnlyIfCached, Scope::Tenant));
    assert_eq!((cache.ttl, cache.salt.as_str()), (seconds(600), "s"));
    let limits = request.limits.expect("limits");
    assert_eq!((limits.connect, limits.first_token), (seconds(1), seconds(2)));
    assert_eq!((limits.idle, limits.total), (seconds(3), seconds(4)));
    assert_eq!((limits.max_attempts, limits.allow_restart), (5, true));
    assert_eq!(limits.on_cancel(), OnCancel::Drain);
    assert_eq!(request.output.expect("output options").deltas, Some(false));
    let context = request.context.expect("a context");
    assert_eq!(
        [context.flow_id, context.run_id, context.node_id, context.session_id, context.tenant],
        ["f", "r", "n", "s", "t"]
    );
}

#[tokio::test]
async fn a_flag_left_out_leaves_it_to_the_node_and_the_worker() {
    let worker = ScriptedWorker::start(hello()).await;
    Program::calling(&worker, &["execute", "p"]).run().await;
    let request = worker.executed();
    assert_eq!(request.node_type, "chatFireworks");
    assert_eq!(request.cache, Some(CachePolicy::default()));
    assert_eq!(request.limits, Some(ExecutionLimits::default()));
    assert_eq!(request.context, Some(ExecutionContext::default()));

    Program::calling(&worker, &["execute", "--cache", "p"]).run().await;
    assert_eq!(worker.executed().cache.expect("a policy").mode(), Mode::ReadWrite);
}

#[tokio::test]
async fn flags_come_from_the_environment_too() {
    let worker = ScriptedWorker::start(hello()).await;
    Program::calling(&worker, &["execute", "p"])
        .env("SPARKLER_MODEL", "m")
        .env("SPARKLER_EXECUTE_CACHE", "refresh")
        .env("SPARKLER_EXECUTE_TOTAL_TIMEOUT", "90s")
        .env("SPARKLER_EXECUTE_ALLOW_RESTART", "1")
        .env("SPARKLER_EXECUTE_NO_DELTAS", "no")
        .run()
        .await;
    let request = worker.executed();
    assert!(request.config.expect("a config").fields.contains_key("modelName"));
    assert_eq!(request.cache.expect("a policy").mode(), Mode::Refresh);
    let limits = request.limits.expect("limits");
    assert_eq!((limits.total.map(|total| total.seconds), limits.allow_restart), (Some(90), true));
}
