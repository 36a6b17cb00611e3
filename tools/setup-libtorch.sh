#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs LibTorch for the trainer: the shared libraries and headers of PyPI's
# torch wheel, no Python in it. Prints the folder to give to CMake as
# TORCH_ROOT. Doing it twice does nothing.
#
#   tools/setup-libtorch.sh [--cuda] [FOLDER]
#
# FOLDER is by default ~/.cache/fairy2/libtorch-2.11.0. With --cuda also what a
# GPU needs: LibTorch's CUDA libraries and, in the folder nvidia beside FOLDER,
# NVIDIA's (4 GB together).
set -euo pipefail

cuda=no
if [ "${1:-}" = --cuda ]; then
  cuda=yes
  shift
fi

version=2.11.0
wheel_sha256=7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a
target=$(realpath -m "${1:-${XDG_CACHE_HOME:-$HOME/.cache}/fairy2/libtorch-$version}")

fail() {
  echo "setup-libtorch: error: $1" >&2
  exit 1
}

is_complete() {
  [ -e "$target/complete" ] && { [ $cuda = no ] || [ -e "$target/complete-cuda" ]; }
}
if is_complete; then
  echo "$target"
  exit 0
fi
[ "$(uname -m)" = x86_64 ] || fail "the pinned wheel is for x86-64, found $(uname -m)"
for tool in python3 gcc nm sha256sum; do
  command -v "$tool" >/dev/null || fail "expected $tool on the PATH"
done
mkdir -p "$target"
exec 9>"$target/lock"
flock 9
if is_complete; then
  echo "$target"
  exit 0
fi

work=$(mktemp -d "$target/unpack.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "setup-libtorch: downloading torch $version (507 MiB)" >&2
timeout 1200 python3 -m pip download --quiet --no-deps --only-binary=:all: \
  --python-version 3.11 --implementation cp \
  --platform manylinux_2_28_x86_64 -d "$work" "torch==$version" >&2 ||
  fail "pip could not download torch $version"
wheel=$(echo "$work"/torch-*.whl)
echo "$wheel_sha256  $wheel" | sha256sum --quiet --check >&2 ||
  fail "$wheel: expected SHA-256 $wheel_sha256"

# What a program on the CPU loads, or all but Python's; the headers; and the
# names of the packages with NVIDIA's libraries.
python3 - "$wheel" "$work" $cuda <<'PYTHON'
import re, sys, zipfile
wheel, work, cuda = sys.argv[1:]
libraries = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1"}
if cuda == "yes":
    libraries |= {"libtorch_cuda.so", "libtorch_cuda_linalg.so",
                  "libc10_cuda.so", "libtorch_nvshmem.so"}
with zipfile.ZipFile(wheel) as z:
    z.extractall(work, [n for n in z.namelist()
                        if n.startswith("torch/include/")
                        or n.startswith("torch/lib/")
                        and n.split("/")[2] in libraries])
    metadata = z.read(f"torch-{wheel.split('/')[-1].split('-')[1]}"
                      ".dist-info/METADATA").decode()
with open(f"{work}/nvidia-packages", "w") as f:
    for name in re.findall(r"^Requires-Dist: ((?:nvidia-|cuda-toolkit)[^;]*)",
                           metadata, re.M):
        f.write(name.strip().replace(" ", "") + "\n")
PYTHON
if [ $cuda = yes ]; then
  echo "setup-libtorch: downloading NVIDIA's libraries (2 GB)" >&2
  timeout 3600 python3 -m pip download --quiet --only-binary=:all: \
    --python-version 3.11 --implementation cp \
    --platform manylinux2014_x86_64 \
    $(printf -- '--platform manylinux_2_%s_x86_64 ' {28..17}) -d "$work/wheels" \
    -r "$work/nvidia-packages" >&2 ||
    fail "pip could not download NVIDIA's libraries"
  python3 - "$work" "$(dirname "$target")" <<'PYTHON'
import glob, sys, zipfile
work, folder = sys.argv[1:]
for wheel in glob.glob(f"{work}/wheels/*.whl"):
    with zipfile.ZipFile(wheel) as z:
        z.extractall(folder, [n for n in z.namelist()
                              if n.startswith("nvidia/") and "/lib/" in n])
PYTHON
fi
rm -rf "$wheel" "$target/lib" "$target/include" "$target/stubs" "$target"/complete*

# libtorch_cpu names two NVIDIA libraries for its profiler. Where they are
# absent, libraries of the same names whose functions all fail are enough; they
# live apart, so that CMake takes them only where the real ones are missing.
mkdir "$work/stubs"
nm -D --undefined-only "$work/torch/lib/libtorch_cpu.so" \
  >"$work/undefined"
for library in libcudart.so.13 libcupti.so.13; do
  awk -v of="@$library" '
    { at = index($NF, of); if (at) print "int " substr($NF, 1, at - 1) \
        "(void) { return 999; }" }' "$work/undefined" >"$work/stub.c"
  [ -s "$work/stub.c" ] || fail "libtorch_cpu.so names nothing of $library"
  echo "$library { global: *; };" >"$work/stub.map"
  gcc -shared -fPIC -w "-Wl,-soname,$library" \
    "-Wl,--version-script=$work/stub.map" "$work/stub.c" \
    -o "$work/stubs/$library"
done

mv "$work/torch/lib" "$work/torch/include" "$work/stubs" "$target/"
touch "$target/complete"
[ $cuda = no ] || touch "$target/complete-cuda"
echo "$target"
