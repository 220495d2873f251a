//! The report as one HTML page: no script, nothing loaded from elsewhere, and every
//! figure of the plots in a table too.

use std::fmt::Write as _;

use super::{
    Report, Summary,
    escape::escaped,
    plot::{self, Mark, Plot, Points},
    table::{number, percent, spent, time},
};
use crate::cli::{
    bench::{distribution::Distribution, load::Load, plan::Scenario, sample::Sample},
    units,
};

/// The most dots of a scenario in one plot.
const MAX_DOTS: usize = 2000;

const STYLE: &str = include_str!("report.css");

/// Returns the page.
pub(super) fn text(report: &Report<'_>) -> String {
    let started = humantime::format_rfc3339_seconds(report.measurements.started_at);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>sparkler bench, {started}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <main>\n<h1>sparkler bench</h1>\n<p>{}</p>\n",
        escaped(&introduction(report))
    );
    page += &figures(report);
    for section in sections(report) {
        page += &section;
    }
    page += "</main>\n</body>\n</html>\n";
    page
}

fn introduction(report: &Report<'_>) -> String {
    let plan = report.plan;
    let loop_kind = match plan.scenarios.first().map(|scenario| scenario.load) {
        Some(Load::Rate(_)) => {
            "Requests were sent on time (an open loop); times count from when \
                                each was due."
        }
        _ => "Each request that ended started the next (a closed loop).",
    };
    let end = match report.measurements.end {
        super::BenchEnd::Completed => "",
        super::BenchEnd::BudgetReached => " It ended at its budget, before the plan's end.",
        super::BenchEnd::Interrupted => " It was interrupted, before the plan's end.",
    };
    format!(
        "{} scenarios, {} rounds of {} requests each, answers of at most {} tokens, started {}. \
         {loop_kind}{end} {} Percentiles are by nearest rank; failed requests are errors and have \
         no time.",
        plan.scenarios.len(),
        plan.rounds,
        plan.requests,
        plan.max_tokens,
        humantime::format_rfc3339_seconds(report.measurements.started_at),
        spent(report),
    )
}

fn figures(report: &Report<'_>) -> String {
    // The heading, and what it means out of its column.
    const HEADINGS: [(&str, &str); 14] = [
        ("Scenario", "Scenario"),
        ("Answers", "Answers"),
        ("Errors", "Errors"),
        ("Retries", "Retries"),
        ("First token p50", "First token p50"),
        ("p90", "First token p90"),
        ("p99", "First token p99"),
        ("Latency p50", "Latency p50"),
        ("p90", "Latency p90"),
        ("p99", "Latency p99"),
        ("Tokens/s p50", "Tokens per second p50"),
        ("Answers/s", "Answers per second"),
        ("Cached", "Cached share of the prompts"),
        ("Cost", "Cost"),
    ];
    let mut table = String::from(
        "<h2 id=\"figures\">Figures</h2>\n<div class=\"wide\" role=\"region\" tabindex=\"0\" \
         aria-labelledby=\"figures\">\n<table>\n<thead><tr>",
    );
    for (heading, label) in HEADINGS {
        let _ = write!(table, "<th scope=\"col\" aria-label=\"{label}\">{heading}</th>");
    }
    table += "</tr></thead>\n<tbody>\n";
    for (scenario, summary) in report.plan.scenarios.iter().zip(&report.summaries) {
        table += &row(scenario, summary);
    }
    table + "</tbody>\n</table>\n</div>\n"
}

fn row(scenario: &Scenario, summary: &Summary) -> String {
    let (first, latency) = (&summary.first_token, &summary.latency);
    let errors: Vec<String> =
        summary.errors.iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
    let absent = || "–".to_owned();
    let cells = [
        latency.len().to_string(),
        if errors.is_empty() { "0".to_owned() } else { errors.join(", ") },
        summary.retries.to_string(),
        time(first.percentile(50)),
        time(first.percentile(90)),
        time(first.percentile(99)),
        time(latency.percentile(50)),
        time(latency.percentile(90)),
        time(latency.percentile(99)),
        number(summary.tokens_per_second.percentile(50)),
        number(summary.requests_per_second),
        summary.cached_share().map_or_else(absent, percent),
        summary.cost.map_or_else(absent, units::dollars),
    ];
    let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
    format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escaped(&scenario.name()))
}

/// One figure of an answer that is plotted.
struct Quantity {
    title: &'static str,
    unit: &'static str,
    distribution: fn(&Summary) -> &Distribution,
    of: fn(&Sample) -> Option<f64>,
}

const QUANTITIES: [Quantity; 3] = [
    Quantity {
        title: "Time to first token",
        unit: "seconds",
        distribution: |summary| &summary.first_token,
        of: |sample| sample.first_token.map(|time| time.as_secs_f64()),
    },
    Quantity {
        title: "Latency",
        unit: "seconds",
        distribution: |summary| &summary.latency,
        of: |sample| Some(sample.latency.as_secs_f64()),
    },
    Quantity {
        title: "Tokens per second of one answer",
        unit: "tokens/s",
        distribution: |summary| &summary.tokens_per_second,
        of: Sample::tokens_per_second,
    },
];

fn sections(report: &Report<'_>) -> impl Iterator<Item = String> {
    QUANTITIES.iter().map(|quantity| {
        let mut section = format!("<section>\n<h2>{}</h2>\n", quantity.title);
        let plots = [
            Some(distribution(report, quantity)),
            Some(over_time(report, quantity)),
            against_load(report, quantity),
        ];
        for plot in plots.into_iter().flatten() {
            section += &plot::figure(&plot);
        }
        section + "</section>\n"
    })
}

/// Returns the share of answers up to each value: nothing is smoothed, and no bin hides
/// a second mode.
fn distribution(report: &Report<'_>, quantity: &Quantity) -> Plot {
    let series = report.plan.scenarios.iter().zip(&report.summaries).map(|(scenario, summary)| {
        let distribution = (quantity.distribution)(summary);
        let points = (0..=100)
            .filter_map(|percent| Some((distribution.percentile(percent)?, percent as f64)));
        Points { name: scenario.name(), points: points.collect() }
    });
    Plot {
        title: format!("{}: distribution", quantity.title),
        x: quantity.unit.to_owned(),
        y: "% of answers up to this".to_owned(),
        from_zero: false,
        mark: Mark::Line,
        series: series.collect(),
    }
}

fn over_time(report: &Report<'_>, quantity: &Quantity) -> Plot {
    let samples = |index| {
        let own = report.measurements.samples.iter().filter(move |each| each.scenario == index);
        own.filter(|sample| sample.round > 0 && sample.failure.is_none())
    };
    let most = (0..report.plan.scenarios.len()).map(|index| samples(index).count()).max();
    let each = most.unwrap_or(0).div_ceil(MAX_DOTS).max(1);
    let thinned = if each > 1 { format!(", one answer in {each}") } else { String::new() };
    let series = report.plan.scenarios.iter().enumerate().map(|(index, scenario)| {
        let points = samples(index)
            .step_by(each)
            .filter_map(|sample| Some((sample.start.as_secs_f64(), (quantity.of)(sample)?)));
        Points { name: scenario.name(), points: points.collect() }
    });
    Plot {
        title: format!("{}: over time{thinned}", quantity.title),
        x: "seconds since the start".to_owned(),
        y: quantity.unit.to_owned(),
        from_zero: true,
        mark: Mark::Dots,
        series: series.collect(),
    }
}

/// Returns the medians by load, one line for all scenarios that differ in it only; none
/// if only one load was measured.
fn against_load(report: &Report<'_>, quantity: &Quantity) -> Option<Plot> {
    let mut series: Vec<Points> = Vec::new();
    for (scenario, summary) in report.plan.scenarios.iter().zip(&report.summaries) {
        let Some(median) = (quantity.distribution)(summary).percentile(50) else {
            continue;
        };
        let (name, point) = (scenario.name_without_load(), (scenario.load.number(), median));
        match series.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => series.push(Points { name, points: vec![point] }),
        }
    }
    series.iter_mut().for_each(|line| line.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    let x = match report.plan.scenarios.first()?.load {
        Load::Concurrency(_) => "requests in flight",
        Load::Rate(_) => "requests a second",
    };
    series.iter().any(|line| line.points.len() > 1).then(|| Plot {
        title: format!("{}: median against load", quantity.title),
        x: x.to_owned(),
        y: quantity.unit.to_owned(),
        from_zero: true,
        mark: Mark::LineAndDots,
        series,
    })
}
