#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Measures how far ahead weights should be fetched on this machine: compiles
# MODEL_DIR with each pair of distances (bytes into L1, into L2) and decodes.
# Use a model whose packed weights exceed the last-level cache, and idle cores.
# What it finds belongs into passes/cpu/CpuTarget.cpp.
set -euo pipefail
if [ $# -lt 1 ]; then
  echo "usage: tools/sweep-prefetch.sh MODEL_DIR [CPU_LEVEL] [THREADS]" >&2
  exit 1
fi
model=$1 level=${2:-x86-64-v4-vnni} threads=${3:-1}
bin=$(cd "$(dirname "$0")/../build/bin" && pwd)
library=$(mktemp --suffix=.so)
trap 'rm -f "$library"' EXIT
for distances in 0,0 2048,0 4096,0 8192,0 16384,0 32768,0 1536,8192 512,32768; do
  "$bin/fairy2-compile" "$model" -o "$library" --lm-head=quantize \
    --target "$level" --prefetch-l1 "${distances%,*}" \
    --prefetch-l2 "${distances#*,}" > /dev/null
  echo "L1,L2 = $distances"
  FAIRY2_ISA=$level "$bin/fairy2-bench" "$library" --prompt 0 --gen 32 \
    --threads "$threads" --repeat 5 | grep decode
done
