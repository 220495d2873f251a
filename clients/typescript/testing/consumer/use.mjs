// What each package gives to an ES module that has only the archive.
import { Sparkler, SparklerError, VERSION } from "sparkler-client";

const sparkler = new Sparkler(process.argv[2]);
const types = await sparkler.nodeTypes();
const failure = await sparkler.execute({ prompt: "Hi", model: "m" }).answer().catch((error) => error);
sparkler.close();
if (!(failure instanceof SparklerError)) throw failure;
console.log(`import: sparkler-client ${VERSION}: ${types.map(({ name }) => name)}; ${failure.reason}`);
