//! A reader of Redis reads no credential, no prompt and no answer: neither in a
//! key, nor in a value of whatever type, nor in what is published, nor in any
//! command that is sent.

use std::process::Stdio;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use fireworks_simulator::{BodyForm, Fault, Refusal, Rule};
use redis::{Client, Value, aio::MultiplexedConnection, cmd};
use sparkler::{
    internals::{Delta, Log, Piece, codec},
    proto::AttachExecutionRequest,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{
    fleet::members::{Fleet, unhurried},
    support::{PATIENCE, ask, redis_server::RedisServer},
};

const KEY: &str = "fw_c4n4ry7d1e5b0c9a8f6e3d2c1b0a9f8e";
const PROMPT: &str = "the canary of the prompt sings at dawn";
const ANSWER: &str = "and the canary of the answer sings at dusk";
const SECRETS: [&str; 3] = [KEY, PROMPT, ANSWER];

/// Under what a secret would be found: as it is, in base64 wherever it begins
/// there, in hexadecimal, escaped for a URL.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![secret.to_owned(), secret.replace(' ', "%20"), hexadecimal];
    for beside in ["", "-", "--"] {
        let text = format!("{beside}{secret}{beside}");
        for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
            // What lies beside it decides the letters at its edges.
            forms.push(encoded[4..encoded.len() - 4].to_owned());
        }
    }
    forms.into_iter().map(String::into_bytes).collect()
}

/// What somebody without the operator's secret could make of some bytes.
fn readable(bytes: &[u8]) -> Vec<&'static str> {
    let has = |form: &Vec<u8>| bytes.windows(form.len()).any(|window| window == form);
    let mut found: Vec<_> =
        SECRETS.into_iter().filter(|secret| forms(secret).iter().any(has)).collect();
    if codec::decode_events(bytes).is_ok() || codec::decode_recording(bytes).is_ok() {
        found.push("what is not sealed");
    }
    found
}

/// Every command that a server receives from anyone, scripts included.
struct Monitor {
    _client: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl Monitor {
    async fn of(server: &RedisServer) -> Monitor {
        let mut client = Command::from(server.client());
        client.arg("MONITOR").stdout(Stdio::piped()).kill_on_drop(true);
        let mut client = client.spawn().expect("redis-cli is installed");
        let lines = BufReader::new(client.stdout.take().expect("a pipe")).lines();
        let mut monitor = Monitor { _client: client, lines };
        assert_eq!(monitor.line().await, "OK");
        monitor
    }

    /// All until now.
    async fn commands(mut self, server: &RedisServer) -> Vec<String> {
        const END: &str = "that is all";
        server.command(&["ECHO", END]);
        let mut said = Vec::new();
        loop {
            let line = self.line().await;
            if line.contains(END) {
                return said;
            }
            said.push(line);
        }
    }

    async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("a line in time");
        line.expect("readable").expect("it goes on")
    }
}

/// Every key with its value, as bytes.
async fn everything(server: &RedisServer) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
    let client = Client::open(server.url()).expect("an address");
    let mut redis = client.get_multiplexed_async_connection().await.expect("it answers");
    let keys: Vec<Vec<u8>> = cmd("KEYS").arg("*").query_async(&mut redis).await.expect("keys");
    let mut everything = Vec::new();
    for key in keys {
        let value = value(&mut redis, &key).await;
        let mut parts = Vec::new();
        flatten(value, &mut parts);
        everything.push((key, parts));
    }
    everything
}

async fn value(redis: &mut MultiplexedConnection, key: &[u8]) -> Value {
    let kind: String = cmd("TYPE").arg(key).query_async(redis).await.expect("a type");
    let (command, rest): (&str, &[&str]) = match kind.as_str() {
        "string" => ("GET", &[]),
        "hash" => ("HGETALL", &[]),
        "list" => ("LRANGE", &["0", "-1"]),
        "set" => ("SMEMBERS", &[]),
        "zset" => ("ZRANGE", &["0", "-1", "WITHSCORES"]),
        "stream" => ("XRANGE", &["-", "+"]),
        // It has ended meanwhile.
        "none" => return Value::Nil,
        other => panic!("what is a {other}?"),
    };
    cmd(command).arg(key).arg(rest).query_async(redis).await.expect("a value")
}

fn flatten(value: Value, parts: &mut Vec<Vec<u8>>) {
    match value {
        Value::BulkString(bytes) => parts.push(bytes),
        Value::SimpleString(text) => parts.push(text.into_bytes()),
        Value::Array(items) | Value::Set(items) => {
            items.into_iter().for_each(|item| flatten(item, parts));
        }
        Value::Map(items) => {
            for (name, item) in items {
                flatten(name, parts);
                flatten(item, parts);
            }
        }
        Value::Int(_) | Value::Double(_) | Value::Nil => {}
        other => panic!("what is {other:?}?"),
    }
}

/// What is found where.
async fn findings(server: &RedisServer, said: &[String]) -> Vec<(&'static str, String)> {
    let mut findings = Vec::new();
    let mut look = |bytes: &[u8], place: &[u8]| {
        let place = String::from_utf8_lossy(place).into_owned();
        findings.extend(readable(bytes).into_iter().map(|what| (what, place.clone())));
    };
    for (key, parts) in everything(server).await {
        look(&key, &key);
        parts.iter().for_each(|part| look(part, &key));
    }
    said.iter().for_each(|line| look(line.as_bytes(), line.as_bytes()));
    findings
}

/// All kinds of executions, on two workers.
async fn execute(fleet: &Fleet) {
    let asked = |more: &str| ask(&format!("{PROMPT} {more}")).key(KEY);
    let (first, second) = (fleet.caller(0).await, fleet.caller(1).await);
    fleet.simulator.script(Rule::once(Fault::answer([ANSWER])));
    first.answer(asked("shortly").cached()).await;
    second.answer(asked("shortly").cached()).await;
    fleet.simulator.script(Rule::once(Fault::answer(vec![ANSWER; 60])));
    let mut led = first.execute(asked("at length").cached()).await.expect("it runs");
    led.first_text().await;
    let followed = second.execute(asked("at length").cached()).await.expect("it runs");
    let (led, followed) = tokio::join!(led.finish(), followed.finish());
    let execution_token = led.started.as_ref().expect("started").execution_token.clone();
    assert!(followed.completed().choices[0].text.contains(ANSWER));
    let request = AttachExecutionRequest { execution_token, ..Default::default() };
    second.attach(request).await.expect("it is known").finish().await.completed();
    let once = || asked("once").idempotency_key(PROMPT);
    first.answer(once().no_deltas()).await;
    second.answer(once().no_deltas()).await;
    let refusal = Refusal::status(400).body(BodyForm::Text(format!("{KEY} {PROMPT}")));
    fleet.simulator.script(Rule::once(refusal));
    first.failure(asked("in vain").cached()).await;
}

#[tokio::test]
async fn credential_prompt_and_answer_are_nowhere_in_redis() {
    let server = RedisServer::start().await;
    let reached = server.config();
    let monitor = Monitor::of(&server).await;
    let fleet = Fleet::over(server, &reached, 2, unhurried(), |_| {}).await;
    execute(&fleet).await;
    let said = monitor.commands(&fleet.redis).await;
    let all = everything(&fleet.redis).await;
    let has = |what: &str| all.iter().any(|(key, _)| key.ends_with(what.as_bytes()));
    for what in [":flight", ":events", ":recording", ":claim"] {
        assert!(has(what), "there is no {what}");
    }
    for what in ["PUBLISH", "XADD", "EVALSHA", "SUBSCRIBE"] {
        assert!(
            said.iter().any(|line| line.to_uppercase().contains(what)),
            "no {what} was received"
        );
    }
    let findings = findings(&fleet.redis, &said).await;
    assert!(findings.is_empty(), "{findings:#?}");
}

/// What lay there if nothing were sealed.
fn unsealed_events() -> Vec<u8> {
    let mut log = Log::default();
    for _ in 0..60 {
        log.append(Delta { choice: 0, piece: Piece::Text(ANSWER.into()) });
    }
    codec::encode_events(&log)
}

#[tokio::test]
async fn whatever_is_planted_is_found() {
    let server = RedisServer::start().await;
    let monitor = Monitor::of(&server).await;
    let client = Client::open(server.url()).expect("an address");
    let mut redis = client.get_multiplexed_async_connection().await.expect("it answers");
    let base64 = STANDARD_NO_PAD.encode(format!("Bearer {KEY}!"));
    let escaped = PROMPT.replace(' ', "%20");
    let hexadecimal: String = PROMPT.bytes().map(|byte| format!("{byte:02x}")).collect();
    let plants: [(&str, Vec<&str>, &[u8]); 7] = [
        ("SET", vec!["a string"], ANSWER.as_bytes()),
        ("HSET", vec!["a hash", "field"], base64.as_bytes()),
        ("XADD", vec!["a stream", "*", "e"], &unsealed_events()),
        ("ZADD", vec!["a sorted set", "1"], escaped.as_bytes()),
        ("SADD", vec!["a set"], KEY.as_bytes()),
        ("RPUSH", vec!["a list"], hexadecimal.as_bytes()),
        ("PUBLISH", vec!["a channel"], PROMPT.as_bytes()),
    ];
    for (command, place, plant) in &plants {
        cmd(command).arg(place).arg(*plant).exec_async(&mut redis).await.expect(command);
    }
    cmd("SET").arg(format!("the key {KEY}")).arg("").exec_async(&mut redis).await.expect("set");
    let said = monitor.commands(&server).await;
    // What lies there is found there, and not only on its way.
    let (at_rest, on_the_way) = (findings(&server, &[]).await, findings(&server, &said).await);
    let found_at = |place: &str| at_rest.iter().any(|(_, at)| at == place);
    for (command, place, _) in &plants {
        let published = on_the_way.iter().any(|(_, line)| line.contains("a channel"));
        assert!(found_at(place[0]) || *command == "PUBLISH" && published, "{command} is not found");
    }
    assert!(found_at(&format!("the key {KEY}")), "{at_rest:#?}");
    assert!(on_the_way.len() > at_rest.len());
}
