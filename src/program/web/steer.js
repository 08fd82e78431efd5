// What the user changes: forms and buttons, mistakes beside their fields, and the same as command lines.

// How many command lines are shown.
const LINES = 8;

class Steering {
  // `selected` returns the name of the proxy that is shown, `changed` shows what has become of it.
  constructor(selected, changed) {
    this.selected = selected;
    this.changed = changed;
    this.lines = [];
    this.count = 0;
    this.form('mix', {
      method: 'PATCH', path: [], body: (text) => ({ handler: text }), keeps: true,
    });
    this.form('rule', {
      method: 'POST', path: ['rules'], body: (text) => {
        const before = element('before').value;
        return before ? { rule: text, before } : { rule: text };
      },
    });
    this.form('toxic', { method: 'POST', path: ['toxics'], body: (text) => ({ toxic: text }) });
    element('pick').addEventListener('change', ({ target }) => {
      if (!target.value) return;
      element('mix').value = target.value;
      target.value = '';
      element('mix').focus();
    });
    element('mix').addEventListener('input', () => { this.typed = true; });
    element('toggle').addEventListener('click', () => {
      this.change({ method: 'PATCH', path: [], body: { enabled: this.enabled === false } }, 'proxy-mistake');
    });
    element('reset').addEventListener('click', () => this.change({ method: 'POST', path: ['reset'] }, 'proxy-mistake', true));
  }

  // A form of a text and of how long it holds.
  form(name, { method, path, body, keeps = false }) {
    const [field, time] = [element(name), element(`${name}-for`)];
    element(`${name}-form`).addEventListener('submit', async (event) => {
      event.preventDefault();
      const content = body(field.value);
      if (time.value.trim()) content.for = time.value.trim();
      const errors = await this.change({ method, path, body: content }, `${name}-mistake`, keeps);
      const ofTime = errors.length > 0 && errors.every((error) => error.name === 'for');
      field.setAttribute('aria-invalid', errors.length > 0 && !ofTime);
      time.setAttribute('aria-invalid', errors.some((error) => error.name === 'for'));
      if (errors.length > 0) return (ofTime ? time : field).focus();
      time.value = '';
      if (!keeps) field.value = '';
      return undefined;
    });
  }

  // Makes a change of the selected proxy. Its mistakes are shown in this place, and returned.
  async change({ method, path, query = '', body }, place, ofMix = false) {
    const name = this.selected();
    if (name === null) return [];
    const request = { method, path: proxyPath(name, ...path) + query, body };
    const shown = element(place);
    let errors = [];
    try {
      await ask(request.method, request.path, request.body);
      this.tell(commandLine(request));
      if (ofMix) this.typed = false;
    } catch (error) {
      if (error.status === 401) return [];
      errors = error.errors ?? [{ name: '', description: 'vaurien did not answer: is it running?' }];
    }
    shown.hidden = errors.length === 0;
    setText(shown, visible(errors.map(({ description }) => description).join('\n')));
    // What has become of it is shown when it has come.
    this.changed();
    return errors;
  }

  // Shows a command line, the latest one first.
  tell(line) {
    this.count += 1;
    this.lines.unshift({ line, number: this.count });
    this.lines.length = Math.min(this.lines.length, LINES);
    element('no-lines').hidden = true;
    fill(element('lines'), this.lines, ({ number }) => number, ({ line: text }) => {
      const code = make('code', '', text);
      const copy = button('Copy', '', async () => {
        try {
          await navigator.clipboard.writeText(text);
          copy.textContent = 'Copied';
        } catch {
          // Without a secure connection there is no clipboard: select the line, so that the user can copy it.
          getSelection().selectAllChildren(code);
          copy.textContent = 'Selected';
        }
      });
      return make('li', '', code, copy);
    }, () => {});
  }

  // Shows the settings of another proxy, or what has become of them.
  show({ handler, enabled, status }) {
    this.enabled = enabled;
    setText(element('toggle'), enabled ? 'Disable' : 'Enable');
    const field = element('mix');
    if (!this.typed && document.activeElement !== field) field.value = handler;
    const reverts = element('reverts');
    reverts.hidden = status.reverts_in === null;
    if (!reverts.hidden) setText(reverts, `For a time: reverts in ${timeText(Math.ceil(status.reverts_in))}.`);
  }

  // Forgets what was typed and the mistakes of another proxy.
  restart() {
    this.typed = false;
    for (const mistake of document.querySelectorAll('main .mistake')) mistake.hidden = true;
    for (const field of document.querySelectorAll('main [aria-invalid]')) field.removeAttribute('aria-invalid');
  }

  showRules(rules) {
    fill(element('rules'), rules, ({ name }) => name, ({ name }) => {
      const remove = button('Remove', `Remove the rule ${name}`, async () => {
        await this.change({ method: 'DELETE', path: ['rules', name] }, 'rule-mistake');
        element('rule').focus();
      });
      return make('li', '', make('code'), make('span', 'note'), remove);
    }, (item, { name, rule, status }) => {
      setText(item.children[0], visible(rule));
      const parts = [name, counted(status.calls, 'call'), counted(status.faults, 'fault')];
      if (status.times_left !== null) parts.push(`${grouped.format(status.times_left)} left`);
      if (status.reverts_in !== null) parts.push(`reverts in ${timeText(Math.ceil(status.reverts_in))}`);
      setText(item.children[1], visible(parts.join(', ')));
    });
  }

  showToxics(toxics) {
    fill(element('toxics'), toxics, ({ name }) => name, ({ name }) => {
      const remove = button('Remove', `Remove the toxic ${name}`, async () => {
        await this.change({ method: 'DELETE', path: ['toxics', name] }, 'toxic-mistake');
        element('toxic').focus();
      });
      return make('li', '', make('code'), make('span', 'note'), remove);
    }, (item, { toxic, status }) => {
      setText(item.children[0], visible(toxic));
      const parts = [`on ${counted(status.connections, 'connection')}`, counted(status.faults, 'fault')];
      if (status.reverts_in !== null) parts.push(`reverts in ${timeText(Math.ceil(status.reverts_in))}`);
      setText(item.children[1], parts.join(', '));
    });
  }
}
