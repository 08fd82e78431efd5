// toxiproxy-node-client, unchanged.
"use strict";

const assert = require("node:assert");
const { test } = require("node:test");
const { Toxiproxy } = require("toxiproxy-node-client");
const { talk, TOXICS } = require("./world.js");

const server = new Toxiproxy(`http://${process.env.TOXIPROXY}`);
const upstream = process.env.BACKEND;

test("proxies are created, listed, toggled and removed", async () => {
    assert.equal(await server.getVersion(), '{"version": "2.12.0"}\n');
    const proxy = await server.createProxy({ name: "redis:6379", listen: "localhost:0", upstream });
    assert.equal(proxy.enabled, true);
    assert.deepEqual(Object.keys(await server.getAll()), ["redis:6379"]);
    const off = await proxy.update({ enabled: false, listen: proxy.listen, upstream });
    assert.equal(off.enabled, false);
    assert.equal((await talk(proxy.listen)).error, "ECONNREFUSED");
    const on = await proxy.update({ enabled: true, listen: proxy.listen, upstream });
    assert.deepEqual([on.enabled, on.listen], [true, proxy.listen]);
    assert.equal((await talk(proxy.listen)).got, "hello");
    const moved = await proxy.update({ enabled: true, listen: proxy.listen, upstream: "somehost:12345" });
    assert.equal(moved.upstream, "somehost:12345");
    await assert.rejects(server.createProxy({ name: "redis:6379", listen: "localhost:0", upstream }), /409/);
    await proxy.remove();
    await assert.rejects(server.get("redis:6379"), /404/);
});

for (const [type, [attributes, isSeen]] of Object.entries(TOXICS)) {
    test(`${type} has its effect`, async () => {
        const proxy = await server.createProxy({ name: type, listen: "localhost:0", upstream });
        const toxic = await proxy.addToxic({ attributes, name: "tox", stream: "downstream", toxicity: 1, type });
        assert.deepEqual((await proxy.getToxic("tox")).attributes, attributes);
        assert.ok(await isSeen(proxy.listen));
        assert.equal((await toxic.update({ attributes, toxicity: 0 })).toxicity, 0);
        assert.equal((await talk(proxy.listen)).got, "hello");
        await toxic.remove();
        await assert.rejects(proxy.getToxic("tox"), /404/);
        await proxy.addToxic({ attributes, name: "", stream: "upstream", toxicity: 1, type });
        await server.reset();
        assert.equal((await talk(proxy.listen)).got, "hello");
        await proxy.remove();
    });
}

test("a list is populated", async () => {
    const proxies = await server.populate([
        { name: "a", listen: "localhost:0", upstream },
        { name: "b", listen: "localhost:0", upstream, enabled: false },
    ]);
    assert.deepEqual([proxies.a.enabled, proxies.b.enabled], [true, false]);
    const again = await server.populate([{ name: "a", listen: proxies.a.listen, upstream }]);
    assert.equal(again.a.listen, proxies.a.listen);
    for (const proxy of Object.values(proxies)) await proxy.remove();
});
