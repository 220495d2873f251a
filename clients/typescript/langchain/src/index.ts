export { ChatSparkler, type ChatSparklerCallOptions, type ChatSparklerInput } from "./chat-model.js";
export { SparklerEmbeddings, type SparklerEmbeddingsInput } from "./embeddings.js";
export { SparklerLLM, type SparklerLLMInput } from "./llm.js";
export { traceparent } from "./signals.js";
