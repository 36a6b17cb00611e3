#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Sets up, lints and builds everything and runs every test. Arguments go to
# ctest. Where LibTorch cannot be fetched the trainer is left out, and the last
# line says so. A test that never ends would keep everything from being told, so
# each has an end (the longest takes seven minutes).
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh --trainer=if-possible
tools/lint.sh
cmake --build --preset release
OMP_WAIT_POLICY=PASSIVE ctest --test-dir build --output-on-failure \
  --timeout 1500 -j "$(nproc)" "$@"
grep -q '^FAIRY2_TRAINER:BOOL=ON$' build/CMakeCache.txt ||
  echo "tools/test.sh: without LibTorch: the trainer's tests are left out"
