# SPDX-License-Identifier: Apache-2.0
#
# Reads the float32 .npy files that fairy2-run writes, with the standard library
# alone, and what tests ask of logits.
import array
import ast
import struct
import sys


def read_npy(path):
    """(shape, values) of a little-endian float32 array in C order."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:6] != b"\x93NUMPY":
        raise ValueError(f"{path}: expected a .npy file")
    start = 10 if data[6] == 1 else 12
    length = struct.unpack_from("<H" if data[6] == 1 else "<I", data, 8)[0]
    header = ast.literal_eval(data[start:start + length].decode("latin-1"))
    if header["descr"] != "<f4" or header["fortran_order"]:
        raise ValueError(f"{path}: expected little-endian float32 in C order")
    values = array.array("f", data[start + length:])
    if sys.byteorder != "little":
        values.byteswap()
    count = 1
    for extent in header["shape"]:
        count *= extent
    if len(values) != count:
        raise ValueError(f"{path}: expected {count} values, found "
                         f"{len(values)}")
    return header["shape"], values


def rows(path):
    """The rows of a two-dimensional array as lists."""
    (count, width), values = read_npy(path)
    return [list(values[i * width:(i + 1) * width]) for i in range(count)]


def largest_difference(a, b):
    return max(abs(x - y) for p, q in zip(a, b) for x, y in zip(p, q))


def argmax(row):
    return max(range(len(row)), key=row.__getitem__)
