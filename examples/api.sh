#!/usr/bin/env bash
# Each call of the HTTP API, with curl. In front of Redis:
#
#     vaurien --backend localhost:6379 --protocol redis --http
#     examples/api.sh
#
# With `--http-token`, put `--header "Authorization: Bearer $TOKEN"` into `ask`.
set -euo pipefail
API=${API:-http://localhost:8080}

# Shows the call and what is answered; what is refused ends the script.
ask() {
    printf '\n> %s\n' "$*"
    curl --silent --show-error --fail-with-body --max-time 10 "$@"
    echo
}

# What is done to calls: {"behavior":"dummy"}
ask "$API/behavior"

# What can be done to them: blackout, delay, dummy, error, hang, and your own.
ask "$API/behaviors"

# Two seconds for each call from now on: {"status":"ok"}
ask -X PUT -d '{"name": "delay", "sleep": 2}' "$API/behavior"

# Every fifth call is late by 250 ms, every twentieth is answered with junk.
ask -X PUT -d '{"name": "20:delay,5:error", "options": {"delay": {"sleep": "250ms"}}}' "$API/behavior"

# Redis is dead, for 200 ms; then all is as it was before.
ask -X PUT -d '{"name": "hang", "for": "200ms"}' "$API/behavior"

# All is well. `/handler` and `/handlers` are the same under the newer word.
ask -X PUT -d '{"name": "dummy"}' "$API/handler"
ask "$API/handler"
ask "$API/handlers"

# Where calls go, and the same put back.
backend=$(curl --silent --max-time 10 "$API/backend")
ask -X PUT -d "$backend" "$API/backend"

# Every proxy by name, with all its settings and what it has done.
ask "$API/v1/proxies"

# One of them.
ask "$API/v1/proxies/default"

# Changes what is named; `applied` says what holds now, and what for new connections.
ask -X PATCH -d '{"handler": "5:error", "handlers": {"error": {"inject": true}}, "buffer": 64}' "$API/v1/proxies/default"

# It does not listen, so connecting is refused; and listens again.
ask -X PATCH -d '{"enabled": false}' "$API/v1/proxies/default"
ask -X PATCH -d '{"enabled": true}' "$API/v1/proxies/default"

# As it was started; counters stay.
ask -X POST "$API/v1/proxies/default/reset"

# Another proxy, on a free port that `status` tells. The same call again replaces all its settings.
ask -X PUT -d '{"backend": "localhost:1", "proxy": "127.0.0.1:0"}' "$API/v1/proxies/another"

# Its connections: peer, age, bytes, calls, the handler at work.
ask "$API/v1/proxies/another/connections"

# Ends one of them, here where it has none: there is no connection 1, 404.
ask -X DELETE "$API/v1/proxies/another/connections/1?reset=true" || true

# It is gone: 204.
ask -X DELETE "$API/v1/proxies/another"

# What has happened so far. Without `follow=false` the stream goes on: curl --no-buffer "$API/v1/events"
ask "$API/v1/events?since=0&follow=false"

# Figures for Prometheus.
ask "$API/metrics"

# All of this as OpenAPI 3.1.
ask --output /dev/null --write-out '%{http_code} %{content_type}' "$API/v1/openapi.json"

# The program's version, and whether it runs; the last needs no token.
ask "$API/v1/version"
ask "$API/healthz"
