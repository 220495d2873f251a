"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.SparklerLLM = exports.ChatSparkler = void 0;
var chat_model_js_1 = require("./chat-model.js");
Object.defineProperty(exports, "ChatSparkler", { enumerable: true, get: function () { return chat_model_js_1.ChatSparkler; } });
var llm_js_1 = require("./llm.js");
Object.defineProperty(exports, "SparklerLLM", { enumerable: true, get: function () { return llm_js_1.SparklerLLM; } });
