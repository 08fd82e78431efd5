// The page: what it asks for, when, and where it shows it.

// How often the API is asked, in milliseconds, and at which of these times also for what changes less.
const POLL = 1000;
const SLOWER = 2;
// How often the timeline is painted; less often for people who want less motion.
const PAINT = matchMedia('(prefers-reduced-motion: reduce)').matches ? 5000 : 500;
// How many rows tables have at most.
const CALLS_SHOWN = 30;
const CONNECTIONS_SHOWN = 50;
const FAULTS_SHOWN = 30;

class Page {
  constructor() {
    this.model = new Model();
    this.timeline = new Timeline();
    this.steering = new Steering(() => this.selected, () => this.poll(true));
    this.selected = null;
    this.paused = false;
    this.polls = 0;
    // The last event that was read; 0 before the first.
    this.last = 0;
    this.lost = 0;
    // Why events cannot be read.
    this.unread = '';
    element('login').addEventListener('submit', (event) => this.login(event));
    element('pause').addEventListener('click', () => this.pause(!this.paused));
    element('span').addEventListener('change', () => {
      this.timeline.restart();
      this.paint();
    });
    element('latest').addEventListener('toggle', () => this.paint());
    // A page that nobody sees asks for nothing.
    document.addEventListener('visibilitychange', () => this.run());
    addEventListener('hashchange', () => this.poll(true));
    this.run();
  }

  // Starts or stops what goes on by itself.
  run() {
    const runs = !this.paused && !document.hidden && !this.locked;
    if (runs === (this.stop !== undefined)) return;
    if (!runs) {
      this.stop.abort();
      this.stop = undefined;
      return;
    }
    const { signal } = this.stop = new AbortController();
    this.every(POLL, signal, () => this.poll(false));
    this.every(PAINT, signal, () => this.paint());
    this.follow(signal);
    if (!this.handlers) this.pickable();
  }

  async every(time, signal, act) {
    while (!signal.aborted) {
      await act();
      await wait(time);
    }
  }

  async follow(signal) {
    const take = (events) => {
      this.last = events.at(-1).id;
      this.model.take(events);
    };
    // What the program had forgotten before the page was opened is not missed.
    const lost = (count) => { if (this.last > 0) this.lost += count; };
    const opened = (wrong) => { this.unread = wrong; };
    await readEvents({ since: this.last, take, lost, opened, signal });
  }

  pause(paused) {
    this.paused = paused;
    element('pause').setAttribute('aria-pressed', paused);
    if (paused) this.say('paused', '');
    this.run();
  }

  say(words, className) {
    const live = element('live');
    setText(live, words);
    live.className = className;
  }

  login(event) {
    event.preventDefault();
    const field = element('token');
    token = field.value.trim();
    field.value = '';
    this.locked = false;
    this.run();
  }

  // The API wants its token.
  lock(error) {
    this.locked = true;
    this.run();
    const mistake = element('login-mistake');
    mistake.hidden = !token;
    setText(mistake, token ? visible(error.message) : '');
    token = '';
    this.say('waits for the token', '');
    element('main').hidden = true;
    element('login').hidden = false;
    element('token').focus();
  }

  async pickable() {
    try {
      const { handlers } = await ask('GET', '/handlers');
      this.handlers = handlers;
      element('pick').append(...handlers.map((name) => new Option(visible(name), name)));
    } catch {
      // The poll says why.
    }
  }

  // Asks for everything that is shown. After a change by the user at once, and for what changes less as well.
  async poll(all) {
    if (this.polling) {
      this.again ||= all;
      return this.polling;
    }
    this.polling = this.askAll(all || this.polls % SLOWER === 0);
    this.polls += 1;
    await this.polling;
    this.polling = undefined;
    if (!this.again) return undefined;
    this.again = false;
    return this.poll(true);
  }

  async askAll(all) {
    try {
      const { proxies } = await ask('GET', '/v1/proxies');
      this.model.see(proxies, Date.now());
      this.choose(Object.keys(proxies));
      element('login').hidden = true;
      element('main').hidden = false;
      this.show();
      if (this.selected !== null) await this.askOne(this.selected, all);
      if (!this.paused) this.say('live', 'on');
    } catch (error) {
      if (error.status === 401) this.lock(error);
      // A proxy may go while it is asked for.
      else if (error.status !== 404) this.say(error.status ? visible(error.message) : 'vaurien does not answer', 'off');
    }
  }

  async askOne(name, all) {
    const get = (...path) => ask('GET', proxyPath(name, ...path));
    const [{ connections }, ...others] = await Promise.all([
      get('connections'), ...(all ? [get('calls'), get('rules'), get('toxics')] : []),
    ]);
    if (name !== this.selected) return;
    this.showConnections(connections);
    if (!all) return;
    const [calls, { rules }, { toxics }] = others;
    this.showCalls(calls);
    this.steering.showRules(rules);
    this.steering.showToxics(toxics);
  }

  // The proxy that the address names, else the first one.
  choose(names) {
    let named;
    try {
      named = decodeURIComponent(location.hash.slice(1));
    } catch {
      named = '';
    }
    const selected = names.includes(named) ? named : names[0] ?? null;
    if (selected === this.selected) return;
    this.selected = selected;
    this.steering.restart();
    this.timeline.restart();
    element('rule-form').reset();
    element('toxic-form').reset();
    element('mix-for').value = '';
  }

  show() {
    const pasts = [...this.model.proxies.values()];
    element('no-proxy').hidden = pasts.length > 0;
    element('one').hidden = this.selected === null;
    element('several').hidden = pasts.length < 2;
    if (pasts.length > 1) this.showProxies(pasts);
    if (this.selected !== null) this.showOne(this.model.get(this.selected));
  }

  showProxies(pasts) {
    fill(element('proxies'), pasts, ({ name }) => name, ({ name }) => {
      const node = row(7, [4, 5, 6]);
      const link = button(visible(name), '', () => { location.hash = encodeURIComponent(name); });
      link.className = 'link';
      node.cells[0].append(link);
      node.cells[1].append(make('span', 'state'));
      return node;
    }, (node, past) => {
      const { answer } = past.now;
      node.cells[0].firstChild.setAttribute('aria-current', past.name === this.selected);
      const state = node.cells[1].firstChild;
      state.className = `state ${answer.enabled ? 'on' : 'off'}`;
      setText(state, answer.enabled ? 'enabled' : 'disabled');
      setCells(node, [
        null, null, answer.backend, answer.handler, rateText(past.rate((seen) => seen.calls)),
        rateText(past.rate((seen) => seen.faults)), grouped.format(answer.status.connections.open),
      ]);
    });
  }

  showOne(past) {
    const { answer, calls, faults } = past.now;
    const { status } = answer;
    setText(element('name'), visible(past.name));
    const state = element('state');
    state.className = `state ${answer.enabled ? 'on' : 'off'}`;
    setText(state, answer.enabled ? 'enabled' : 'disabled');
    const listens = status.addresses.length > 0 ? status.addresses.join(', ') : answer.proxy;
    setText(element('route'), visible(`${listens} → ${answer.backend}, ${answer.protocol}`));
    const counts = (total, rate) => (rate === null ? grouped.format(total) : `${rateText(rate)}/s, ${grouped.format(total)}`);
    const bytes = (of) => `${bytesText(past.rate(({ answer: seen }) => of(seen)))}${past.before ? '/s' : ''}`;
    const times = (both) => (both ? `${timeText(both.p50_seconds)} / ${timeText(both.p99_seconds)}` : '–');
    setText(element('fact-calls'), counts(calls, past.rate((seen) => seen.calls)));
    setText(element('fact-faults'), counts(faults, past.rate((seen) => seen.faults)));
    setText(element('fact-to-backend'), bytes((seen) => seen.status.bytes.to_backend));
    setText(element('fact-to-client'), bytes((seen) => seen.status.bytes.to_client));
    setText(element('fact-open'), `${grouped.format(status.connections.open)} open of ${grouped.format(status.connections.total)}`);
    setText(element('fact-waited'), times(status.waited));
    setText(element('fact-backend'), times(status.backend_time));
    for (const [id, failures] of [['dials', status.backend_failures], ['handshakes', status.handshake_failures]]) {
      element(id).hidden = failures === 0;
      setText(element(`fact-${id}`), grouped.format(failures));
    }
    const handlers = Object.keys(status.calls).map((name) => ({
      name,
      calls: status.calls[name],
      faults: status.faults[name] ?? 0,
      callRate: past.rate(({ answer: seen }) => seen.status.calls[name] ?? 0),
      faultRate: past.rate(({ answer: seen }) => seen.status.faults[name] ?? 0),
    }));
    fill(element('handlers'), handlers, ({ name }) => name, ({ name }) => {
      const node = row(5, [1, 2, 3, 4]);
      node.cells[0].append(named(name));
      return node;
    }, (node, { calls: all, faults: hit, callRate, faultRate }) => {
      setCells(node, [null, grouped.format(all), grouped.format(hit), rateText(callRate), rateText(faultRate)]);
      node.cells[2].classList.toggle('fault', hit > 0);
    });
    this.steering.show(answer);
  }

  showCalls({ calls, other, note }) {
    const shown = calls.slice(0, CALLS_SHOWN);
    const left = calls.slice(CALLS_SHOWN).reduce((all, shape) => all + shape.calls, other);
    const words = note ?? (calls.length === 0 ? 'There were no calls.' : left > 0 ? `${counted(left, 'call')} of other kinds.` : '');
    element('calls-note').hidden = !words;
    setText(element('calls-note'), words);
    fill(element('calls'), shown, ({ shape }) => shape, ({ shape, rule }) => {
      const node = row(5, [1, 2, 3]);
      node.cells[0].append(make('code'));
      node.cells[4].append(button('Make this fail', `Make this fail: ${shape}`, () => {
        this.steering.change({ method: 'POST', path: ['rules'], body: { rule, before: 'first' } }, 'calls-mistake');
      }));
      return node;
    }, (node, { shape, calls: count, p50_seconds: p50, p99_seconds: p99 }) => {
      setText(node.cells[0].firstChild, visible(shape));
      setCells(node, [null, grouped.format(count), timeText(p50), timeText(p99)]);
    });
  }

  showConnections(connections) {
    const { opaque } = this.model.get(this.selected);
    const why = new Map(opaque.map((event) => [event.connection, event.why]));
    const shown = connections.slice(-CONNECTIONS_SHOWN).reverse();
    const left = connections.length - shown.length;
    const words = connections.length === 0 ? 'None is open.' : left > 0 ? `${counted(left, 'older connection')} not shown.` : '';
    element('connections-table').hidden = connections.length === 0;
    element('connections-note').hidden = !words;
    setText(element('connections-note'), words);
    const end = (id, query) => async () => {
      await this.steering.change({ method: 'DELETE', path: ['connections', id], query }, 'connections-mistake');
      element('connections-title').focus();
    };
    fill(element('connections'), shown, ({ id }) => id, ({ id }) => {
      const node = row(8, [0, 2, 3, 4, 5]);
      const buttons = make('span', 'buttons');
      buttons.append(button('Close', `Close connection ${id}`, end(id, '')), button('Reset', `Reset connection ${id}`, end(id, '?reset=true')));
      node.cells[7].append(buttons);
      return node;
    }, (node, { id, peer, age, bytes, calls, handler, state }) => {
      const doing = state === 'opaque' && why.has(id) ? `opaque: ${why.get(id)}` : handler ? `${state}, ${handler}` : state;
      setCells(node, [String(id), peer, timeText(Math.floor(age)), grouped.format(calls), bytesText(bytes.to_backend), bytesText(bytes.to_client), doing]);
    });
    element('opaque-part').hidden = opaque.length === 0;
    fill(element('opaque'), [...opaque].reverse(), (event) => event.id, (event) => (
      make('li', '', make('span', '', `connection ${event.connection}`), make('span', '', visible(event.why)), make('span', 'note', clockText(Date.parse(event.time))))
    ), () => {});
  }

  paint() {
    if (this.selected === null || element('main').hidden) return;
    const past = this.model.get(this.selected);
    const seconds = Number(element('span').value);
    const faults = this.timeline.paint(past, seconds, Date.now());
    const counts = new Map();
    for (const { label } of faults) counts.set(label, (counts.get(label) ?? 0) + 1);
    const most = [...counts].sort(([, a], [, b]) => b - a).slice(0, 8).map(([label, count]) => `${label} ${grouped.format(count)}`);
    const words = faults.length === 0 ? 'No faults in this time.' : `${counted(faults.length, 'fault')}: ${most.join(', ')}.`;
    const lost = this.lost > 0 ? ` ${counted(this.lost, 'event')} came too fast and are missing here.` : '';
    const unread = this.unread ? ` Events cannot be read: ${this.unread}.` : '';
    setText(element('timeline-words'), visible(words + lost + unread));
    if (element('latest').open) this.showFaults(past.faults.slice(-FAULTS_SHOWN).reverse());
    root.dataset.painted = Number(root.dataset.painted ?? 0) + 1;
  }

  showFaults(faults) {
    fill(element('faults'), faults, ({ id }) => id, ({ label }) => {
      const node = row(6, [1, 2]);
      node.cells[3].append(named(label));
      return node;
    }, (node, { time, connection, call, verdict, request }) => {
      setCells(node, [clockText(time), String(connection), call === undefined ? '–' : String(call), null, verdict ?? 'toxic', request || '–']);
    });
  }
}

new Page();
