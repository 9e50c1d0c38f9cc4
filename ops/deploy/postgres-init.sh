#!/bin/sh
# Run once by the PostgreSQL image, on an empty volume: the application's own role and database, and a role that only
# looks, for monitoring. The application's may create databases, because a drill and a restore need one of their own, and
# nothing more. From other containers nobody comes in without TLS.
set -eu
psql --username=postgres --set=ON_ERROR_STOP=1 <<'SQL'
\set password `cat /run/secrets/recon_password`
\set monitor_password `cat /run/secrets/monitor_password`
CREATE ROLE recon LOGIN CREATEDB PASSWORD :'password';
CREATE ROLE monitor LOGIN IN ROLE pg_monitor PASSWORD :'monitor_password';
CREATE DATABASE recon OWNER recon;
SQL
sed -i 's/^host all all all /hostssl all all all /' "$PGDATA/pg_hba.conf"
