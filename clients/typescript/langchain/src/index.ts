export { ChatSparkler, type ChatSparklerCallOptions, type ChatSparklerInput } from "./chat-model.js";
