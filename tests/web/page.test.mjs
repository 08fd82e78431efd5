// The live page: what it shows, and what clicks and keys on it do to a client of Redis.
import assert from 'node:assert/strict';
import { copyFile, stat } from 'node:fs/promises';
import { after, before, test as run } from 'node:test';

import { browser, close, connect, endAll, eventually, open, redis, shell, shows, startDemo, startRedis, startVaurien } from './world.mjs';

// The most that a test may take, in milliseconds.
const test = (name, use) => run(name, { timeout: 90_000 }, use);

let server;
before(async () => { server = await startRedis(); });
after(async () => {
  await browser.close();
  await endAll();
});

// Runs `use` with vaurien and a page of it.
async function world(args, use, options) {
  const vaurien = await startVaurien(server.port, ...args);
  try {
    const page = await open(vaurien.url, options);
    await use(page, vaurien);
    await close(page);
  } finally {
    await vaurien.end();
  }
}

async function api(vaurien, path) {
  return (await fetch(vaurien.url + path)).json();
}

async function add(page, name, text, time = '') {
  await page.fill(`#${name}`, text);
  await page.fill(`#${name}-for`, time);
  await page.click(`#${name}-form button`);
}

test('a rule that is added on the page makes the client fail, and its line does the same', async () => {
  await world([], async (page, { port }) => {
    assert.equal(await redis(port, 'SET', 'user:1', 'x'), 'OK');
    await add(page, 'rule', 'GET user:* => error(kind=err)');
    await shows(page, '#rules', /GET user:\* .*=> error\(kind=err\)/);
    assert.match(await redis(port, 'GET', 'user:1'), /^ERR injected by vaurien/);
    await shows(page, '#rules', /1 call, 1 fault/);
    await shows(page, '#timeline-words', /^1 fault: rule-1\.error 1\./);

    const line = await shows(page, '#lines li:first-child code', /^vaurien ctl --http \S+ rule add default 'GET user:\* => error\(kind=err\)'/);
    await page.click('#rules button');
    await shows(page, '#rules', /^$/);
    assert.equal(await redis(port, 'GET', 'user:1'), 'x');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'rule');
    await shell(line);
    assert.match(await redis(port, 'GET', 'user:1'), /^ERR injected by vaurien/);
  });
});

test('a handler holds for its time', async () => {
  await world([], async (page, { port }) => {
    await page.selectOption('#pick', 'blackout');
    assert.equal(await page.inputValue('#mix'), 'blackout');
    await add(page, 'mix', 'error(kind=loading)', '4s');
    await eventually('it holds', async () => (await redis(port, 'PING')).startsWith('LOADING'));
    await shows(page, '#reverts', /reverts in/);
    await eventually('it reverts', async () => (await redis(port, 'PING')) === 'PONG');
    await eventually('the field shows it', async () => (await page.inputValue('#mix')) === 'dummy');
  });
});

test('a mistake is shown beside its field, as the API tells it', async () => {
  await world([], async (page, vaurien) => {
    for (const [name, text, time, path, body] of [
      ['rule', 'GET user:* => eror', '', 'rules', { rule: 'GET user:* => eror', before: 'first' }],
      ['toxic', 'latency(latency=100)', '', 'toxics', { toxic: 'latency(latency=100)' }],
      ['mix', '120:delay', '', '', { handler: '120:delay' }],
      ['rule', 'GET => error', '5 parsecs', 'rules', { rule: 'GET => error', before: 'first', for: '5 parsecs' }],
    ]) {
      const url = `${vaurien.url}v1/proxies/default${path && `/${path}`}`;
      const answer = await fetch(url, { method: path ? 'POST' : 'PATCH', body: JSON.stringify(body) });
      const { errors } = await answer.json();
      await add(page, name, text, time);
      await eventually('its mistake is shown', async () => (
        (await page.innerText(`#${name}-mistake`)) === errors.map(({ description }) => description).join('\n')
      ));
      const wrong = page.locator(time ? `#${name}-for` : `#${name}`);
      assert.equal(await wrong.getAttribute('aria-invalid'), 'true');
      assert.equal(await wrong.evaluate((field) => document.activeElement === field), true);
      assert.equal(await page.inputValue(`#${name}`), text, 'what was typed is still there');
    }
    await add(page, 'rule', 'GET => error');
    await eventually('the mistake goes', async () => page.locator('#rule-mistake').isHidden());
    assert.equal(await page.locator('#lines li').count(), 1, 'what was refused is no command');
  }, { refused: [400] });
});

test('a toxic is added and removed', async () => {
  await world([], async (page, vaurien) => {
    const client = await connect(vaurien.port);
    await add(page, 'toxic', 'slow=reset_peer');
    await shows(page, '#toxics', /slow=reset_peer/);
    client.write('PING\r\n');
    assert.equal(await client.ended, 'ECONNRESET');
    await page.click('#toxics button');
    await eventually('it is gone', async () => (await api(vaurien, 'v1/proxies/default/toxics')).toxics.length === 0);
    assert.equal(await redis(vaurien.port, 'PING'), 'PONG');
  });
});

test('a disabled proxy refuses clients until it is enabled', async () => {
  await world([], async (page, { port }) => {
    const client = await connect(port);
    await page.click('text=Disable');
    await shows(page, '#state', /^disabled$/);
    assert.equal(await client.ended, 'closed');
    assert.match(await redis(port, 'PING'), /Connection refused/);
    await page.click('text=Enable');
    await shows(page, '#state', /^enabled$/);
    assert.equal(await redis(port, 'PING'), 'PONG');
    await add(page, 'mix', 'hang');
    await eventually('it is set', async () => (await page.locator('#handlers').innerText()).includes('hang'));
    await page.click('text=Reset settings');
    await eventually('it is as it was', async () => (await page.inputValue('#mix')) === 'dummy');
    assert.equal(await redis(port, 'PING'), 'PONG');
  });
});

test('connections are closed and reset', async () => {
  await world([], async (page, { port }) => {
    const [closed, reset, stays] = [await connect(port), await connect(port), await connect(port)];
    await shows(page, '#connections', /127\.0\.0\.1/);
    await page.click('[aria-label="Close connection 1"]');
    assert.equal(await closed.ended, 'closed');
    await page.click('[aria-label="Reset connection 2"]');
    assert.equal(await reset.ended, 'ECONNRESET');
    await eventually('one is left', async () => (await page.locator('#connections tr').count()) === 1);
    await shows(page, '#lines li:first-child code', /curl -X DELETE '.*\/connections\/2\?reset=true'/);
    stays.destroy();
  });
});

test('a call is made to fail, whatever its name', async () => {
  const key = '<img src=x onerror=alert(1)>\u202e"\'{{nonce}}</script>';
  await world([], async (page, { port }) => {
    for (let time = 0; time < 3; time += 1) assert.equal(await redis(port, 'GET', key), '');
    await shows(page, '#calls', /GET/);
    await page.click('#calls button');
    await shows(page, '#rules', /=> error\(kind=err\)/);
    await shows(page, '#lines', /vaurien ctl --http \S+ rule add default/);
    assert.match(await redis(port, 'GET', key), /^ERR injected/);
    await page.click('#latest summary');
    // A character that turns the direction of text is shown by its number.
    await shows(page, '#faults', /GET <img src=x onerror=alert\(1\)>\\u\{202e\}"'\{\{nonce\}\}<\/script>/);
    await add(page, 'rule', `GET "<b>${key.replaceAll('"', '')}" => error`);
    await shows(page, '#rules', /<b><img/);
    assert.deepEqual([await page.locator('img').count(), await page.locator('b').count()], [0, 0]);
  }, { refused: [400] });
});

test('nothing runs in the page but its own script, and it talks to the API alone', async () => {
  await world([], async (page) => {
    await shows(page, '#live', /^live$/);
    const reached = await page.evaluate(async () => {
      const script = document.createElement('script');
      script.textContent = 'window.ran = true';
      document.body.append(script);
      document.body.setAttribute('onclick', 'window.ran = true');
      document.body.click();
      const image = new Image();
      image.src = 'http://127.0.0.1:9/a.png';
      document.body.append(image);
      return [window.ran, await fetch('http://127.0.0.1:9/').then(() => 'yes', () => 'no')];
    });
    assert.deepEqual(reached, [undefined, 'no']);
    const violated = (directive) => page.wrong.some((text) => text.startsWith(`${directive}: `));
    for (const directive of ['script-src-elem', 'script-src-attr', 'img-src', 'connect-src']) {
      await eventually(`${directive} is violated`, () => violated(directive));
    }
    page.wrong = [];
  });
});

test('opaque connections are shown with their reason', async () => {
  await world([], async (page, { port }) => {
    const client = await connect(port);
    client.write('*1\r\n$x\r\n');
    await shows(page, '#opaque', /connection 1/);
    const why = await page.locator('#opaque li span').nth(1).innerText();
    assert.ok(why.length > 10, why);
    client.destroy();
  });
});

test('one of several proxies is chosen', async () => {
  await world([], async (page, vaurien) => {
    for (const name of ['cache', 'queue']) {
      const body = JSON.stringify({ backend: `127.0.0.1:${server.port}`, proxy: '127.0.0.1:0', protocol: 'redis' });
      assert.equal((await fetch(`${vaurien.url}v1/proxies/${name}`, { method: 'PUT', body })).status, 201);
    }
    await page.click('#proxies >> text=queue');
    await shows(page, '#name', /^queue$/);
    await add(page, 'mix', 'error(kind=busy)');
    await eventually('only that one has it', async () => (await api(vaurien, 'v1/proxies/queue')).handler === 'error(kind=busy)');
    assert.equal((await api(vaurien, 'v1/proxies/cache')).handler, 'dummy');
    await fetch(`${vaurien.url}v1/proxies/queue`, { method: 'DELETE' });
    await shows(page, '#name', /^cache$/);
  });
});

test('a handler has the colour that the report gives it', async () => {
  await world(['--handler', '30:hang,30:slowpoke=delay'], async (page) => {
    await shows(page, '#handlers', /slowpoke/);
    const colours = await page.locator('#handlers .swatch').evaluateAll((all) => all.map((swatch) => (
      [swatch.nextSibling.textContent, swatch.className]
    )));
    // A test of the report has the same.
    assert.deepEqual(Object.fromEntries(colours), { dummy: 'swatch c0', hang: 'swatch c8', slowpoke: 'swatch c1' });
  });
});

test('the token is asked for, and kept in memory alone', async () => {
  await world(['--http-token', 's3cret'], async (page, vaurien) => {
    await page.locator('#login').waitFor();
    assert.equal(await page.locator('#main').isHidden(), true);
    await page.fill('#token', 'wrong');
    await page.keyboard.press('Enter');
    await shows(page, '#login-mistake', /the token is wrong/);
    await page.fill('#token', 's3cret');
    await page.keyboard.press('Enter');
    await shows(page, '#live', /^live$/);
    assert.equal(await page.inputValue('#token'), '');
    await add(page, 'rule', 'GET => error(kind=err)');
    await eventually('the client sees it', async () => (await redis(vaurien.port, 'GET', 'a')).startsWith('ERR injected'));
    await shows(page, '#timeline-words', /^1 fault/);
    const line = await shows(page, '#lines li:first-child code', /^vaurien ctl --http \S+ rule add default/);
    assert.ok(!line.includes('s3cret'));
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
    assert.ok(!kept.includes('s3cret'), kept);
    await page.reload();
    await page.locator('#login').waitFor();
  }, { refused: [401] });
});

test('everything is reached and done with the keyboard', async () => {
  await world(['--rule', 'GET a => delay(sleep=1ms)'], async (page, { port }) => {
    const client = await connect(port);
    await shows(page, '#connections', /127\.0\.0\.1/);
    await shows(page, '#calls', /PING/);
    const reached = new Set();
    for (let presses = 0; presses < 80; presses += 1) {
      await page.keyboard.press('Tab');
      const focused = await page.evaluate(() => {
        const at = document.activeElement;
        if (at === document.body) return null;
        const { outlineStyle } = getComputedStyle(at);
        return { name: at.id || at.getAttribute('aria-label') || at.textContent.trim(), seen: outlineStyle !== 'none' };
      });
      if (focused === null) break;
      assert.ok(focused.seen, `${focused.name} shows that it has the focus`);
      reached.add(focused.name);
    }
    for (const name of [
      'pause', 'toggle', 'reset', 'span', 'mix', 'pick', 'mix-for', 'rule', 'before', 'rule-for', 'Remove the rule rule-1', 'toxic', 'toxic-for',
      'Make this fail: PING', 'Close connection 1', 'Reset connection 1', 'Latest faults',
    ]) assert.ok(reached.has(name), `${name} is not among ${[...reached].join(', ')}`);

    await page.focus('#rule');
    await page.keyboard.type('PING => error(kind=err)');
    await page.keyboard.press('Enter');
    await shows(page, '#rules', /PING/);
    assert.match(await redis(port, 'PING'), /^ERR injected/);
    await page.focus('[aria-label="Reset connection 1"]');
    // The button keeps the focus while the table is updated.
    const painted = () => page.evaluate(() => Number(document.documentElement.dataset.painted));
    const from = await painted();
    await eventually('it was updated', async () => (await painted()) > from + 4);
    await page.keyboard.press('Enter');
    assert.equal(await client.ended, 'ECONNRESET');
  });
});

test('it says when vaurien is gone, and stops where it is paused', async () => {
  const vaurien = await startVaurien(server.port);
  const page = await open(vaurien.url);
  await shows(page, '#live', /^live$/);
  await page.click('#pause');
  await shows(page, '#live', /^paused$/);
  // What was asked for before has been answered by then.
  await page.waitForTimeout(500);
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  assert.equal(await redis(vaurien.port, 'PING'), 'PONG');
  await page.waitForTimeout(2500);
  assert.deepEqual(asked, []);
  await page.click('#pause');
  await shows(page, '#fact-calls', /, 1$/);
  await vaurien.end();
  await shows(page, '#live', /does not answer/);
  page.wrong = page.wrong.filter((text) => !/ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING|SOCKET_NOT_CONNECTED)/.test(text));
  await close(page);
});

test('the demo has calls while its page is open', async () => {
  const demo = await startDemo();
  try {
    const page = await open(demo.url);
    await shows(page, '#live', /^live$/);
    await demo.says(/(Ctrl-C)/);
    // More than it makes by itself.
    const { calls } = await api(demo, 'v1/proxies/default').then(({ status }) => status);
    const before = Object.values(calls).reduce((all, count) => all + count, 0);
    await eventually('there are more', async () => Number((await page.innerText('#fact-calls')).split(', ')[1]) > before + 2);
    await close(page);
  } finally {
    await demo.end();
  }
});

// A client that does what a shop's cache does, and connects again where it is cut off.
async function traffic(port, ended) {
  const words = [(n) => `GET user:${n % 40}`, (n) => `GET user:${n % 7}`, (n) => `SET cart:${n} x`, (n) => `GET session:${n * 7919}`, () => 'PING'];
  for (let number = 0; !ended();) {
    const client = await connect(port);
    client.ended.then(() => client.destroy());
    while (!ended() && !client.destroyed) {
      client.write(`${words[number % words.length](number)}\r\n`);
      number += 1;
      await new Promise((resolve) => { setTimeout(resolve, 40 + (number * 37) % 90); });
    }
    client.destroy();
  }
}

test('it is readable in the light, in the dark and on a phone', async () => {
  const rules = ['--handler', '12:delay(sleep=30ms..80ms),4:error(kind=loading)', '--rule', 'GET session:* name=sessions => 40:miss', '--toxic', 'latency(latency=5ms, jitter=2ms)'];
  await world(rules, async (page, { port, url }) => {
    let ended = false;
    const clients = Promise.allSettled(Array.from({ length: 7 }, () => traffic(port, () => ended)));
    await page.selectOption('#span', '60');
    await page.selectOption('#before', '');
    await add(page, 'rule', 'SET cart:* times=12 => 20:abort', '5m');
    // The picture of the documentation has more of them.
    const enough = process.env.UPDATE_DOCS ? 350 : 100;
    await eventually('there are faults', async () => parseInt(await page.innerText('#timeline-words'), 10) >= enough);
    const pictures = process.env.PICTURES;
    const fits = async (of) => assert.equal(await of.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
    await fits(page);
    await page.screenshot({ path: `${pictures}/light.png`, fullPage: true });
    await page.setViewportSize({ width: 1200, height: 1340 });
    await page.screenshot({ path: `${pictures}/page.png` });
    assert.ok((await stat(`${pictures}/page.png`)).size <= 200_000);
    if (process.env.UPDATE_DOCS) await copyFile(`${pictures}/page.png`, 'docs/images/page.png');
    const colours = new Set();
    for (const [name, options] of [
      ['dark', { colorScheme: 'dark' }],
      ['narrow', { viewport: { width: 360, height: 800 } }],
      ['narrow-dark', { viewport: { width: 360, height: 800 }, colorScheme: 'dark' }],
    ]) {
      const other = await open(url, options);
      await other.selectOption('#span', '60');
      await shows(other, '#timeline-words', /faults/);
      await shows(other, '#connections', /open/);
      await fits(other);
      colours.add(await other.evaluate(() => getComputedStyle(document.body).backgroundColor));
      // What can be done is in view without scrolling sideways.
      for (const label of ['Reset connection', 'Make this fail']) {
        const over = await other.locator(`[aria-label^="${label}"]`).first().evaluate((button) => (
          button.getBoundingClientRect().right - button.closest('.rolling').getBoundingClientRect().right
        ));
        assert.ok(over <= 0, `${name}: ${label} is ${over} px too far right`);
      }
      await other.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
      await close(other);
    }
    assert.equal(colours.size, 2);
    ended = true;
    const wrong = (await clients).filter(({ reason }) => reason);
    assert.deepEqual(wrong, []);
  });
});

test('it moves less for those who ask for it', async () => {
  const vaurien = await startVaurien(server.port);
  const painted = async (reducedMotion) => {
    const page = await open(vaurien.url, { reducedMotion });
    await shows(page, '#live', /^live$/);
    await page.waitForTimeout(3000);
    const times = await page.evaluate(() => Number(document.documentElement.dataset.painted ?? 0));
    await close(page);
    return times;
  };
  const [often, seldom] = [await painted('no-preference'), await painted('reduce')];
  assert.ok(seldom <= 2 && often > seldom, `${often}, ${seldom}`);
  await vaurien.end();
});
