# SPDX-License-Identifier: Apache-2.0
#
# usage: check_kernels.py MODEL.so STAGES [LEVEL-WITH-PRODUCTS ..]
#
# The proof that the fast path was taken: the manifest says which kernel every
# layer on phases uses on every level, from how many tokens on which levels
# multiply, and how many bits a parameter takes.
import sys

from manifest import manifest_of

KERNELS = {"x86-64-v4-vnni": "sign-plane-quad64",
           "x86-64-v4": "sign-plane-lane64",
           "x86-64-v3": "sign-plane-lane32",
           "x86-64-v2": "sign-plane-lane16"}


def main():
    path, stages, multiplying = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    kernels = {level: form + ("+products" if level in multiplying else "")
               for level, form in KERNELS.items()}
    manifest = manifest_of(path)
    variants = [variant["name"] for variant in manifest["variants"]]
    if variants != list(KERNELS):
        sys.exit(f"error: expected variants {list(KERNELS)}, found {variants}")
    for variant in manifest["variants"]:
        if ("products_from" in variant) != (variant["name"] in multiplying):
            sys.exit(f"error: {variant['name']}: products from "
                     f"{variant.get('products_from')} tokens")
    layers = [layer for layer in manifest["layers"]
              if layer["op"] == "packed_linear" and
              layer["packing"] == "plane_stream"]
    # q/k/v, o, gate/up and down of every layer.
    expected = 4 * manifest["model"]["layers"]
    if len(layers) != expected:
        sys.exit(f"error: expected {expected} packs, found {len(layers)}")
    for layer in layers:
        if layer["kernels"] != kernels:
            sys.exit(f"error: {layer['name']}: {layer['kernels']}")
        bits = layer["bits_per_parameter"]
        if not stages <= bits <= 1.03 * stages:
            sys.exit(f"error: {layer['name']}: {bits} bits per parameter")
        print(layer["name"], layer["shape"], f"{bits:.3f} bits")


main()
