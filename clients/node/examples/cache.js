// The program under test: a cache in Redis that its callers do not notice when Redis fails.
const Redis = require('ioredis');

class Cache {
  constructor(address) {
    // An answer that is late is as good as none.
    this.redis = new Redis(`redis://${address}`, {
      commandTimeout: 500,
      maxRetriesPerRequest: 1,
      retryStrategy: () => 20,
    });
    this.redis.on('error', () => {});
  }

  /** The value of this key. What Redis does not have, or does not say, is loaded. */
  async get(key, load) {
    const known = await this.redis.get(key).catch(() => null);
    if (known !== null) return known;
    const value = await load();
    await this.redis.set(key, value, 'EX', 60).catch(() => {});
    return value;
  }

  close() {
    this.redis.disconnect();
  }
}

module.exports = { Cache };
