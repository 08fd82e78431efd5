// The client of @testcontainers/toxiproxy, unchanged. The container's place is taken by the program on this machine.
"use strict";

const assert = require("node:assert");
const net = require("node:net");
const { test } = require("node:test");
const { StartedToxiProxyContainer } = require("@testcontainers/toxiproxy");
const { talk, TOXICS } = require("./world.js");

const [host, control] = process.env.TOXIPROXY.split(":");
const container = new StartedToxiProxyContainer({
    getHost: () => host,
    getMappedPort: (port) => (port === 8474 ? Number(control) : port),
});
const upstream = process.env.BACKEND;

// The client takes the first of its 32 ports that has no proxy. Those that are in use on this machine get a disabled one.
async function skipPortsInUse() {
    for (let port = 8666; port < 8698; port++) {
        const isFree = await new Promise((resolve) => {
            const probe = net.createServer().on("error", () => resolve(false));
            probe.listen(port, "0.0.0.0", () => probe.close(() => resolve(true)));
        });
        if (isFree) return;
        await container.client.createProxy({ name: `used ${port}`, listen: `0.0.0.0:${port}`, upstream, enabled: false });
    }
}

test("a proxy is created, toggled, and has toxics", async () => {
    await skipPortsInUse();
    const proxy = await container.createProxy({ name: "redis", upstream });
    assert.equal((await talk(proxy.port)).got, "hello");
    await proxy.setEnabled(false);
    assert.equal((await talk(proxy.port)).error, "ECONNREFUSED");
    await proxy.setEnabled(true);
    assert.equal((await talk(proxy.port)).got, "hello");
    for (const [type, [attributes, isSeen]] of Object.entries(TOXICS)) {
        const toxic = await proxy.instance.addToxic({ attributes, name: type, stream: "downstream", toxicity: 1, type });
        assert.ok(await isSeen(proxy.port), type);
        await toxic.remove();
        assert.equal((await talk(proxy.port)).got, "hello");
    }
    await proxy.instance.remove();
});
