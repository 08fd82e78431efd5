'use strict';
// The HTTP API of a running vaurien.
const http = require('node:http');
const { URL } = require('node:url');
const { VaurienError } = require('./error.js');

class Api {
  /** Why calls fail: what answered them has ended. */
  ended;
  #url;
  #headers = {};

  constructor(url, token) {
    this.#url = url;
    if (token) this.#headers.authorization = `Bearer ${token}`;
  }

  /** Makes a call, and returns its response: JSON, or the text of anything else. */
  async call(method, path, body) {
    if (this.ended) throw new VaurienError(this.ended);
    const { status, type, text } = await this.#send(method, path, body);
    const answer = type.startsWith('application/json') && text ? JSON.parse(text) : text;
    if (status < 400) return answer;
    const errors = answer.errors ?? [{ description: text || `status ${status}` }];
    const words = errors.map(({ name, description }) => (name ? `${name}: ${description}` : description)).join('; ');
    throw new VaurienError(`${method} ${path}: ${words}`, { status, errors });
  }

  // Not `fetch`, which fake timers and mocks of tests replace. One connection a call, so that none is left open.
  #send(method, path, body) {
    return new Promise((resolve, reject) => {
      const failed = (cause) =>
        reject(new VaurienError(`${method} ${path}: no vaurien answers at ${this.#url}: ${cause.message}`, { cause }));
      const sent = body === undefined ? undefined : JSON.stringify(body);
      const headers = sent === undefined ? this.#headers : { ...this.#headers, 'content-type': 'application/json' };
      const request = http.request(new URL(path, this.#url), { method, headers, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece) => (text += piece));
        response.on('end', () =>
          resolve({ status: response.statusCode, type: response.headers['content-type'] ?? '', text }),
        );
        response.on('error', failed);
      });
      request.on('error', failed).end(sent);
    });
  }
}

module.exports = { Api };
