// SPDX-License-Identifier: Apache-2.0
//
// Model::load() and fromCheckpoint(): values from a checkpoint, dense or
// packed.
#include "dialect/phase/Quantization.h"
#include "frontend/DecoderCheckpoint.h"
#include "runtime/support/Error.h"
#include "trainer/model/Model.h"

#include <algorithm>

namespace fairy2::trainer {
namespace {

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (const int64_t extent : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

class CheckpointValues {
public:
  CheckpointValues(const HFConfig &config, const ModelFolder &folder)
      : checkpoint(DecoderCheckpoint::open(folder).checkpoint),
        packed(PackedCheckpoint::find(checkpoint)) {
    requireNoOthers(checkpoint, packed ? &*packed : nullptr, config);
  }

  void fill(Parameter &parameter) const {
    float *values = parameter.latent.mutable_data_ptr<float>();
    if (packed && packed->weights().contains(parameter.name)) {
      const PackedWeight &weight = packed->weights().at(parameter.name);
      requireShape(weight.codes, {weight.rows, weight.columns}, parameter);
      const std::vector<float> stored =
          dequantizePhases(packed->read(parameter.name));
      std::copy(stored.begin(), stored.end(), values);
      return;
    }
    const TensorInfo &tensor = checkpoint.tensor(parameter.name);
    requireShape(tensor, tensor.shape, parameter);
    checkpoint.readFloats(tensor, 0, parameter.count(), values);
    const int64_t columns = parameter.shape.back();
    for (int64_t row = 0; row * columns < parameter.count(); ++row)
      requireFinite(placeOf(tensor), row, columns, values + row * columns);
  }

  /// Of the embedding.
  DType storedType(const DecoderPlan &plan) const {
    return checkpoint.tensor(plan.parameters[plan.embedding].name).type;
  }

private:
  std::string placeOf(const StoredTensor &tensor) const {
    return (checkpoint.directory() / tensor.file).string() + ": tensor '" +
           tensor.name + "'";
  }

  void requireShape(const StoredTensor &place,
                    const std::vector<int64_t> &found,
                    const Parameter &parameter) const {
    if (found != parameter.shape)
      throw Error(placeOf(place) + ": expected shape " +
                  shapeText(parameter.shape) + " as config.json says, found " +
                  shapeText(found));
  }

  Checkpoint checkpoint;
  std::optional<PackedCheckpoint> packed; ///< refers to `checkpoint`
};

} // namespace

std::pair<Model, FillParameter> Model::opened(const ModelFolder &folder) {
  const HFConfig config = DecoderCheckpoint::open(folder).config;
  const auto source = std::make_shared<const CheckpointValues>(config, folder);
  Model model(config);
  model.setStoredType(source->storedType(model.plan));
  return {std::move(model),
          [source](Parameter &parameter) { source->fill(parameter); }};
}

Model Model::load(const ModelFolder &folder) {
  auto [model, fill] = opened(folder);
  for (Parameter &parameter : model.list)
    Model::fill(parameter, fill);
  return std::move(model);
}

FillParameter Model::fromCheckpoint(const HFConfig &config,
                                    const ModelFolder &folder) {
  const auto source = std::make_shared<const CheckpointValues>(config, folder);
  return [source](Parameter &parameter) { source->fill(parameter); };
}

} // namespace fairy2::trainer
