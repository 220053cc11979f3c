// Puts what the pages load into web/static/web/vendor: the libraries' files under their own names, and one sprite of the
// icons that the templates name (`{% icon "name" %}` and what includes it).

import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const modules = "node_modules";
const vendor = "web/static/web/vendor";
const files = [
  "@tabler/core/dist/css/tabler.min.css",
  "@tabler/core/dist/js/tabler.min.js",
  "chart.js/dist/chart.umd.min.js",
  "htmx.org/dist/htmx.min.js",
];

const templates = (folder) =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(html|py)$/.test(entry.name))
    .map((entry) => readFileSync(join(entry.parentPath ?? entry.path, entry.name), "utf8"));

const names = new Set(templates("web").flatMap((text) => [...text.matchAll(/\b(?:icon|icon_name|menu_item \w+)[ (=]"([a-z0-9-]+)"/g)].map(([, name]) => name)));

const symbol = (name) => {
  const svg = readFileSync(join(modules, "@tabler/icons/icons/outline", `${name}.svg`), "utf8");
  const paths = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.lastIndexOf("</svg>"));
  return `<symbol id="${name}" viewBox="0 0 24 24">${paths.trim().replace(/\n\s*/g, "")}</symbol>`;
};

rmSync(vendor, { recursive: true, force: true });
mkdirSync(vendor, { recursive: true });
// Without the names of source maps, which are not there: the manifest of static files would miss them.
const map = /\n?(?:\/\*# sourceMappingURL=.*?\*\/|\/\/# sourceMappingURL=.*)\s*$/;
for (const file of files)
  writeFileSync(join(vendor, basename(file)), readFileSync(join(modules, file), "utf8").replace(map, "\n"));
writeFileSync(
  join(vendor, "icons.svg"),
  `<svg xmlns="http://www.w3.org/2000/svg">\n${[...names].sort().map(symbol).join("\n")}\n</svg>\n`,
);
