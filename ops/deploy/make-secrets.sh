#!/bin/sh
# Usage: ops/deploy/make-secrets.sh [FOLDER]
# Writes the secrets of compose.yaml that can be made up, where they are missing; says which ones people must bring.
set -eu
umask 077
folder=${1:-ops/deploy/secrets}
mkdir -p "$folder"
cd "$folder"

random() { python3 -c 'import secrets; print(secrets.token_urlsafe(36), end="")'; }
once() { [ -s "$1" ] || cat >"$1"; }

for name in jwt_secret postgres_password recon_password redis_password grafana_password; do random | once "$name"; done
[ -s backup_encryption_key ] || random >backup_encryption_key
printf 'postgresql://recon:%s@postgres:5432/recon' "$(cat recon_password)" | once database_url
printf 'redis://:%s@redis:6379/0' "$(cat redis_password)" | once redis_url
printf 'requirepass %s\n' "$(cat redis_password)" | once redis_conf
# The containers run as other users than this one; the folder itself keeps everybody else out.
chmod 0644 -- *

for name in smtp_url tls_pem slack_webhook_url pagerduty_routing_key; do
  [ -s "$name" ] || echo "Still missing: $folder/$name"
done
