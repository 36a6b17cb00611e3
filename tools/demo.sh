#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# From a fresh clone to generated text: sets up, builds, compiles a model and
# lets it speak. `tools/demo.sh [MODEL_DIR]`; without one it takes stories260K
# where it is at hand, and else a random model, whose text is noise.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
model=${1:+$(cd "$1" && pwd)}
cd "$here"

tools/setup.sh
cmake --build --preset release -- fairy2-compile fairy2-run fairy2-synth

bin=build/bin
if [[ -z $model ]]; then
  model=../shared/data/stories260K-hf
  if [[ ! -d $model ]]; then
    model=build/demo-model
    "$bin/fairy2-synth" --config test/data/tiny_llama.config.json \
      -o "$model" --tokenizer bytes --force
  fi
fi

# Without training, quality comes with the number of stages: 8 bits talk.
echo "+ fairy2-compile $model -o build/demo.so --stages=8"
"$bin/fairy2-compile" "$model" -o build/demo.so --stages=8
echo "+ fairy2-run build/demo.so -p 'Once upon a time' -n 120"
echo -n "Once upon a time"
"$bin/fairy2-run" build/demo.so -p "Once upon a time" -n 120
