#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what the build and the tests need (Debian packages by name) and
# configures the release build. Idempotent; works as root or with sudo, from any
# directory. `--trainer` adds LibTorch for fairy2-train, and
# `--trainer=if-possible` goes on without the trainer where it cannot be fetched.
# `--clients` adds the clients that fairy2-serve is tested with, from PyPI into
# a virtual environment under ~/.cache/fairy2.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  cmake ninja-build ccache pkg-config
  clang-22 clang-format-22 libclang-rt-22-dev lld-22 llvm-22-dev llvm-22-tools libmlir-22-dev mlir-22-tools
  nlohmann-json3-dev libcli11-dev libxxhash-dev libpcre2-dev libutf8proc-dev
  libedit-dev libboost1.81-dev libssl-dev openssl curl
  libgtest-dev zlib1g-dev libzstd-dev python3
  # The NEON code runs under an emulator in the tests.
  qemu-user-static libc6-dev-arm64-cross libstdc++-12-dev-arm64-cross
)
trainer=no
clients=no
for argument in "$@"; do
  case "$argument" in
    --trainer | --trainer=if-possible)
      trainer=${argument#--trainer}
      trainer=${trainer:-=required}
      packages+=(libyaml-cpp-dev gcc python3-pip)
      ;;
    --clients)
      clients=yes
      packages+=(python3-venv chromium chromium-driver)
      ;;
    *)
      echo "usage: tools/setup.sh [--trainer[=if-possible]] [--clients]" >&2
      exit 2
      ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null |
    grep -q 'install ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
  echo "installing: ${missing[*]}"
  as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || {
      echo "tools/setup.sh: run as root, or install sudo" >&2
      exit 1
    }
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [[ $clients == yes ]]; then
  folder=${XDG_CACHE_HOME:-$HOME/.cache}/fairy2/clients
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet 'openai==3.*' \
    'lm-eval[api]==0.4.13' 'selenium==4.*' 'axe-playwright-python==0.1.*'
fi

options=()
if [[ $trainer != no ]]; then
  if torch_root=$(tools/setup-libtorch.sh); then
    options+=(-DFAIRY2_TRAINER=ON "-DTORCH_ROOT=$torch_root")
  elif [[ $trainer == =if-possible ]]; then
    echo "tools/setup.sh: LibTorch cannot be fetched: building without the trainer" >&2
    options+=(-DFAIRY2_TRAINER=OFF)
  else
    exit 1
  fi
fi
cmake --preset release "${options[@]}" >build-configure.log 2>&1 || {
  cat build-configure.log >&2
  exit 1
}
rm build-configure.log
