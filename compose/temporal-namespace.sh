#!/bin/sh
# Creates the namespace as soon as Temporal is serving. The CLI itself reads TEMPORAL_ADDRESS.
set -eu

# Repeated until it works, because the port opens long before the server can serve. The last error is kept for the log.
# The client is a large program: it is not started before somebody listens.
is_healthy() {
    if ! nc -z -w 1 "${TEMPORAL_ADDRESS%:*}" "${TEMPORAL_ADDRESS##*:}" 2>/dev/null; then
        echo "nobody listens there"
        return 1
    fi
    temporal operator cluster health --command-timeout 2s 2>&1
}
attempts=300 # a minute at least
until last=$(is_healthy); do
    attempts=$((attempts - 1))
    if [ "$attempts" -eq 0 ]; then
        echo "temporal-namespace: Temporal did not become healthy at $TEMPORAL_ADDRESS: $last" >&2
        exit 1
    fi
    sleep 0.2
done

# Creates without asking first whether it exists: after such a question, the server would remember for a second that
# the namespace does not exist, and the bot would run into that.
attempts=50
until last=$(temporal operator namespace create --retention "$RETENTION" --command-timeout 5s -n "$NAMESPACE" 2>&1); do
    case $last in *"already exists"*) break ;; esac
    attempts=$((attempts - 1))
    if [ "$attempts" -eq 0 ]; then
        echo "temporal-namespace: could not create $NAMESPACE: $last" >&2
        exit 1
    fi
    sleep 0.2
done
echo "namespace $NAMESPACE exists"
