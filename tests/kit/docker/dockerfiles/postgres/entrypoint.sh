#!/bin/bash
# What a compose file may expect of the official image: POSTGRES_USER, _PASSWORD and _DB make an empty volume into a
# database, with TCP closed meanwhile; a volume that has one is used as it is.
set -euo pipefail
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH

if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -g postgres -m 0700 "$PGDATA"
    install -d -o postgres -g postgres /run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups bash "$0"
fi

if [ ! -e "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?the superuser of an empty volume needs a password}"
    user=${POSTGRES_USER:-postgres} database=${POSTGRES_DB:-${POSTGRES_USER:-postgres}}
    initdb --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --encoding=UTF8 --locale=C.UTF-8
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl -w start -o "-c listen_addresses=''"
    if [ "$database" != postgres ]; then createdb --username="$user" "$database"; fi
    pg_ctl -w -m fast stop
fi
exec postgres -c listen_addresses='*'
