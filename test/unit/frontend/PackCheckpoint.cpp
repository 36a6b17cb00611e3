// SPDX-License-Identifier: Apache-2.0
//
// usage: PackCheckpoint MODEL_DIR OUT.safetensors STAGES tensor|row|tile
//                       [mean|binary float|int8]
//
// For tests: writes the checkpoint in MODEL_DIR with every ..proj.weight as
// phases, by default of stage scales mean on the grid float.
#include "frontend/PackedCheckpoint.h"

#include <cstdio>

using namespace fairy2;

static void pack(const std::filesystem::path &model,
                 const std::filesystem::path &out, PhaseScheme scheme) {
  const Checkpoint checkpoint = Checkpoint::open(model);
  std::vector<PackedItem> items;
  for (const auto &[name, tensor] : checkpoint.tensors())
    items.push_back(
        {name, tensor.shape, name.ends_with("proj.weight"), tensor.type});
  writePackedCheckpoint(
      out, scheme, items,
      [&](size_t i) {
        const TensorInfo &tensor = checkpoint.tensor(items[i].name);
        const int64_t columns = tensor.shape[1];
        return quantizePhases(
            [&](int64_t begin, int64_t end, float *to) {
              checkpoint.readFloats(tensor, begin * columns, end * columns, to);
            },
            tensor.shape[0], columns, scheme, tensor.name);
      },
      [&](size_t i) {
        const TensorInfo &tensor = checkpoint.tensor(items[i].name);
        std::vector<uint8_t> bytes(size_t(tensor.bytes));
        checkpoint.readBytes(tensor, 0, tensor.bytes, bytes.data());
        return bytes;
      });
}

int main(int argc, char **argv) {
  const bool isWhole = argc == 5 || argc == 7;
  const auto scales = isWhole ? granularityFromName(argv[4]) : std::nullopt;
  const auto stageScales = stageScalesFromName(argc == 7 ? argv[5] : "mean");
  const auto grid = scaleGridFromName(argc == 7 ? argv[6] : "float");
  if (!scales || !stageScales || !grid) {
    std::fprintf(stderr,
                 "usage: PackCheckpoint MODEL_DIR OUT.safetensors STAGES "
                 "tensor|row|tile [mean|binary float|int8]\n");
    return 2;
  }
  try {
    pack(argv[1], argv[2],
         {std::atoi(argv[3]), *scales, QuantizeMode::Canonical, *stageScales,
          *grid});
  } catch (const std::exception &error) {
    std::fprintf(stderr, "PackCheckpoint: error: %s\n", error.what());
    return 1;
  }
  return 0;
}
