import { bothModules } from "../build.mjs";

bothModules(new URL("./", import.meta.url).pathname);
