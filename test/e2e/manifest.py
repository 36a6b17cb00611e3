# SPDX-License-Identifier: Apache-2.0
#
# The manifest of a model.so, for the checks beside this file.
import json
import struct
import subprocess

HEADER_BYTES = 64


def manifest_of(path):
    section = path + ".manifest"
    subprocess.run(["llvm-objcopy", "--dump-section",
                    ".fairy2.manifest=" + section, path, "/dev/null"],
                   check=True)
    with open(section, "rb") as file:
        data = file.read()
    length = struct.unpack_from("<Q", data, 16)[0]
    return json.loads(data[HEADER_BYTES:HEADER_BYTES + length])
