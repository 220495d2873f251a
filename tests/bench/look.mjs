// Runs a benchmark of three simulated models and looks at its page with a browser.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { startSimulator } from "../../clients/typescript/testing/world.mjs";

const PICTURE = new URL("../../docs/bench.png", import.meta.url).pathname;
const BINARY = process.env.SPARKLER_BINARY ?? new URL("../../target/debug/sparkler", import.meta.url).pathname;
const FIREWORKS = "accounts/fireworks/models";
const MODELS = { "glm-5p3-flash": "150ms/200", "glm-5p3": "400ms/90", "kimi-k3": "900ms/45" };

function measure(baseUrl, folder) {
  const models = Object.keys(MODELS).map((model) => `${FIREWORKS}/${model}`).join(",");
  const files = { json: join(folder, "report.json"), html: join(folder, "report.html") };
  const run = spawnSync(
    BINARY,
    [
      "bench", "--model", models, "--concurrency", "1,4,16", "--requests", "8", "--rounds", "2",
      "--max-tokens", "60", "--budget", "2", "--json", files.json, "--html", files.html,
    ],
    { encoding: "utf8", env: { SPARKLER_FIREWORKS_BASE_URL: baseUrl, FIREWORKS_API_KEY: "fw_bench" } },
  );
  assert.equal(run.status, 0, run.stderr);
  console.log(run.stdout);
  return { ...files, report: JSON.parse(readFileSync(files.json, "utf8")) };
}

/** The page as a reader has it: the table's text, the plots' sizes, the colours. */
function seen() {
  const texts = (selector) => [...document.querySelectorAll(selector)].map((each) => each.textContent);
  const style = getComputedStyle(document.body);
  return {
    rows: [...document.querySelectorAll("tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent)),
    headings: texts("h1, h2"),
    legend: texts("section:first-of-type figure:first-of-type li"),
    plots: [...document.querySelectorAll("figure > svg")].map((svg) => svg.getBoundingClientRect().width),
    lines: [...document.querySelectorAll("figure > svg .line")].map((line) => line.getTotalLength()),
    outside: [...document.querySelectorAll("figure > svg")].filter((svg) => {
      const box = svg.getBoundingClientRect();
      return [...svg.querySelectorAll("circle, text, .line")].some((mark) => {
        const own = mark.getBoundingClientRect();
        return own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1 || own.bottom > box.bottom + 1;
      });
    }).length,
    colours: { back: style.backgroundColor, text: style.color },
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    lineColours: [...new Set([...document.querySelectorAll("section:first-of-type figure:first-of-type svg .line")].map((line) => getComputedStyle(line).stroke))],
  };
}

function luminance(colour) {
  const channels = colour.match(/\d+/g).slice(0, 3).map((text) => {
    const share = Number(text) / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2];
}

function contrast(one, other) {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

function check(view, report) {
  assert.equal(view.rows.length, report.scenarios.length);
  for (const [row, scenario] of view.rows.map((row, index) => [row, report.scenarios[index]])) {
    assert.ok(row[0].includes(scenario.model.split("/").pop()), row[0]);
    assert.equal(Number(row[1]), scenario.answers);
    assert.equal(row[4], span(scenario.first_token_ms.p50), "the median time to first token");
  }
  assert.deepEqual(view.headings, ["sparkler bench", "Figures", "Time to first token", "Latency", "Tokens per second of one answer"]);
  assert.equal(view.plots.length, 9);
  assert.ok(view.lines.every((length) => length > 0), "every line is drawn");
  assert.equal(view.outside, 0, "nothing is drawn outside a plot");
  assert.equal(view.legend.length, report.scenarios.length);
  assert.ok(view.overflow <= 0, `the page is ${view.overflow} pixels too wide`);
  assert.ok(contrast(view.colours.text, view.colours.back) >= 7, "text is readable");
  for (const colour of view.lineColours) {
    assert.ok(contrast(colour, view.colours.back) >= 3, `${colour} on ${view.colours.back}`);
  }
}

/** As the report writes a time: whole milliseconds below a second, else three digits. */
function span(ms) {
  return ms < 1000 ? `${Math.floor(ms)}ms` : `${(ms / 1000).toFixed(2)}s`;
}

async function look(browser, { html, report }) {
  const page = await browser.newPage();
  const problems = [];
  page.on("console", (message) => problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => request.url().startsWith("file:") || problems.push(request.url()));
  const backs = new Set();
  for (const scheme of ["light", "dark"]) {
    for (const width of [1360, 400]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      await page.setViewport({ width, height: 900 });
      await page.goto(`file://${html}`);
      const view = await page.evaluate(seen);
      check(view, report);
      backs.add(view.colours.back);
    }
  }
  assert.equal(backs.size, 2, "light and dark differ");
  assert.deepEqual(problems, [], "nothing is loaded, and nothing complains");
  const tree = JSON.stringify(await page.accessibility.snapshot({ interestingOnly: false }));
  assert.equal(tree.match(/"role":"(img|image)"/g)?.length, 9, "every plot is an image with a name");
  assert.ok(tree.includes("Time to first token: distribution. The table under Figures"), tree);
  return page;
}

const folder = mkdtempSync(join(tmpdir(), "sparkler-bench-"));
const paces = Object.entries(MODELS).flatMap(([model, pace]) => ["--pace", `${FIREWORKS}/${model}=${pace}`]);
const simulator = await startSimulator(["--delta-tokens", "1", "--answer-tokens", "400", ...paces]);
let browser;
try {
  const measured = measure(simulator.baseUrl, folder);
  browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
  const page = await look(browser, measured);
  if (process.argv.includes("--picture")) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
    await page.setViewport({ width: 1360, height: 1220 });
    await page.screenshot({ path: PICTURE });
  }
  console.log("tests/bench: the page shows what was measured, in light and dark, wide and narrow");
} finally {
  await browser?.close();
  await simulator.stop();
  rmSync(folder, { recursive: true });
}
