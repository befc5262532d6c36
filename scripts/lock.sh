#!/usr/bin/env bash
# Write constraints.txt: the exact version of everything that .venv holds.
set -euo pipefail
cd "$(dirname "$0")/.."
{
  echo "# Every version that the working set was tested with (Python 3.11, Linux x86-64). Written by \`make lock\`; not by hand."
  .venv/bin/python -m pip freeze --disable-pip-version-check 2>/dev/null
} >.run/constraints.txt
mv .run/constraints.txt constraints.txt
