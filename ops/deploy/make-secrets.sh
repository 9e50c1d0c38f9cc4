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

for name in jwt_secret postgres_password recon_password monitor_password redis_password grafana_password; do random | once "$name"; done
[ -s backup_encryption_key ] || random >backup_encryption_key
ca=/run/secrets/internal_ca
printf 'postgresql://recon:%s@postgres:5432/recon?sslmode=verify-full&sslrootcert=%s' "$(cat recon_password)" "$ca" | once database_url
printf 'rediss://recon:%s@redis:6379/0?ssl_ca_certs=%s' "$(cat redis_password)" "$ca" | once redis_url
# What the app does in Redis, on its own keys, and nothing else; nobody comes in without the password.
printf 'user default off\nuser recon on >%s ~recon:* -@all +@connection +@read +@write +evalsha +script|load -@dangerous\n' \
  "$(cat redis_password)" | once redis_conf

# TLS inside: an authority of this installation alone, whose key is gone when it has signed. Good for two years; to make
# them anew, remove internal_ca.
if [ ! -s internal_ca ]; then
  key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
  openssl req -x509 $key -days 800 -subj "/CN=recon internal" -keyout ca_key -out internal_ca 2>/dev/null
  for name in postgres redis; do
    printf 'subjectAltName=DNS:%s\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' "$name" >extensions
    openssl req -new $key -subj "/CN=$name" -keyout "${name}_tls" -out request
    openssl x509 -req -in request -CA internal_ca -CAkey ca_key -set_serial "0x$(openssl rand -hex 16)" \
      -days 800 -extfile extensions >>"${name}_tls"
  done 2>/dev/null
  rm ca_key request extensions
fi
# The containers run as other users than this one; the folder itself keeps everybody else out.
chmod 0644 -- *

for name in smtp_url tls_pem slack_webhook_url pagerduty_routing_key; do
  [ -s "$name" ] || echo "Still missing: $folder/$name"
done
