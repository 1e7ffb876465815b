#!/usr/bin/env bash
# SBOM of the image (CycloneDX): what deploy/Dockerfile installs, from an environment that holds just that.
#   deploy/image/sbom.sh OUTPUT [server|serve]
# PYTHON is an interpreter with pip and cyclonedx-bom.
set -euo pipefail
output=$(realpath -m "$1")
requirements=${2:-server}
python=${PYTHON:-python3}
cd "$(dirname "$0")/../.."
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$python" -m venv --without-pip "$place/venv"
"$python" -m pip --python "$place/venv/bin/python" install --quiet --only-binary :all: -r "deploy/image/$requirements.txt"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$place/wheel" .
"$python" -m pip --python "$place/venv/bin/python" install --quiet --no-deps --no-index "$place"/wheel/*.whl
mkdir -p "$(dirname "$output")"
"$python" -m cyclonedx_py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
    --output-format JSON --output-file "$output" "$place/venv/bin/python"
