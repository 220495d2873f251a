export { ChatSparkler } from "./chat-model.js";
