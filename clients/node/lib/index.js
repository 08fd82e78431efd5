'use strict';
const { VaurienError } = require('./error.js');
const { programPath } = require('./program.js');
const { Proxy, connect } = require('./proxy.js');

module.exports = { Proxy, VaurienError, connect, programPath };
