/*
 * Remembers which databases had the tables that OpenClaw expects of them.
 *
 * OpenClaw compares every table, column and index of a database with what it would make, in each thread
 * that opens one: it takes the texts apart with a parser of its own. Nothing but those texts decides,
 * so those that were right once are right again. The note is made while the image is built.
 */
"use strict";

const { createHash } = require("node:crypto");
const { appendFileSync, readFileSync } = require("node:fs");

const NOTE = "/var/cache/lebureau/node/schemas";
const DECLARED = `
  SELECT 'main', type, name, tbl_name, sql FROM main.sqlite_schema
  UNION ALL SELECT 'temp', type, name, tbl_name, sql FROM temp.sqlite_schema
  ORDER BY 1, 2, 3
`;

const known = new Map();

function knownOf(note) {
  if (!known.has(note)) {
    try {
      known.set(note, new Set(readFileSync(note, "utf8").split("\n")));
    } catch {
      known.set(note, new Set());
    }
  }
  return known.get(note);
}

/**
 * What `find` says of a database, unless it said of one like it that nothing is wrong.
 *
 * @param {function} find OpenClaw's own comparison, which answers a list.
 * @param {DatabaseSync} database An open one.
 * @param {string} expected The statements that make the tables.
 * @param {object} compatibility What may differ.
 * @param {string} note The file with what is known.
 */
exports.issuesOf = (find, database, expected, compatibility, note = NOTE) => {
  const compared = JSON.stringify([expected, compatibility, database.prepare(DECLARED).all()]);
  const digest = createHash("sha256").update(compared).digest("base64");
  if (knownOf(note).has(digest)) return [];
  const issues = find();
  if (issues.length === 0) {
    knownOf(note).add(digest);
    try {
      appendFileSync(note, `${digest}\n`);
    } catch {
      // It is found out again next time.
    }
  }
  return issues;
};
