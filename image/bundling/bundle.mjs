/*
 * Bundles a program's modules, and packages that it uses, in place: fewer files, the same modules.
 *
 * Usage: node bundle.mjs PROGRAM RECORDS [PACKAGE...]. PROGRAM is a folder of modules, RECORDS one of
 * what record.cjs wrote, and the packages are folders.
 *
 * To find, read and link a module costs more than to run it, and OpenClaw has thousands. Those that
 * one import makes Node.js load together go into one file. Where a module was there is one that
 * passes on what it exported, for whoever else imports it: each module still exists once.
 */
import { existsSync, globSync, readFileSync, readdirSync } from "node:fs";
import { dirname, extname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const RECORD = /^\d+-(\d+)$/;
const MODULE = /\.m?js$/;
const CONDITIONS = new Set(["node", "import", "default"]);
const MARK = /\bLEBUREAU_URL\("([^"]+)"\)/g;

/**
 * What a program loaded, as paths: a list for each thread. Other threads come before the main ones,
 * which load most of what those do and more.
 */
function recorded(records, program) {
  const numberOf = (thread) => Number(RECORD.exec(thread)[1]);
  const threads = readdirSync(records)
    .filter((name) => RECORD.test(name))
    .sort((one, other) => numberOf(other) - numberOf(one));
  return threads.map((thread) =>
    readFileSync(join(records, thread), "utf8")
      .split("\n")
      .filter((url) => url.startsWith("file:"))
      .map((url) => fileURLToPath(url.replace(/[?#].*/, "")))
      .filter((path) => path.startsWith(program + sep) && MODULE.test(path)),
  );
}

/** `import.meta.url` of a module, wherever it will be: bundled, it asks with a mark for its own. */
function keepsItsAddress(root) {
  const marked = (path) => `LEBUREAU_URL(${JSON.stringify(relative(root, path))})`;
  return {
    name: "keeps-its-address",
    transform(code, id) {
      if (!id.startsWith(root + sep) || !code.includes("import.meta.")) return null;
      for (const { start, end, name } of questions(this.parse(code)).reverse()) {
        if (name === "resolve") continue;
        if (name !== "url") throw new Error(`${id} asks import.meta for its ${name}.`);
        code = code.slice(0, start) + marked(id) + code.slice(end);
      }
      return code;
    },
    renderChunk(code, chunk) {
      const place = dirname(join(root, chunk.fileName));
      return code.replace(MARK, (_, path) => {
        if (path === chunk.fileName) return "import.meta.url";
        const way = relative(place, join(root, path));
        return `new URL(${JSON.stringify(way.startsWith(".") ? way : `./${way}`)}, import.meta.url).href`;
      });
    },
  };
}

/** Where a syntax tree has `import.meta.NAME`, in its order. */
function questions(node) {
  if (!node || typeof node !== "object") return [];
  if (Array.isArray(node)) return node.flatMap(questions);
  if (node.type === "MemberExpression" && node.object.type === "MetaProperty") {
    return [{ start: node.start, end: node.end, name: node.property.name }];
  }
  return Object.values(node).flatMap(questions);
}

const isBare = (id) => !id.startsWith(".") && !id.startsWith("/");

async function write(root, modules, { external, groups, chunk }) {
  const bundle = await rolldown({
    cwd: root,
    input: Object.fromEntries(modules.map((path) => [relative(root, path), path])),
    platform: "node",
    treeshake: false,
    preserveEntrySignatures: "allow-extension",
    external,
    plugins: [keepsItsAddress(root)],
  });
  await bundle.write({
    dir: root,
    format: "esm",
    entryFileNames: "[name]",
    chunkFileNames: chunk,
    codeSplitting: groups && { includeDependenciesRecursively: false, groups },
  });
}

/**
 * Puts the modules that one import loads into one file each, in the order of the imports; whatever a
 * former one brought stays there, so that no file needs a later one.
 */
async function bundleProgram(program, records) {
  const threads = recorded(records, program);
  const entries = new Set(threads.map(([first]) => first));
  const modules = new Set(
    threads.flat().filter((path) => !entries.has(path) && !path.endsWith(".worker.js")),
  );
  let grouped;
  const groupOf = (path, context) => {
    grouped ??= inGroups(modules, (each) => context.getModuleInfo(each)?.importedIds ?? []);
    return grouped.get(path);
  };
  await write(program, [...modules], {
    external: (id, importer) => isBare(id) || !modules.has(resolve(dirname(importer), id)),
    groups: [{ name: groupOf }],
    chunk: "bundled-[name].mjs",
  });
  console.log(`${program}: ${modules.size} modules, ${new Set(grouped.values()).size} bundles`);
}

function inGroups(modules, importsOf) {
  const grouped = new Map();
  let count = 0;
  for (const first of modules) {
    if (grouped.has(first)) continue;
    const waiting = [first];
    while (waiting.length) {
      const path = waiting.pop();
      if (grouped.has(path) || !modules.has(path)) continue;
      grouped.set(path, String(count));
      waiting.push(...importsOf(path));
    }
    count += 1;
  }
  return grouped;
}

/** Bundles what a package exports to `import`; nobody can import anything else of it. */
async function bundlePackage(folder) {
  const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const isModule = (path) => path.endsWith(".mjs") || (path.endsWith(".js") && about.type === "module");
  const exported = targets(about.exports)
    .flatMap((target) => (target.includes("*") ? globSync(target, { cwd: folder }) : [target]))
    .map((path) => join(folder, path))
    .filter((path) => isModule(path) && existsSync(path));
  if (!exported.length) throw new Error(`${folder} exports no modules.`);
  const [first] = exported;
  const chunk = join(relative(folder, dirname(first)), `bundled-[hash]${extname(first)}`);
  await write(folder, [...new Set(exported)], { external: isBare, chunk });
}

/** The files that `exports` of a package.json leads to (Node.js: Packages, “Conditional exports”). */
function targets(exports) {
  if (typeof exports === "string") return [exports];
  const entries = Object.entries(exports ?? {});
  if (entries.some(([key]) => key.startsWith("."))) return entries.flatMap(([, value]) => targets(value));
  const chosen = entries.find(([condition]) => CONDITIONS.has(condition));
  return chosen ? targets(chosen[1]) : [];
}

const [program, records, ...packages] = process.argv.slice(2);
for (const folder of packages) await bundlePackage(folder);
await bundleProgram(program, records);
