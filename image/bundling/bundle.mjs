/*
 * Bundles a program's modules, and those of the packages that it uses, in place: fewer files, the same
 * modules.
 *
 * Usage: node bundle.mjs PROGRAM RECORDS. PROGRAM is a folder of modules, RECORDS one of what record.cjs
 * wrote.
 *
 * To find, read and link a module costs more than to run it, and OpenClaw has thousands. Those that
 * one import makes Node.js load together go into one file. Where a module was there is one that
 * passes on what it exported, for whoever else imports it: each module still exists once.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const RECORD = /^\d+-(\d+)$/;
const PACKAGE = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/;
const OUTSIDE = "lebureau-outside:";
const OUTSIDES = /"lebureau-outside:([^"]+)"/g;
const MARK = /\bLEBUREAU_URL\("([^"]+)"\)/g;

/**
 * What was loaded, as paths of ECMAScript modules: a list for each thread. Other threads come before
 * the main ones, which load most of what those do and more.
 */
function recorded(records) {
  const numberOf = (thread) => Number(RECORD.exec(thread)[1]);
  const threads = readdirSync(records)
    .filter((name) => RECORD.test(name))
    .sort((one, other) => numberOf(other) - numberOf(one));
  return threads.map((thread) =>
    readFileSync(join(records, thread), "utf8")
      .split("\n")
      .filter((url) => url.startsWith("file:"))
      .map((url) => fileURLToPath(url.replace(/[?#].*/, "")))
      .filter(isModule),
  );
}

/** Whether Node.js takes a file for an ECMAScript module (Node.js: Modules, “Determining module system”). */
function isModule(path) {
  return path.endsWith(".mjs") || (path.endsWith(".js") && typeOf(dirname(path)) === "module");
}

const types = new Map();

function typeOf(folder) {
  if (!types.has(folder)) {
    const about = join(folder, "package.json");
    const above = dirname(folder);
    if (existsSync(about)) types.set(folder, JSON.parse(readFileSync(about, "utf8")).type);
    else types.set(folder, above === folder ? undefined : typeOf(above));
  }
  return types.get(folder);
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
      return code.replace(MARK, (_, path) => {
        if (path === chunk.fileName) return "import.meta.url";
        return `new URL(${JSON.stringify(wayTo(root, path, chunk))}, import.meta.url).href`;
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

/** What is not bundled is imported from where it is: until the bundles have places, by a mark. */
function leavesAlone(root, isOutside) {
  return {
    name: "leaves-alone",
    resolveId(id, importer) {
      const path = importer && !isBare(id) && resolve(dirname(importer), id);
      return path && isOutside(path) ? { id: OUTSIDE + relative(root, path), external: true } : null;
    },
    renderChunk(code, chunk) {
      return code.replace(OUTSIDES, (_, path) => JSON.stringify(wayTo(root, path, chunk)));
    },
  };
}

/** How a chunk refers to a file. */
function wayTo(root, path, chunk) {
  const way = relative(dirname(join(root, chunk.fileName)), join(root, path));
  return way.startsWith(".") ? way : `./${way}`;
}

const isBare = (id) => !id.startsWith(".") && !id.startsWith("/");

/**
 * Puts the modules that one import loads into one file each, in the order of the imports; whatever a
 * former one brought stays there, so that no file needs a later one.
 */
async function bundle(root, loaded) {
  const modules = new Set(loaded);
  let groups;
  const groupOf = (path, context) => {
    groups ??= inGroups(modules, (each) => context.getModuleInfo(each)?.importedIds ?? []);
    return groups.get(path);
  };
  const made = await rolldown({
    cwd: root,
    input: Object.fromEntries(loaded.map((path) => [relative(root, path), path])),
    platform: "node",
    treeshake: false,
    preserveEntrySignatures: "allow-extension",
    external: isBare,
    plugins: [keepsItsAddress(root), leavesAlone(root, (path) => !modules.has(path))],
  });
  await made.write({
    dir: root,
    format: "esm",
    entryFileNames: "[name]",
    chunkFileNames: "bundled-[name].mjs",
    codeSplitting: {
      includeDependenciesRecursively: false,
      groups: [{ name: groupOf, debugName: "loaded together" }],
    },
  });
  console.log(`${root}: ${modules.size} modules, ${new Set(groups.values()).size} bundles`);
}

/** The number of the group of each module that is not alone. */
function inGroups(modules, importsOf) {
  const grouped = new Map();
  const seen = new Set();
  for (const first of modules) {
    const group = [];
    const name = String(grouped.size);
    const waiting = [first];
    while (waiting.length) {
      const path = waiting.pop();
      if (seen.has(path) || !modules.has(path)) continue;
      seen.add(path);
      group.push(path);
      waiting.push(...importsOf(path));
    }
    if (group.length > 1) for (const path of group) grouped.set(path, name);
  }
  return grouped;
}

const [program, records] = process.argv.slice(2);
const threads = recorded(records);
const ours = (path) => path.startsWith(program + sep);
const entries = new Set(threads.flatMap((thread) => [thread[0], thread.find(ours)]));
const loaded = [...new Set(threads.flat())].filter(
  (path) => !entries.has(path) && !path.endsWith(".worker.js"),
);

const byPackage = Map.groupBy(
  loaded.filter((path) => !ours(path)),
  (path) => PACKAGE.exec(path)?.[0],
);
for (const [folder, modules] of byPackage) {
  if (folder && modules.length > 1) await bundle(folder, modules);
}
await bundle(program, loaded.filter(ours));
