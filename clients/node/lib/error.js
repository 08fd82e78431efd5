'use strict';

/** What vaurien refused or could not do, in its own words. */
class VaurienError extends Error {
  constructor(message, { status, errors = [], cause } = {}) {
    super(message, { cause });
    this.name = 'VaurienError';
    this.status = status;
    this.errors = errors;
  }
}

module.exports = { VaurienError };
