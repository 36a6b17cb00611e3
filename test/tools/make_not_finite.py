# SPDX-License-Identifier: Apache-2.0
#
# usage: make_not_finite.py MODEL_DIR COPY TENSOR
#
# Copies a float32 checkpoint and writes a NaN into the middle of a tensor.
import json
import os
import shutil
import struct
import sys

model, copy, tensor = sys.argv[1:]
shutil.copytree(model, copy)
with open(os.path.join(copy, "model.safetensors"), "r+b") as file:
    length = struct.unpack("<Q", file.read(8))[0]
    begin, end = json.loads(file.read(length))[tensor]["data_offsets"]
    file.seek(8 + length + (begin + end) // 8 * 4)
    file.write(struct.pack("<f", float("nan")))
