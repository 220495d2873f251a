export { ChatSparkler, type ChatSparklerCallOptions, type ChatSparklerInput } from "./chat-model.js";
export { SparklerLLM, type SparklerLLMInput } from "./llm.js";
