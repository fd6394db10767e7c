#!/bin/bash
# The official image's variables, as FerretDB's options. The debug port is 8088 unless it is switched off.
set -euo pipefail
login=()
if [ -n "${MONGO_INITDB_ROOT_USERNAME:-}" ]; then
    login=(--test-enable-new-auth --setup-database=admin "--setup-username=$MONGO_INITDB_ROOT_USERNAME")
    export FERRETDB_SETUP_PASSWORD=${MONGO_INITDB_ROOT_PASSWORD:?}
fi
exec ferretdb --handler=sqlite --sqlite-url=file:/data/db/ --state-dir=/data/db --listen-addr=:27017 \
    --telemetry=disable --debug-addr=- "${login[@]}"
