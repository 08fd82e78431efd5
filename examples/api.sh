#!/usr/bin/env bash
# Each call of the HTTP API with curl, for example in front of Redis:
#
#     vaurien --backend localhost:6379 --protocol redis --http
#     examples/api.sh
#
# With a token, add `--header "Authorization: Bearer $TOKEN"` to `ask`.
set -euo pipefail
API=${API:-http://localhost:8080}

# Prints a call and its response. An error ends the script.
ask() {
    printf '\n> %s\n' "$*"
    curl --silent --show-error --fail-with-body --max-time 10 "$@"
    echo
}

# The current handler: {"behavior":"dummy"}
ask "$API/behavior"

# The handlers that there are: blackout, delay, dummy, error, hang, and your own.
ask "$API/behaviors"

# From now on each call is delayed by two seconds: {"status":"ok"}
ask -X PUT -d '{"name": "delay", "sleep": 2}' "$API/behavior"

# One call in five is delayed by 250 ms, one in twenty is answered with junk.
ask -X PUT -d '{"name": "20:delay,5:error", "options": {"delay": {"sleep": "250ms"}}}' "$API/behavior"

# Redis is dead for 200 ms. Then the previous handler is back.
ask -X PUT -d '{"name": "hang", "for": "200ms"}' "$API/behavior"

# No faults. `/handler` and `/handlers` are newer names of `/behavior` and `/behaviors`.
ask -X PUT -d '{"name": "dummy"}' "$API/handler"
ask "$API/handler"
ask "$API/handlers"

# Read the backend, and set it to the same value.
backend=$(curl --silent --max-time 10 "$API/backend")
ask -X PUT -d "$backend" "$API/backend"

# All proxies by name, with their settings and counters.
ask "$API/v1/proxies"

# One proxy.
ask "$API/v1/proxies/default"

# Change the keys in the body. `applied` says what applies now, and what to new connections only.
ask -X PATCH -d '{"handler": "5:error", "handlers": {"error": {"inject": true}}, "buffer": 64}' "$API/v1/proxies/default"

# Stop listening, so that connecting is refused. Then listen again.
ask -X PATCH -d '{"enabled": false}' "$API/v1/proxies/default"
ask -X PATCH -d '{"enabled": true}' "$API/v1/proxies/default"

# Back to the settings it was started with. Counters stay.
ask -X POST "$API/v1/proxies/default/reset"

# Add a proxy, on a free port that `status` names. The same call again would replace all its settings.
ask -X PUT -d '{"backend": "localhost:1", "proxy": "127.0.0.1:0"}' "$API/v1/proxies/another"

# Its rules. Add one before the others for a minute, change it, replace it and remove it. The other rules go on.
ask "$API/v1/proxies/another/rules"
ask -X POST -d '{"rule": "connection=1 name=trial => reset", "before": "first", "for": "1m"}' "$API/v1/proxies/another/rules"
ask -X PATCH -d '{"times": 3, "handler": "20:reset"}' "$API/v1/proxies/another/rules/trial"
ask -X PUT -d '{"rule": "client=10.0.0.0/8 => delay"}' "$API/v1/proxies/another/rules/trial"
ask "$API/v1/proxies/another/rules/trial"
ask -X DELETE "$API/v1/proxies/another/rules/trial"

# Its toxics, which act on the bytes of open connections as well. Add one for a minute, change it, replace it and remove it, or all.
ask "$API/v1/proxies/another/toxics"
ask -X POST -d '{"toxic": "slow=latency(latency=1s)", "for": "1m"}' "$API/v1/proxies/another/toxics"
ask -X PATCH -d '{"attributes": {"jitter": "200ms"}, "toxicity": 0.5}' "$API/v1/proxies/another/toxics/slow"
ask -X PUT -d '{"type": "bandwidth", "attributes": {"rate": "50KB/s"}}' "$API/v1/proxies/another/toxics/slow"
ask "$API/v1/proxies/another/toxics/slow"
ask -X DELETE "$API/v1/proxies/another/toxics/slow"
ask -X DELETE "$API/v1/proxies/another/toxics"

# Its connections: peer, age, bytes, calls, and the handler of the current call.
ask "$API/v1/proxies/another/connections"

# What clients have called, by shape, each with a rule that matches it.
ask "$API/v1/proxies/another/calls"

# From now on calls carry the label `test_pay`, in events and reports. The header sets it with any request. Then it ends.
ask -X PUT -d '{"label": "test_pay"}' "$API/v1/label"
ask --header 'Vaurien-Label: test_cart' "$API/v1/label"
ask -X DELETE "$API/v1/label"

# Close a connection. This proxy has none, so the response is 404.
ask -X DELETE "$API/v1/proxies/another/connections/1?reset=true" || true

# Remove the proxy: 204.
ask -X DELETE "$API/v1/proxies/another"

# The events so far. Without `follow=false` the stream continues: curl --no-buffer "$API/v1/events"
ask "$API/v1/events?since=0&follow=false"

# Metrics for Prometheus.
ask "$API/metrics"

# The description of the API as OpenAPI 3.1.
ask --output /dev/null --write-out '%{http_code} %{content_type}' "$API/v1/openapi.json"

# The live page, for a browser. It needs no token.
ask --output /dev/null --write-out '%{http_code} %{content_type}' "$API/"

# The version, and whether vaurien is running. The latter needs no token.
ask "$API/v1/version"
ask "$API/healthz"
