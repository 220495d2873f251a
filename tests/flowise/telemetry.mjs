// Traces of a Flowise, as its own packages make them.
import { once } from "node:events";
import { createServer } from "node:http";

/** The variables that make Flowise trace, with as few spans as tell of a run. */
export function traced(endpoint, protocol) {
  return {
    NODE_OPTIONS: "--require @opentelemetry/auto-instrumentations-node/register",
    OTEL_NODE_ENABLED_INSTRUMENTATIONS: "http,express,grpc",
    OTEL_NODE_RESOURCE_DETECTORS: "env",
    OTEL_SERVICE_NAME: "flowise",
    OTEL_TRACES_EXPORTER: "otlp",
    OTEL_METRICS_EXPORTER: "none",
    OTEL_LOGS_EXPORTER: "none",
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
    OTEL_BSP_SCHEDULE_DELAY: "200",
  };
}

/** A collector that keeps the spans it is sent as JSON, by their ids. */
export async function startCollector() {
  const spans = new Map();
  const server = createServer(async (request, response) => {
    for (const span of spansOf(JSON.parse(await textOf(request)))) spans.set(span.spanId, span);
    response.end("{}");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = () => new Promise((resolve) => server.close(resolve));
  return { endpoint: `http://127.0.0.1:${server.address().port}`, spans, stop };
}

/** A span and those above it. */
export function lineage(spans, span) {
  return span ? [span, ...lineage(spans, spans.get(span.parentSpanId))] : [];
}

async function textOf(request) {
  let text = "";
  for await (const piece of request.setEncoding("utf8")) text += piece;
  return text;
}

function spansOf({ resourceSpans = [] }) {
  return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ scope, spans }) => spans.map((span) => ({ ...span, scope: scope.name }))));
}
