#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# From a fresh clone to generated text: sets up, builds, compiles a model and
# lets it speak. `tools/demo.sh [MODEL_DIR [OPTIONS of fairy2-compile]]`; by
# default the model that fairy2-train made for this demo, at 2 bits.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
model=$here/trainer/recipes/demo
if (($#)); then
  [[ -d $1 ]] || {
    echo "tools/demo.sh: $1: no such folder" >&2
    exit 1
  }
  model=$(cd "$1" && pwd)
  shift
fi
cd "$here"

tools/setup.sh
cmake --build --preset release -- fairy2-compile fairy2-run

echo "+ fairy2-compile ${model#"$here"/} -o build/demo.so $*"
build/bin/fairy2-compile "$model" -o build/demo.so "$@"
echo "+ fairy2-run build/demo.so -p 'Once upon a time' -n 120"
echo -n "Once upon a time"
build/bin/fairy2-run build/demo.so -p "Once upon a time" -n 120
