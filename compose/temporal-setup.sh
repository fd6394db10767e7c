#!/bin/sh
# Creates or upgrades Temporal's two databases. Safe to run at every start: it leaves alone what already exists.
# temporal-sql-tool itself reads the connection from SQL_PLUGIN, SQL_HOST, SQL_PORT, SQL_USER and SQL_PASSWORD.
set -eu
schema=/etc/temporal/schema/postgresql/v12

attempts=300 # a minute
until nc -z -w 1 "$SQL_HOST" "$SQL_PORT" 2>/dev/null; do
    attempts=$((attempts - 1))
    if [ "$attempts" -eq 0 ]; then
        echo "temporal-setup: PostgreSQL did not open $SQL_HOST:$SQL_PORT within a minute; see its log" >&2
        exit 1
    fi
    sleep 0.2
done

# The tool logs every statement, which is useful only if it fails. An open port does not mean that the server accepts
# sessions: for some milliseconds it answers 57P03, "the database system is starting up" (or "not yet accepting
# connections", after a crash). 53300, "too many clients already", passes, too.
sql_tool() {
    until log=$(temporal-sql-tool "$@" 2>&1); do
        case $log in
        *"starting up"* | *57P03* | *53300*)
            attempts=$((attempts - 1))
            if [ "$attempts" -gt 0 ]; then
                sleep 0.2
                continue
            fi
            ;;
        esac
        echo "temporal-setup: temporal-sql-tool $* failed:" >&2
        printf '%s\n' "$log" | tail -n 20 >&2
        exit 1
    done
}
prepare() { # DATABASE FOLDER
    sql_tool --db "$1" create
    sql_tool --db "$1" setup-schema --version 0.0
    sql_tool --db "$1" update-schema --schema-dir "$schema/$2/versioned"
    echo "database $1 is ready"
}
prepare temporal temporal
prepare temporal_visibility visibility
