"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.ChatSparkler = void 0;
var chat_model_js_1 = require("./chat-model.js");
Object.defineProperty(exports, "ChatSparkler", { enumerable: true, get: function () { return chat_model_js_1.ChatSparkler; } });
