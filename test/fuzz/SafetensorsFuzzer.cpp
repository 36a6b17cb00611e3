// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: two bytes with the number of data bytes and the JSON of a
// safetensors header; or, after an 'F', a whole checkpoint: an index, a zero
// byte and the bytes of a file (without an index: of the only file). Whatever
// they are, the reader refuses them with an Error, or its tensors cover the
// data exactly and all of them can be read.
#include "frontend/Checkpoint.h"
#include "frontend/Safetensors.h"
#include "runtime/support/Error.h"
#include "test/fuzz/Fuzzer.h"
#include "test/unit/TestFiles.h"

#include <cstring>

using namespace fairy2;
using namespace fairy2::fuzz;

namespace {

void checkHeader(std::string_view input) {
  uint16_t dataBytes = 0;
  std::memcpy(&dataBytes, input.data(), sizeof(dataBytes));
  const std::string_view header = input.substr(sizeof(dataBytes));
  const auto [entries, metadata] =
      parseSafetensorsHeader(header, dataBytes, "file");
  int64_t reached = 0;
  for (const SafetensorsEntry &entry : entries) {
    REQUIRE(entry.begin == reached && entry.end >= entry.begin);
    reached = entry.end;
  }
  REQUIRE(reached == dataBytes);

  const std::string written = formatSafetensorsHeader(entries, metadata);
  REQUIRE(written.size() % 8 == 0);
  const std::vector<SafetensorsEntry> again =
      parseSafetensorsHeader(std::string_view(written).substr(8), dataBytes,
                             "written")
          .tensors;
  REQUIRE(again.size() == entries.size());
  for (size_t i = 0; i < again.size(); ++i)
    REQUIRE(again[i].name == entries[i].name &&
            again[i].dtype == entries[i].dtype &&
            again[i].shape == entries[i].shape &&
            again[i].begin == entries[i].begin);
}

void checkCheckpoint(std::string_view input) {
  static const TemporaryFolder folder;
  std::filesystem::remove(folder / "model.safetensors.index.json");
  std::string_view stored = input;
  if (input.starts_with('{')) {
    const auto [index, file] = splitAtZero(input);
    stored = file;
    folder.write("model.safetensors.index.json", index);
    std::filesystem::remove(folder / "model.safetensors");
    folder.write("a", file);
  } else {
    folder.write("model.safetensors", input);
  }
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  for (const auto &[name, tensor] : checkpoint.tensors()) {
    REQUIRE(checkpoint.tensor(name).bytes == tensor.bytes);
    std::string copy(size_t(tensor.bytes), '\0');
    checkpoint.readBytes(tensor, 0, tensor.bytes,
                         reinterpret_cast<uint8_t *>(copy.data()));
    REQUIRE(stored.substr(size_t(tensor.offset)).starts_with(copy));
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  const std::string_view input = textOf(data, size);
  try {
    if (input.starts_with('F'))
      checkCheckpoint(input.substr(1));
    else
      checkHeader(input);
  } catch (const Error &) {
  }
  return 0;
}
