// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the readers share: safetensors files and their values.
#pragma once

#include "frontend/Checkpoint.h"
#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>

namespace fairy2 {

/// A safetensors file of this JSON header and data.
inline std::string safetensorsFile(std::string_view header,
                                   std::string_view data) {
  const uint64_t length = header.size();
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes.append(header).append(data);
}

/// All values of a tensor.
inline std::vector<float> floatsOf(const Checkpoint &checkpoint,
                                   const std::string &name) {
  const TensorInfo &tensor = checkpoint.tensor(name);
  std::vector<float> values(tensor.bytes / byteWidth(tensor.type));
  checkpoint.readFloats(tensor, 0, int64_t(values.size()), values.data());
  return values;
}

} // namespace fairy2
