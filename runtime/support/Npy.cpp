// SPDX-License-Identifier: Apache-2.0
//
// The header is a Python dictionary padded to 64 bytes (NumPy's format.py).
#include "runtime/support/Npy.h"

#include "runtime/support/Bytes.h"

#include <string>
#include <string_view>

namespace fairy2 {
namespace {} // namespace

NpyWriter::NpyWriter(const std::filesystem::path &path, int64_t rows,
                     int64_t columns)
    : file(path) {
  constexpr size_t preambleBytes = 10, alignment = 64;
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                       std::to_string(rows) + ", " + std::to_string(columns) +
                       "), }";
  while ((preambleBytes + header.size() + 1) % alignment != 0)
    header += ' ';
  header += '\n';
  const char preamble[preambleBytes] = {'\x93',
                                        'N',
                                        'U',
                                        'M',
                                        'P',
                                        'Y',
                                        1,
                                        0,
                                        char(header.size() & 255),
                                        char(header.size() >> 8)};
  file.append(bytesOf(preamble));
  file.append(bytesOf(header));
}

void NpyWriter::append(std::span<const float> values) {
  file.append(bytesOf(values));
}

void NpyWriter::commit() { file.commit(); }

} // namespace fairy2
