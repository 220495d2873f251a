/** A worker other than the operator's, or a credential that the worker holds. */
class SparklerWorkerCredential {
  label = "Sparkler Worker";
  name = "sparklerWorker";
  version = 1.0;
  description = "Who pays: a Fireworks key, or a credential that the worker holds; and which worker, where it is not Flowise's own";
  inputs = [
    { label: "Credential Held by the Worker", name: "sparklerSecretName", type: "string", placeholder: "team-a", optional: true },
    { label: "Fireworks API Key", name: "fireworksApiKey", type: "password", optional: true },
    { label: "Worker URL", name: "sparklerUrl", type: "string", placeholder: "https://sparkler.flows.svc:50051", optional: true },
    { label: "Worker Token", name: "sparklerToken", type: "password", optional: true },
  ];
}

module.exports = { credClass: SparklerWorkerCredential };
