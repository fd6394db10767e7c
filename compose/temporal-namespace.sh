#!/bin/sh
# Create the namespace once Temporal serves. TEMPORAL_ADDRESS is read by the CLI itself.
set -eu

# Tried until it works, because the port opens well before the server can serve. The last error is kept for the log.
tries=120
until last=$(temporal operator cluster health --command-timeout 2s 2>&1); do
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ]; then
        echo "temporal-namespace: Temporal did not become healthy at $TEMPORAL_ADDRESS: $last" >&2
        exit 1
    fi
    sleep 0.2
done

# Create first, ask afterwards: asking for a namespace that is not there makes the server remember for a second that
# it is not there, and that second would be the first thing the bot meets.
tries=50
until last=$(temporal operator namespace create --retention "$RETENTION" --command-timeout 5s -n "$NAMESPACE" 2>&1); do
    case $last in *"already exists"*) break ;; esac
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ]; then
        echo "temporal-namespace: cannot create $NAMESPACE: $last" >&2
        exit 1
    fi
    sleep 0.2
done
echo "namespace $NAMESPACE is there"
