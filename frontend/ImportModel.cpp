// SPDX-License-Identifier: Apache-2.0
#include "frontend/ImportModel.h"

#include "dialect/Error.h"
#include "frontend/models/Models.h"

#include "mlir/IR/Verifier.h"

using namespace mlir;

namespace fairy2 {
namespace {

struct Architecture {
  const char *name;
  Value (*build)(ModelBuilder &);
};

constexpr Architecture kArchitectures[] = {
    {"LlamaForCausalLM", buildLlama},
};

} // namespace

std::vector<std::string> supportedArchitectures() {
  std::vector<std::string> names;
  for (const Architecture &architecture : kArchitectures)
    names.push_back(architecture.name);
  return names;
}

OwningOpRef<ModuleOp> importModel(MLIRContext *context,
                                  const Checkpoint &checkpoint,
                                  const HFConfig &config) {
  for (const Architecture &architecture : kArchitectures) {
    if (architecture.name != config.architecture)
      continue;
    ModelBuilder model(context, checkpoint, config);
    Value logits = architecture.build(model);
    OwningOpRef<ModuleOp> module = model.finish(logits);
    if (failed(verify(*module)))
      throw Error("config.json: the model it describes is not consistent");
    return module;
  }
  throw Error("config.json: architectures: '" + config.architecture +
              "' is not supported");
}

} // namespace fairy2
