/** Where the worker is, and who pays. */
export class SparklerApi {
  name = "sparklerApi";
  displayName = "Sparkler API";
  properties = [
    {
      displayName: "Worker URL",
      name: "url",
      type: "string",
      default: "http://127.0.0.1:50051",
      required: true,
      description: "The worker's address; https:// for TLS",
    },
    secret("Worker Token", "token", "What the worker knows n8n by, where it asks for that"),
    secret("Fireworks API Key", "apiKey", "Goes with each call; or name a credential that the worker holds"),
    {
      displayName: "Credential Held by the Worker",
      name: "secretName",
      type: "string",
      default: "",
      placeholder: "team-a",
      description: "Who pays, instead of an API key",
    },
    {
      displayName: "Certificate Authority (PEM)",
      name: "ca",
      type: "string",
      typeOptions: { rows: 4 },
      default: "",
      description: "Authorities to trust instead of the system's",
    },
  ];
}

function secret(displayName: string, name: string, description: string) {
  return { displayName, name, type: "string", typeOptions: { password: true }, default: "", description };
}
