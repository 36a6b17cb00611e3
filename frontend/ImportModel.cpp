// SPDX-License-Identifier: Apache-2.0
//
// BuildDecoder fills the module, and MLIR's verifier has the last word.
#include "frontend/ImportModel.h"

#include "frontend/BuildDecoder.h"
#include "runtime/support/Error.h"

#include "mlir/IR/Verifier.h"

using namespace mlir;

namespace fairy2 {

OwningOpRef<ModuleOp> importModel(MLIRContext *context,
                                  const Checkpoint &checkpoint,
                                  const HFConfig &config) {
  ModelBuilder model(context, checkpoint, config);
  Value logits = buildDecoder(model);
  OwningOpRef<ModuleOp> module = model.finish(logits);
  if (failed(verify(*module)))
    throw Error("config.json: the model it describes is not consistent");
  return module;
}

} // namespace fairy2
