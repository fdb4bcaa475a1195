#!/usr/bin/env bash
# tests/venv.sh DIRECTORY [REQUIREMENTS]: a Python environment with the packages of tests/requirements.txt, or of that file. Nothing is done when it is there already.
set -euo pipefail
venv=$1
requirements=${2:-$(dirname "$0")/requirements.txt}
if cmp -s "$requirements" "$venv/made-from.txt"; then exit 0; fi
echo "tests: Python packages into $venv: $(tr '\n' ' ' < "$requirements")"
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
cp "$requirements" "$venv/made-from.txt"
