// What `@testcontainers/toxiproxy` takes from testcontainers: a started container has a host and ports.
"use strict";

class AbstractStartedContainer {
    constructor(started) {
        this.started = started;
    }

    getHost() {
        return this.started.getHost();
    }

    getMappedPort(port) {
        return this.started.getMappedPort(port);
    }
}

class GenericContainer {}

module.exports = { AbstractStartedContainer, GenericContainer, Wait: {} };
