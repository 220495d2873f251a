//! Redis commands for each streamed token, with flights that nobody follows, and
//! with others that several workers follow.

use std::time::Duration;

use futures_util::future::join_all;

use super::{
    Effort,
    report::{Aim, Report, digits},
    support::{Caller, ask},
    workers::{TOKENS_PER_SECOND, Workers, cpu_time, paced},
};

const TOKENS: u32 = 500;
/// Commands that a worker sends; all others run inside a script.
const SENT: [&str; 3] = ["evalsha", "eval", "ping"];

pub async fn measure(effort: Effort, report: &mut Report) {
    let tokens = if effort.rounds < 10 { TOKENS / 2 } else { TOKENS };
    let workers = Workers::patient(4, paced(Duration::from_millis(300), tokens)).await;
    for flights in [1, 20] {
        for followers in [0, 1, 3] {
            let row = Row { flights, followers };
            let figures = row.run(&workers).await;
            let beside = format!(
                "{} inside Redis with what scripts run; {} µs CPU of Redis a token",
                digits(figures.run),
                digits(figures.cpu)
            );
            report.add(&row.title(), figures.sent, "a token", &beside, Some(Aim(0.1)));
        }
    }
}

#[derive(Clone, Copy)]
struct Row {
    flights: usize,
    followers: usize,
}

/// For each token of each flight.
struct Figures {
    sent: f64,
    run: f64,
    cpu: f64,
}

impl Row {
    fn title(self) -> String {
        let flights = if self.flights == 1 {
            "1 flight".to_owned()
        } else {
            format!("{} flights", self.flights)
        };
        let followers = match self.followers {
            0 => "nobody follows".to_owned(),
            1 => "1 worker follows".to_owned(),
            several => format!("{several} workers follow"),
        };
        format!("Redis commands, {flights} at {TOKENS_PER_SECOND} tokens/s, {followers}")
    }

    async fn run(self, workers: &Workers) -> Figures {
        let before = Counted::now(workers);
        let flights = (0..self.flights).map(|flight| self.execute(workers, flight));
        let tokens: u64 = join_all(flights).await.into_iter().sum();
        let after = Counted::now(workers);
        let each = |before: f64, after: f64| (after - before) / tokens as f64;
        Figures {
            sent: each(before.sent, after.sent),
            run: each(before.run, after.run),
            cpu: each(before.cpu, after.cpu),
        }
    }

    /// One flight, led by the first worker; its tokens.
    async fn execute(self, workers: &Workers, flight: usize) -> u64 {
        let prompt = format!("{} of {}, {} follow", flight, self.flights, self.followers);
        let leading = tokens(&workers.callers[0], &prompt);
        let following = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let followers = &workers.callers[1..=self.followers];
            join_all(followers.iter().map(|caller| tokens(caller, &prompt))).await
        };
        let (led, followed) = tokio::join!(leading, following);
        assert!(followed.iter().all(|tokens| *tokens == led), "everyone receives the same");
        led
    }
}

async fn tokens(caller: &Caller, prompt: &str) -> u64 {
    let completed = caller.answer(ask(prompt).cached()).await;
    completed.usage.and_then(|usage| usage.completion_tokens).expect("the simulator counts")
}

/// What Redis has counted so far.
struct Counted {
    sent: f64,
    run: f64,
    cpu: f64,
}

impl Counted {
    fn now(workers: &Workers) -> Counted {
        let text = workers.redis.command(&["INFO", "commandstats"]);
        let counts = text.lines().filter_map(|line| {
            let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls: f64 = figures.split(',').next()?.parse().ok()?;
            Some((name.to_owned(), calls))
        });
        let counts: Vec<(String, f64)> = counts.filter(|(name, _)| name != "info").collect();
        let sent = counts.iter().filter(|(name, _)| SENT.contains(&name.as_str()));
        Counted {
            sent: sent.map(|(_, calls)| calls).sum(),
            run: counts.iter().map(|(_, calls)| calls).sum(),
            cpu: cpu_time(workers.redis.id()),
        }
    }
}
