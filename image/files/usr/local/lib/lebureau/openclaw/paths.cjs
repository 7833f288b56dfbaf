/*
 * Remembers what node:path makes of the paths that it is given.
 *
 * OpenClaw puts the same few thousand paths together over and over. V8's interpreter looks at each
 * of their characters, which is a sixth of all that it does where QEMU emulates the CPU.
 */
"use strict";

const path = require("node:path");

const LIMIT = 8192;

const arePlain = (parts) => parts.every((part) => typeof part === "string" && !part.includes("\0"));

/** Whether nothing but the arguments decides: `resolve` asks for the current directory else. */
const beginAtRoot = (parts) => arePlain(parts) && parts[0]?.startsWith("/");

function remembering(compute, isPure) {
  const known = new Map();
  return (...parts) => {
    if (!isPure(parts)) return compute(...parts);
    const key = parts.length === 1 ? parts[0] : parts.join("\0");
    let result = known.get(key);
    if (result === undefined) {
      if (known.size === LIMIT) known.clear();
      result = compute(...parts);
      known.set(key, result);
    }
    return result;
  };
}

path.resolve = remembering(path.resolve, beginAtRoot);
path.join = remembering(path.join, arePlain);
path.normalize = remembering(path.normalize, arePlain);
