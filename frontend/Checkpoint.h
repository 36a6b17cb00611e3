// SPDX-License-Identifier: Apache-2.0
//
// A Hugging Face checkpoint's tensors: one model.safetensors, or shards with
// model.safetensors.index.json. Tensors are read in pieces, never whole files;
// every header is checked before a byte of data is touched. Plain C++, no MLIR:
// the trainer reads with it too. All functions throw fairy2::Error naming the
// file and the tensor, and all const functions may be called from many threads.
#pragma once

#include "frontend/DType.h"
#include "frontend/ModelFolder.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fairy2 {

/// A tensor of any type and its place.
struct StoredTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::string file;   ///< base name of the file inside the checkpoint's folder
  int64_t offset = 0; ///< of the first byte, from the start of that file
  int64_t bytes = 0;
};

struct TensorInfo : StoredTensor {
  DType type = DType::F32;
  /// Whether it is stored as F64, of which readers get the nearest F32.
  bool isDouble = false;
};

/// A tensor that does not hold floats of a DType.
struct OtherTensor : StoredTensor {
  std::string typeName; ///< as safetensors spells it: "U8", "I64", ..
};

class Checkpoint {
public:
  /// Opens the checkpoint in `folder` and checks all headers.
  static Checkpoint open(const ModelFolder &folder);

  Checkpoint(Checkpoint &&) noexcept;
  Checkpoint &operator=(Checkpoint &&) noexcept;
  ~Checkpoint();

  const std::filesystem::path &directory() const;
  /// Sorted by name, which is the one that transformers has for a model with a
  /// head: a checkpoint of the model without it leaves out "model.". A tensor
  /// of a type that is not a DType (I64, ..) is not listed, but F64 is.
  const std::map<std::string, TensorInfo> &tensors() const;
  /// Throws when there is no such tensor, or its type is not a DType.
  const TensorInfo &tensor(const std::string &name) const;
  /// The tensors of other types, sorted by name.
  const std::map<std::string, OtherTensor> &otherTensors() const;
  /// The texts beside the tensors in the headers of all files. Opening fails
  /// when two files disagree about a key that begins with "fairy2.".
  const std::map<std::string, std::string> &metadata() const;

  /// Lets the stored tensor `stored` serve as `name` too.
  void share(const std::string &stored, const std::string &name);

  /// Copies the tensor's stored bytes [begin, end) to `out`. Throws when the
  /// file became shorter since it was opened.
  void readBytes(const StoredTensor &tensor, int64_t begin, int64_t end,
                 uint8_t *out) const;
  /// The same of a tensor as elements of its type.
  void readBytes(const TensorInfo &tensor, int64_t begin, int64_t end,
                 uint8_t *out) const;
  /// Converts elements [begin, end) (row-major) to float32, exactly. Throws as
  /// readBytes().
  void readFloats(const TensorInfo &tensor, int64_t begin, int64_t end,
                  float *out) const;

private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

} // namespace fairy2
