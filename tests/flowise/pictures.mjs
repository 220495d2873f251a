// Takes docs/integrations/flowise-*.png of the real canvas, with a real browser.
// Run by tests/flowise/run --pictures.
import { mkdirSync } from "node:fs";
import puppeteer from "puppeteer-core";
import { startWorld } from "../../clients/typescript/testing/world.mjs";
import { startFlowise, USER } from "./flowise.mjs";
import { conversation, kitOf, llmNode } from "./flows.mjs";

const OUT = new URL("../../docs/integrations/", import.meta.url).pathname;
const MODEL = {
  modelName: "accounts/fireworks/models/glm-5p3",
  temperature: "0.2",
  answerCache: "readWrite",
  parameterGroups: '["worker","sampling"]',
};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function pictures(language, take) {
  const flowise = await startFlowise({ worker: world.url, env: { SPARKLER_FORM_LANGUAGE: language } });
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    defaultViewport: { width: 1360, height: 850 },
  });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    // "Leave without saving?"
    page.on("dialog", (dialog) => dialog.accept());
    await login(page, flowise);
    await take(page, flowise, await kitOf(flowise, "fw_pictures"));
  } finally {
    await browser.close();
    await flowise.stop();
  }
}

async function login(page, { base }) {
  await page.goto(`${base}/signin`, { waitUntil: "networkidle2" });
  await page.type('input[type="email"], input[name="username"]', USER.email);
  await page.type('input[type="password"]', USER.password);
  await page.keyboard.press("Enter");
  await page.waitForNavigation({ waitUntil: "networkidle2" }).catch(() => {});
}

async function canvas(page, { base }, path) {
  await page.goto(`${base}/${path}`, { waitUntil: "networkidle2" });
  await page.waitForSelector(".react-flow__node");
  await pause(1500);
}

/** A button, whatever element it is made of, by its words. */
async function press(page, words) {
  await page.locator(`::-p-text(${words})`).click();
  await pause(1200);
}

async function chat(page, question) {
  await page.click('button[title="Chat"], button[aria-label="chat"]');
  await page.waitForSelector("#userInput");
  await page.type("#userInput", question);
  await page.keyboard.press("Enter");
  await pause(6000);
}

async function save(page, name) {
  await page.screenshot({ path: `${OUT}flowise-${name}.png` });
  console.log(`flowise-${name}.png`);
}

mkdirSync(OUT, { recursive: true });
const world = await startWorld({ pace: ["--tokens-per-second", "60"] });
try {
  await pictures("en", async (page, flowise, kit) => {
    const flow = await conversation(kit, MODEL);
    await canvas(page, flowise, `canvas/${flow}`);
    await save(page, "flow");
    await chat(page, "Why is the sky blue?");
    await save(page, "answer");
    await canvas(page, flowise, `canvas/${flow}`);
    await press(page, "Additional Parameters");
    await save(page, "form-en");
    await canvas(page, flowise, `v2/agentcanvas/${await llmNode(kit, MODEL)}`);
    await save(page, "agentflow");
  });
  await pictures("ko", async (page, flowise, kit) => {
    await canvas(page, flowise, `canvas/${await conversation(kit, MODEL)}`);
    await press(page, "Additional Parameters");
    await save(page, "form-ko");
  });
} finally {
  await world.stop();
}
