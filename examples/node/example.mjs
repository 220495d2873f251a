// npm install sparkler-client; SPARKLER_WORKER=http://127.0.0.1:50051 FIREWORKS_API_KEY=fw_… node example.mjs
import { Sparkler } from "sparkler-client";

const sparkler = Sparkler.fromEnv({ defaults: { credential: { apiKey: process.env.FIREWORKS_API_KEY } } });
const run = sparkler.execute({ model: "accounts/fireworks/models/glm-5p3", prompt: "Why is the sky blue?" });
for await (const text of run.text()) process.stdout.write(text);
const { usage, cost } = await run.answer();
console.log(`\n${usage.totalTokens} tokens, $${cost?.spentUsd}`);
sparkler.close();
