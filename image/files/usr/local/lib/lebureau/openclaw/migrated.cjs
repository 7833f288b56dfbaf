/*
 * Remembers beside OpenClaw's state which version of it the state is of.
 *
 * OpenClaw asks a doctor at each start, who starts four processes for that before anything else. The
 * note goes where the state goes: into the image, and with a home folder to a newer one.
 */
"use strict";

const { readFileSync, writeFileSync } = require("node:fs");

const PACKAGE = "/usr/local/lib/node_modules/openclaw/package.json";
const note = () => `${process.env.HOME}/.openclaw/state/migrated`;

const versionOf = (file) => JSON.parse(readFileSync(file, "utf8")).version;

exports.isMigrated = (file = PACKAGE) => {
  try {
    return readFileSync(note(), "utf8") === versionOf(file);
  } catch {
    return false;
  }
};

exports.noteMigrated = (file = PACKAGE) => {
  try {
    writeFileSync(note(), versionOf(file));
  } catch {
    // The doctor is asked again next time.
  }
};
