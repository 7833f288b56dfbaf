/*
 * Writes down which modules a Node.js program loads, in their order, as `node --require` of it.
 *
 * Beside it each thread of each process has a file, PID-THREAD, with the address of a module on each
 * line.
 */
"use strict";

const { appendFileSync } = require("node:fs");
const { registerHooks, syncBuiltinESMExports } = require("node:module");
const { join } = require("node:path");
const threads = require("node:worker_threads");

const file = join(__dirname, `${process.pid}-${threads.threadId}`);

registerHooks({
  load(url, context, next) {
    appendFileSync(file, `${url}\n`);
    return next(url, context);
  },
});

/** A thread has options of its own: let it write down its modules too. */
threads.Worker = class extends threads.Worker {
  constructor(script, options = {}) {
    const given = options.execArgv ?? process.execArgv;
    super(script, { ...options, execArgv: [...given, "--require", __filename] });
  }
};
syncBuiltinESMExports();
