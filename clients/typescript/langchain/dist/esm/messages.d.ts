import type { BaseMessage } from "@langchain/core/messages";
import type { Message } from "sparkler-client";
export declare function messageOf(message: BaseMessage): Message;
