import { SparklerEmbeddings } from "langchain-sparkler";
import { EMBEDDINGS } from "../../shared/src/fields.js";
import { callInputOf, type NodeData } from "./call.js";
import { helpers, type RunOptions } from "./flowise.js";
import { CREDENTIAL, embeddingsFormOf, languageOf } from "./form.js";
import { loadMethodsOf } from "./models.js";

/** The embedding models of the canvas, for its document and vector stores. */
export class SparklerEmbeddingsNode {
  label = "Sparkler Fireworks Embeddings";
  name = "sparklerEmbeddings";
  version = 1.0;
  type = "SparklerEmbeddings";
  icon = "../../chatmodels/ChatSparkler/sparkler.svg";
  category = "Embeddings";
  description = "Fireworks embedding models, executed by a Sparkler worker, which pays for a known text no second time";
  baseClasses = [this.type, ...helpers.getBaseClasses(SparklerEmbeddings)];
  credential = CREDENTIAL;
  inputs = embeddingsFormOf(languageOf(process.env));
  loadMethods = loadMethodsOf("embeddings");

  async init(node: NodeData, _: string, options: RunOptions) {
    const { config, ...call } = await callInputOf(EMBEDDINGS, node, options);
    return new SparklerEmbeddings({ ...call, ...config });
  }
}
