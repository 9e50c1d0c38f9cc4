#!/bin/sh
# Run once by the PostgreSQL image, on an empty volume: the application's own role and database. It may create databases,
# because a drill and a restore need one of their own, and nothing more.
set -eu
psql --username=postgres --set=ON_ERROR_STOP=1 <<'SQL'
\set password `cat /run/secrets/recon_password`
CREATE ROLE recon LOGIN CREATEDB PASSWORD :'password';
CREATE DATABASE recon OWNER recon;
SQL
