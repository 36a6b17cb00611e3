# SPDX-License-Identifier: Apache-2.0
#
# usage: check_grids.py BINARY.so ROUNDED.so FLOAT.so
#
# What manifests tell of the scales of layers: 4 binary stages per row on the
# int8 grid, 3 stages of means per tile on it, and binary stages on the float
# grid. Tiles have integers of their own, so the manifest lists none.
import sys

from manifest import manifest_of


def grids_of(manifest):
    return [grid for layer in manifest["layers"]
            for grid in layer.get("grids", [])]


def main():
    binary, rounded, plain = map(manifest_of, sys.argv[1:])
    assert binary["scheme"]["stage_scales"] == "binary", binary["scheme"]
    assert binary["scheme"]["scale_grid"] == "int8", binary["scheme"]
    grids = grids_of(binary)
    assert len(grids) == 14, len(grids)  # 7 matrices in each of 2 layers
    for grid in grids:
        smallest, largest = grid["units"]
        assert 0 < smallest == largest, grid
        assert grid["integers"] == [[8, 8]] * 2 + [[4, 4]] * 2 + [
            [2, 2]] * 2 + [[1, 1]] * 2, grid
    assert rounded["scheme"]["stage_scales"] == "mean", rounded["scheme"]
    grids = grids_of(rounded)
    assert len(grids) == 14, len(grids)
    for grid in grids:
        assert 0 < grid["units"][0] <= grid["units"][1], grid
    # Matrices of several tiles, and of one.
    assert any(not grid["integers"] for grid in grids)
    assert any(max(map(max, grid["integers"] or [[0]])) > 8 for grid in grids)
    assert plain["scheme"]["stage_scales"] == "binary", plain["scheme"]
    assert plain["scheme"]["scale_grid"] == "float", plain["scheme"]
    assert not grids_of(plain)


main()
