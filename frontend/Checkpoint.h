// SPDX-License-Identifier: Apache-2.0
//
// A Hugging Face checkpoint's tensors: one model.safetensors, or shards with
// model.safetensors.index.json. Files are mapped, never copied whole; every
// header is checked before a byte of data is touched. Plain C++, no MLIR: the
// trainer reads with it too. All functions throw fairy2::Error naming the file
// and the tensor.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace fairy2 {

enum class DType { F32, F16, BF16 };
/// 4, 2, 2.
int64_t byteWidth(DType type);
/// "F32", "F16", "BF16", as safetensors spells them.
const char *nameOf(DType type);

struct TensorInfo {
  std::string name;
  DType type = DType::F32;
  std::vector<int64_t> shape;
  std::string file;   ///< base name of the file inside the checkpoint's folder
  int64_t offset = 0; ///< of the first byte, from the start of that file
  int64_t bytes = 0;
};

class Checkpoint {
public:
  /// Opens the checkpoint in `directory` and checks all headers.
  static Checkpoint open(const std::filesystem::path &directory);

  Checkpoint(Checkpoint &&) noexcept;
  Checkpoint &operator=(Checkpoint &&) noexcept;
  ~Checkpoint();

  const std::filesystem::path &directory() const;
  /// Sorted by name.
  const std::map<std::string, TensorInfo> &tensors() const;
  /// Throws when there is no such tensor.
  const TensorInfo &tensor(const std::string &name) const;

  /// The stored bytes of the tensor, valid as long as the checkpoint lives.
  std::span<const uint8_t> bytes(const TensorInfo &tensor) const;
  /// Lets the kernel drop the tensor's pages from this process, so that a
  /// compile's peak memory is a few layers and not the model.
  void release(const TensorInfo &tensor) const;

  /// Converts elements [begin, end) (row-major) to float32, exactly.
  void readFloats(const TensorInfo &tensor, int64_t begin, int64_t end,
                  float *out) const;

private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

} // namespace fairy2
