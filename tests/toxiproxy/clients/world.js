// What clients of a proxy see.
"use strict";

const net = require("node:net");

// Sends data through a proxy: what comes back until it is whole or the connection ends, the error, and how long it took.
function talk(listen, data = Buffer.from("hello")) {
    return new Promise((resolve) => {
        const begun = performance.now();
        let got = Buffer.alloc(0);
        let error;
        const client = net.connect(Number(String(listen).split(":").pop()), "127.0.0.1", () => client.write(data));
        client.on("data", (more) => {
            got = Buffer.concat([got, more]);
            if (got.length >= data.length) client.end();
        });
        client.on("error", (raised) => (error = raised.code));
        client.on("close", () => resolve({ got: got.toString(), error, took: performance.now() - begun }));
    });
}

// Each toxic with its attributes, and whether a client sees it. A timer may be a millisecond early.
const TOXICS = {
    latency: [{ latency: 200, jitter: 0 }, async (listen) => (await talk(listen)).took >= 199],
    bandwidth: [{ rate: 100 }, async (listen) => (await talk(listen, Buffer.alloc(40_000, "x"))).took >= 300],
    slow_close: [{ delay: 200 }, async (listen) => (await talk(listen)).took >= 199],
    timeout: [{ timeout: 100 }, async (listen) => (await talk(listen)).got === ""],
    reset_peer: [{ timeout: 0 }, async (listen) => (await talk(listen)).error === "ECONNRESET"],
    slicer: [
        { average_size: 2, size_variation: 1, delay: 10_000 },
        async (listen) => (await talk(listen, Buffer.alloc(40, "x"))).took >= 100,
    ],
    limit_data: [{ bytes: 3 }, async (listen) => (await talk(listen)).got === "hel"],
};

module.exports = { talk, TOXICS };
