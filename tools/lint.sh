#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks what the text of the sources can show; tools/lint.py lists it. Says
# FILE:LINE: SENTENCE for each fault and ends with 1 when there is one. Another
# checkout than this one may be named.
set -euo pipefail
exec python3 "$(dirname "$0")/lint.py" "${1:-$(dirname "$0")/..}"
