// The same for CommonJS.
const { Sparkler, SparklerError, VERSION } = require("sparkler-client");

async function main() {
  const sparkler = new Sparkler(process.argv[2]);
  const types = await sparkler.nodeTypes();
  const failure = await sparkler.execute({ prompt: "Hi", model: "m" }).answer().catch((error) => error);
  sparkler.close();
  if (!(failure instanceof SparklerError)) throw failure;
  console.log(`require: sparkler-client ${VERSION}: ${types.map(({ name }) => name)}; ${failure.reason}`);
}
main();
