#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Sets up, builds everything and runs every test. Arguments go to ctest.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
cmake --build --preset release
OMP_WAIT_POLICY=PASSIVE ctest --test-dir build --output-on-failure \
  -j "$(nproc)" "$@"
