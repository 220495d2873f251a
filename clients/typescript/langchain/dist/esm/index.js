export { ChatSparkler } from "./chat-model.js";
export { SparklerLLM } from "./llm.js";
