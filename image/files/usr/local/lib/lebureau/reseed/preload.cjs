/**
 * Loaded before anything else into OpenClaw's gateway and the Node processes that it starts
 * (NODE_OPTIONS): makes them fit to be resumed as the copy of another machine.
 *
 * Whatever random numbers they use come from OpenSSL at the moment of use, and `lebureau-guest
 * apply` can reseed OpenSSL in the running process (reseed.c). What is left out, because nothing
 * secret or unique comes from it: V8's hash seed, the masks of WebSocket clients, SQLite's
 * `random()`.
 */

"use strict";

const crypto = require("node:crypto");
const { syncBuiltinESMExports } = require("node:module");
const { isMainThread } = require("node:worker_threads");

const SOCKETS = "/run/lebureau/reseed";

/** Node keeps 128 ids in advance unless it is told not to. */
function forgetIdsMadeInAdvance() {
  const randomUUID = crypto.randomUUID;
  const fresh = (options) => randomUUID({ ...options, disableEntropyCache: true });
  crypto.randomUUID = fresh;
  crypto.webcrypto.constructor.prototype.randomUUID = function () {
    return fresh();
  };
}

/** V8's own generator has a state that nobody can reseed. */
function drawFromOpenSsl() {
  const drawn = new Uint32Array(2);
  Math.random = function random() {
    crypto.randomFillSync(drawn);
    return ((drawn[0] >>> 5) * 0x4000000 + (drawn[1] >>> 6)) / 0x20000000000000;
  };
}

/** Once a process: its threads share what OpenSSL is seeded with. */
function listen() {
  const addon = { exports: {} };
  process.dlopen(addon, `${__dirname}/reseed.node`);
  addon.exports(`${SOCKETS}/${process.pid}`);
}

/**
 * SIGURG, which other programs ignore: whoever keeps this memory wants no garbage in it. V8 shows
 * its `gc` while a flag is set, and what it has compiled is good for the flags of before only.
 */
function collectWhenTold() {
  process.on("SIGURG", () => {
    const { setFlagsFromString } = require("node:v8");
    setFlagsFromString("--expose-gc");
    const collect = require("node:vm").runInNewContext("gc");
    setFlagsFromString("--no-expose-gc");
    collect();
  });
}

forgetIdsMadeInAdvance();
drawFromOpenSsl();
syncBuiltinESMExports();
if (isMainThread) {
  listen();
  collectWhenTold();
}
