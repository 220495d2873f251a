//! Models that end, by a script of dated records: every model with notice is warned
//! of in time, none that lives, and a retired one fails by its name.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use fireworks_simulator::{Handle, Model, Options, Simulator};
use serde_json::Value;

use crate::support::{Caller, PATIENCE, Program, World, ask, page, spawn};

/// A model of the simulator's catalogue that ends in 20 days, and its series.
const ENDING: &str = "accounts/simulator/models/ending";
const SERIES: &str = "sparkler_model_end_of_life_seconds{";

/// The script's models with notice: its day, and the first day without the model.
const NOTICED: [(&str, i64, i64); 5] = [
    ("two-weeks", 10, 24),
    ("a-month", 3, 33),
    ("noticed-before-the-start", -20, 14),
    ("same-day-as-another", 10, 24),
    ("the-longest", 0, 40),
];
const LIVING: [&str; 3] = ["living", "living-long", "announced-beyond-the-script"];
const DAYS: i64 = 45;
const SUCCESSOR: &str = "accounts/fireworks/models/living";

fn full(name: &str) -> String {
    format!("accounts/fireworks/models/{name}")
}

fn script() -> Options {
    let noticed = NOTICED.map(|(name, announced, ends)| {
        Model::new(full(name)).retires(announced, ends, Some(SUCCESSOR))
    });
    let living = LIVING.map(|name| match name {
        "announced-beyond-the-script" => Model::new(full(name)).retires(DAYS + 1, DAYS + 15, None),
        _ => Model::new(full(name)),
    });
    Options { models: noticed.into_iter().chain(living).collect(), ..Options::instant() }
}

/// Executes a model, and waits until the worker has asked for its record.
async fn use_model(caller: &Caller, provider: &Handle, name: &str) {
    let before = provider.report().record_calls;
    caller.answer(ask("Hi").model(&full(name))).await;
    let asked = provider.wait_until(|report| report.record_calls > before, PATIENCE).await;
    asked.expect("the record is asked for");
}

/// Executes every model of the script, the retired ones in vain.
async fn live_a_day(caller: &Caller, provider: &Handle, day: i64) {
    provider.set_day(day);
    for name in LIVING {
        use_model(caller, provider, name).await;
    }
    for (name, _, ends) in NOTICED {
        if day < ends {
            use_model(caller, provider, name).await;
            continue;
        }
        let failure = caller.failure(ask("Hi").model(&full(name))).await;
        assert_eq!(failure.reason, "MODEL_RETIRED", "{name} on day {day}");
        assert_eq!(failure.metadata["successor"], SUCCESSOR);
        assert!(failure.message.contains(SUCCESSOR), "{}", failure.message);
    }
}

#[tokio::test]
async fn every_model_with_notice_is_warned_of_two_weeks_ahead() {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let simulator = Simulator::bind(loopback, script()).await.expect("a free port");
    let (base_url, provider) = (simulator.base_url(), simulator.handle());
    let simulating = spawn(simulator.run(std::future::pending()));
    let flags = ["--models-ttl", "0s", "--negative-cache-ttl", "0s"];
    let program = Program::serve(&base_url, &flags).await;
    let caller = Caller::connect(program.address).await;
    for day in 0..DAYS {
        live_a_day(&caller, &provider, day).await;
    }
    let failure = caller.failure(ask("Hi").model(&full("never-was"))).await;
    assert_eq!(failure.reason, "MODEL_NOT_FOUND");
    drop(caller);
    let log = program.stop().await;
    simulating.abort();

    let mut first_warned = BTreeMap::new();
    for line in &log {
        let line: Value = serde_json::from_str(line).expect("a JSON object");
        if line["message"].as_str().is_some_and(|text| text.starts_with("a model in use ends")) {
            assert_eq!((&line["level"], &line["successor"]), (&"WARN".into(), &SUCCESSOR.into()));
            let model = line["model"].as_str().expect("a name").to_owned();
            first_warned.entry(model).or_insert(line["days_left"].as_u64().expect("a number"));
        }
    }
    let warned: Vec<&String> = first_warned.keys().collect();
    let mut expected = NOTICED.map(|(name, ..)| full(name));
    expected.sort();
    assert_eq!(warned, expected.iter().collect::<Vec<_>>(), "those with notice, and no other");
    for (name, days_left) in first_warned {
        assert!(days_left >= 14, "{name} was warned of only {days_left} days ahead");
    }
}

#[tokio::test]
async fn the_end_of_a_model_in_use_is_on_the_metrics_page() {
    let world = World::start().await;
    world.caller().await.answer(ask("Hi").model(ENDING)).await;
    let mut end = None;
    for _ in 0..200 {
        let (_, page) = page(world.admin, "/metrics").await;
        let mut lines = page.lines();
        let line = lines.find(|line| line.starts_with(SERIES) && line.contains(ENDING));
        end = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        if end.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let days = (end.expect("a series") - now.as_secs_f64()) / 86_400.0;
    assert!((19.0..=20.0).contains(&days), "{days} days");
}
