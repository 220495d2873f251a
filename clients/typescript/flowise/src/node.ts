import { ChatSparkler, SparklerLLM } from "langchain-sparkler";
import { CHAT } from "../../shared/src/fields.js";
import { callInputOf, isOn, type NodeData } from "./call.js";
import { SparklerEmbeddingsNode } from "./embeddings.js";
import { helpers, type RunOptions } from "./flowise.js";
import { chatFormOf, CREDENTIAL, type Input, languageOf } from "./form.js";
import { loadMethodsOf } from "./models.js";

/** The chat models of the canvas. */
class ChatSparklerNode {
  label = "Sparkler Fireworks";
  name = "chatSparkler";
  version = 1.0;
  type = "ChatSparkler";
  icon = "sparkler.svg";
  category = "Chat Models";
  description = "Fireworks chat models, executed by a Sparkler worker";
  baseClasses = [this.type, ...helpers.getBaseClasses(ChatSparkler)];
  credential = CREDENTIAL;
  inputs: Input[] = [
    { label: "Cache", name: "cache", type: "BaseCache", optional: true },
    ...chatFormOf(languageOf(process.env)),
  ];

  loadMethods = loadMethodsOf("chat");

  async init(node: NodeData, _: string, options: RunOptions) {
    const { inputs = {} } = node;
    const model = new ChatSparkler(await modelInputOf(node, options));
    return Object.assign(model, seeing(isOn(inputs.allowImageUploads, false)));
  }
}

/** The stock chat node's name and place: flows that have it use the worker, unedited. */
class StockChatNode extends ChatSparklerNode {
  override label = "Fireworks AI";
  override name = "chatFireworks";
  override version = 2.0;
  override type = "ChatFireworks";
  override icon = "../ChatSparkler/sparkler.svg";
  override baseClasses = [this.type, ...helpers.getBaseClasses(ChatSparkler)];
}

/** The same for the stock completion node. */
class StockCompletionNode {
  label = "Fireworks";
  name = "fireworks";
  version = 1.0;
  type = "Fireworks";
  icon = "../../chatmodels/ChatSparkler/sparkler.svg";
  category = "LLMs";
  description = "Fireworks text models, executed by a Sparkler worker";
  baseClasses = [this.type, ...helpers.getBaseClasses(SparklerLLM)];
  credential = CREDENTIAL;
  inputs = new ChatSparklerNode().inputs;
  loadMethods = loadMethodsOf("chat");

  async init(node: NodeData, _: string, options: RunOptions) {
    return new SparklerLLM(await modelInputOf(node, options));
  }
}

/** What Flowise asks of a model that may see. Releases before 3 switch to another model for images; this one stays. */
function seeing(allowImageUploads: boolean) {
  const stays = () => {};
  return { multiModalOption: { image: { allowImageUploads } }, setVisionModel: stays, revertToOriginalModel: stays };
}

async function modelInputOf(node: NodeData, options: RunOptions) {
  const { inputs = {} } = node;
  return {
    ...(await callInputOf(CHAT, node, options)),
    cache: inputs.cache || undefined,
    streaming: isOn(inputs.streaming, true),
  };
}

module.exports = {
  nodeClass: ChatSparklerNode,
  embeddings: SparklerEmbeddingsNode,
  stockChat: StockChatNode,
  stockCompletion: StockCompletionNode,
};
