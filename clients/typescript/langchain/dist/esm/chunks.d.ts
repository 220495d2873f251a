import { type UsageMetadata } from "@langchain/core/messages";
import { type ChatGeneration, ChatGenerationChunk } from "@langchain/core/outputs";
import type { Answer, RunEvent, Usage } from "sparkler-client";
/** Absent for events that show nothing. */
export declare function chunkOf(event: RunEvent, withUsage: boolean): ChatGenerationChunk | undefined;
export declare function generationsOf(answer: Answer): ChatGeneration[];
export declare function usageOf(usage: Usage): UsageMetadata | undefined;
/** What releases before `usage_metadata` read. */
export declare function tokenUsageOf(usage?: UsageMetadata): {
    tokenUsage: {
        promptTokens: number;
        completionTokens: number;
        totalTokens: number;
    };
} | undefined;
