#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Measures how far ahead weights should be fetched on this machine: decodes with
# each pair of distances (bytes for L1, for L2). Use a model whose packed weights
# exceed the last-level cache, and idle cores. What it finds belongs into
# runtime/Prefetch.cpp and MEASURED.md.
set -euo pipefail
if [ $# -lt 1 ]; then
  echo "usage: tools/sweep-prefetch.sh MODEL.so [CPU_LEVEL] [THREADS]" >&2
  exit 1
fi
model=$1 level=${2:-x86-64-v4-vnni} threads=${3:-1}
bin=$(cd "$(dirname "$0")/../build/bin" && pwd)
for distances in 0,0 1536,0 2048,0 4096,0 8192,0 16384,0 32768,0 \
  1536,4096 1536,8192 1536,16384 2048,8192 4096,16384; do
  echo "L1,L2 = $distances"
  FAIRY2_PREFETCH=$distances FAIRY2_ISA=$level "$bin/fairy2-bench" "$model" \
    --prompt 0 --gen 32 --threads "$threads" --repeat 5 | grep decode
done
