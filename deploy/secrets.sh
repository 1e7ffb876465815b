#!/usr/bin/env bash
# Makes what deploy/compose.yaml needs beside its files: passwords, API keys, and .env with the group that may read them.
# What exists already is kept. Give `lightning-app` another way to run with LIGHTNING_APP, e.g. in a container.
set -euo pipefail
cd "$(dirname "$0")"
umask 027
mkdir -p secrets packages
for name in postgres grafana; do
    [ -s "secrets/$name" ] || head -c 24 /dev/urandom | base64 | tr -d '/+=' > "secrets/$name"
done
if [ ! -s secrets/metrics_key ]; then
    read -r -a keys <<< "${LIGHTNING_APP:-lightning-app}"
    "${keys[@]}" keys add secrets/keys.yaml --id prometheus --scopes admin > secrets/metrics_key.new
    mv secrets/metrics_key.new secrets/metrics_key
    echo "a key for clients: lightning-app keys add deploy/secrets/keys.yaml --id NAME --scopes predict,feedback"
fi
chmod 640 secrets/*
echo "SECRETS_GROUP=$(id -g)" > .env
