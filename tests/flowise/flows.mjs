// Makes flows as the canvas would.

/** Input types that are drawn as parameters; all others are handles for edges. */
const PARAMETERS = new Set(
  ("string number boolean password json code date file folder options multiOptions asyncOptions asyncMultiOptions " +
    "datagrid tabs array conditionFunction variable").split(" "),
);

/** A kit for one Flowise: its nodes, and a credential for the model. */
export async function kitOf({ call }, apiKey) {
  const specs = Object.fromEntries((await call("GET", "/nodes")).map((spec) => [spec.name, spec]));
  const plain = { name: `key ${apiKey}`, credentialName: "fireworksApi", plainDataObj: { fireworksApiKey: apiKey } };
  const { id } = await call("POST", "/credentials", plain);
  return { call, specs, credential: id };
}

export function place({ specs }, name, inputs = {}, { credential, x = 0, y = 80, outputs = {} } = {}) {
  const spec = specs[name];
  if (!spec) throw new Error(`Flowise has no node ${name}`);
  const { inputs: form = [], baseClasses: classes = [] } = spec;
  const id = `${name}_0`;
  const agentflow = spec.category === "Agent Flows";
  const withId = (input) => ({ ...input, id: `${id}-input-${input.name}-${input.type}` });
  const defaults = Object.fromEntries(form.map((input) => [input.name, input.default ?? ""]));
  const output = agentflow
    ? { id: `${id}-output-${name}`, label: spec.label, name }
    : { id: `${id}-output-${name}-${classes.join("|")}`, name, label: spec.type, type: classes.join(" | ") };
  return {
    id,
    type: agentflow ? "agentFlow" : "customNode",
    position: { x, y },
    positionAbsolute: { x, y },
    width: 300,
    height: 300,
    data: {
      ...spec,
      id,
      baseClasses: classes,
      inputParams: form.filter(({ type }) => PARAMETERS.has(type)).map(withId),
      inputAnchors: form.filter(({ type }) => !PARAMETERS.has(type)).map(withId),
      inputs: { ...defaults, ...inputs },
      outputAnchors: [output],
      outputs,
      selected: false,
      ...(credential && { credential }),
    },
  };
}

function edge(source, target, handle = "any") {
  const [from, to] = [source.data.outputAnchors[0].id, `${target.id}-input-${handle}`];
  return { id: `${from}-${to}`, source: source.id, target: target.id, sourceHandle: from, targetHandle: to, type: "buttonedge" };
}

async function save({ call }, name, type, nodes, edges) {
  const flowData = JSON.stringify({ nodes, edges, viewport: { x: 0, y: 0, zoom: 1 } });
  return (await call("POST", "/chatflows", { name, flowData, type, deployed: false, isPublic: true })).id;
}

const instance = (node) => `{{${node.id}.data.instance}}`;
const handleOf = (node, name) => {
  const { type } = node.data.inputAnchors.find((anchor) => anchor.name === name);
  return `${name}-${type}`;
};

/** A chatflow of one node and what is connected to its inputs. */
async function chatflow(kit, name, end, parts, { inputs = {}, outputs, more = { nodes: [], edges: [] } } = {}) {
  const links = Object.fromEntries(Object.entries(parts).map(([input, node]) => [input, instance(node)]));
  const root = place(kit, end, { ...links, ...inputs }, { x: 800, outputs });
  const edges = Object.entries(parts).map(([input, node]) => edge(node, root, handleOf(root, input)));
  return save(kit, name, "CHATFLOW", [...more.nodes, ...Object.values(parts), root], [...more.edges, ...edges]);
}

export const modelOf = (kit, { node = "chatSparkler", ...inputs }) => place(kit, node, inputs, { credential: kit.credential });

export const conversation = (kit, model) =>
  chatflow(kit, "Conversation Chain", "conversationChain", { model: modelOf(kit, model), memory: place(kit, "bufferMemory", {}, { x: 400, y: -290 }) });

export const llmChain = (kit, model) => {
  const prompt = place(kit, "promptTemplate", { template: "Answer in one line: {question}", promptValues: "" }, { x: 400 });
  return chatflow(kit, "LLM Chain", "llmChain", { model: modelOf(kit, model), prompt }, { outputs: { output: "llmChain" } });
};

/** Answers from a text that is in a vector store of the flow's own. */
export const retrieval = (kit, model, embeddings, text) => {
  const document = place(kit, "plainText", { text }, { outputs: { output: "document" } });
  const parts = { document, embeddings: modelOf(kit, { node: "sparklerEmbeddings", ...embeddings }) };
  const inputs = Object.fromEntries(Object.entries(parts).map(([input, node]) => [input, instance(node)]));
  const store = place(kit, "memoryVectorStore", { ...inputs, topK: "2" }, { x: 400, outputs: { output: "retriever" } });
  const ends = { model: modelOf(kit, model), vectorStoreRetriever: store };
  const links = Object.entries(parts).map(([input, node]) => edge(node, store, handleOf(store, input)));
  return chatflow(kit, "Retrieval", "conversationalRetrievalQAChain", ends, { more: { nodes: Object.values(parts), edges: links } });
};

export const toolAgent = (kit, model) => {
  const tool = place(kit, "calculator", {}, { x: 400 });
  const parts = { model: modelOf(kit, model), memory: place(kit, "bufferMemory", {}, { x: 400, y: -290 }), tools: tool };
  return chatflow(kit, "Tool Agent", "toolAgent", parts, { inputs: { tools: [instance(tool)] } });
};

function agentflow(kit, name, node, inputs) {
  const start = place(kit, "startAgentflow", { startInputType: "chatInput" });
  const step = place(kit, node, inputs, { x: 300 });
  return save(kit, name, "AGENTFLOW", [start, step], [edge(start, step)]);
}

const chosen = (kit, { node = "chatSparkler", ...inputs }, prefix) => ({
  [`${prefix}Model`]: node,
  [`${prefix}ModelConfig`]: { ...inputs, [`${prefix}Model`]: node, FLOWISE_CREDENTIAL_ID: kit.credential },
  [`${prefix}EnableMemory`]: true,
  [`${prefix}MemoryType`]: "allMessages",
  [`${prefix}ReturnResponseAs`]: "userMessage",
});

export const llmNode = (kit, model, more = {}) =>
  agentflow(kit, "Agentflow LLM", "llmAgentflow", { ...chosen(kit, model, "llm"), ...more });

export const structuredNode = (kit, model) =>
  llmNode(kit, model, {
    llmStructuredOutput: [
      { key: "city", type: "string", description: "a city" },
      { key: "people", type: "number", description: "how many live there" },
    ],
  });

export const agentNode = (kit, model) => {
  const tool = { agentSelectedTool: "calculator", agentSelectedToolConfig: { agentSelectedTool: "calculator" } };
  return agentflow(kit, "Agentflow Agent", "agentAgentflow", { ...chosen(kit, model, "agent"), agentTools: [tool] });
};
