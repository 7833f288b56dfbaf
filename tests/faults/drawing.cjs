// A long-lived process that draws random numbers in every way that OpenClaw does, when it is asked.
// Usage: node drawing.cjs SOCKET; each connection gets one line of JSON.

const crypto = require("node:crypto");
const net = require("node:net");
const tls = require("node:tls");

const MANY = 300;
const HANDSHAKES = 20;

const times = (count, draw) => Array.from({ length: count }, draw);

function clientRandom() {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", (hello) => {
        // RFC 8446: record header (5), handshake header (4), version (2), random (32).
        resolve(hello.subarray(11, 43).toString("hex"));
        socket.destroy();
        server.close();
      });
    });
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      tls.connect({ host: "127.0.0.1", port: server.address().port }).on("error", () => {});
    });
  });
}

async function draw() {
  const handshakes = [];
  while (handshakes.length < HANDSHAKES) handshakes.push(await clientRandom());
  return {
    randomUUID: times(MANY, () => crypto.randomUUID()),
    webCrypto: times(MANY, () => globalThis.crypto.randomUUID()),
    randomBytes: times(MANY, () => crypto.randomBytes(16).toString("hex")),
    mathRandom: times(MANY, () => Math.random()),
    tlsClientRandom: handshakes,
  };
}

net
  .createServer({ allowHalfOpen: true }, async (socket) =>
    socket.end(`${JSON.stringify(await draw())}\n`),
  )
  .listen(process.argv.at(-1));
