// As types.mts, for CommonJS.
import { type Answer, type Reason, Sparkler, SparklerError } from "sparkler-client";

export async function ask(sparkler: Sparkler): Promise<Answer> {
  await using run = sparkler.execute({ prompt: "Hi", model: "m", cache: { mode: "readWrite" }, limits: { onCancel: "drain" } });
  for await (const event of run) if (event.type === "delta") console.log(event.text satisfies string);
  return run.answer();
}

export function reasonOf(error: unknown): Reason | undefined {
  return error instanceof SparklerError && error.retryable ? error.reason : undefined;
}

// @ts-expect-error: neither a prompt nor messages
new Sparkler("http://h:1").execute({ model: "m" });
// @ts-expect-error: no such mode
new Sparkler("http://h:1").execute({ prompt: "Hi", cache: "readwrite" });
