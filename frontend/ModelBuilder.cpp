// SPDX-License-Identifier: Apache-2.0
//
// Each call checks the tensor's shape, then makes its fairy2.weight and the op
// that uses it.
#include "frontend/ModelBuilder.h"

#include "dialect/Fairy2ModelOps.h"
#include "dialect/Fairy2WeightOps.h"
#include "frontend/DecoderCheckpoint.h"
#include "runtime/support/Error.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace fairy2 {
namespace {

std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (int64_t extent : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

Type elementType(Builder &builder, DType type) {
  switch (type) {
  case DType::F32:
    return builder.getF32Type();
  case DType::F16:
    return builder.getF16Type();
  case DType::BF16:
    return builder.getBF16Type();
  }
  llvm_unreachable("all types are handled");
}

} // namespace

ModelBuilder::ModelBuilder(MLIRContext *context, const Checkpoint &checkpoint,
                           const HFConfig &config)
    : config(config), plan(config), checkpoint(checkpoint),
      packed(PackedCheckpoint::find(checkpoint)), builder(context) {
  context->loadDialect<Fairy2Dialect, arith::ArithDialect, func::FuncDialect>();
  Location unknown = builder.getUnknownLoc();
  module = ModuleOp::create(unknown);
  builder.setInsertionPointToEnd(module->getBody());
  Type ids =
      RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type());
  Type cacheType =
      KVCacheType::get(context, config.layers, config.kvHeads, config.headDim);
  forward = func::FuncOp::create(
      builder, unknown, "forward",
      builder.getFunctionType({ids, ids, ids, ids, cacheType},
                              {activations(config.vocabSize)}));
  Block *body = forward.addEntryBlock();
  tokens = body->getArgument(0);
  slots = body->getArgument(1);
  positions = body->getArgument(2);
  rows = body->getArgument(3);
  cache = body->getArgument(4);
  builder.setInsertionPointToStart(body);
}

RankedTensorType ModelBuilder::activations(int64_t features) {
  return RankedTensorType::get({ShapedType::kDynamic, features},
                               builder.getF32Type());
}

Location ModelBuilder::locationOf(const std::string &name) {
  const std::string file = (checkpoint.directory() / "config.json").string();
  return NameLoc::get(builder.getStringAttr(name),
                      FileLineColLoc::get(builder.getStringAttr(file), 0, 0));
}

const PackedWeight *ModelBuilder::findPacked(const std::string &name) const {
  if (!packed)
    return nullptr;
  const auto found = packed->weights().find(name);
  return found == packed->weights().end() ? nullptr : &found->second;
}

DType ModelBuilder::storedType(const std::string &name) const {
  return checkpoint.tensor(name).type;
}

FlatSymbolRefAttr ModelBuilder::weight(const DecoderParameter &parameter) {
  const std::string &name = parameter.name;
  const std::vector<int64_t> &shape = parameter.shape;
  if (const PackedWeight *phases = findPacked(name))
    return declare(name, phases->codes, {phases->rows, phases->columns}, shape,
                   builder.getF32Type(),
                   storedPhasesOf(builder.getContext(), phases->scheme));
  const TensorInfo &tensor = checkpoint.tensor(name);
  return declare(name, tensor, tensor.shape, shape,
                 elementType(builder, tensor.type), StoredPhasesAttr());
}

FlatSymbolRefAttr ModelBuilder::declare(const std::string &name,
                                        const StoredTensor &place,
                                        ArrayRef<int64_t> found,
                                        ArrayRef<int64_t> shape, Type element,
                                        StoredPhasesAttr phases) {
  if (found != shape)
    throw Error(place.file + ": tensor '" + name + "': expected shape " +
                shapeText(shape) + " as config.json says, found " +
                shapeText(found));
  if (declared.insert(name).second) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(forward);
    WeightOp::create(builder, locationOf(name), builder.getStringAttr(name),
                     TypeAttr::get(RankedTensorType::get(shape, element)),
                     builder.getStringAttr(place.file),
                     builder.getI64IntegerAttr(place.offset), ElementsAttr(),
                     phases);
  }
  return FlatSymbolRefAttr::get(builder.getContext(), name);
}

Value ModelBuilder::embedding(const DecoderParameter &table) {
  return EmbeddingOp::create(builder, locationOf(table.name),
                             activations(table.shape[1]), tokens,
                             weight(table));
}

Value ModelBuilder::ropeTable(const RopeConfig &rope) {
  DenseF32ArrayAttr longFrequencies;
  IntegerAttr longAfter;
  if (rope.scaling == RopeConfig::Scaling::LongRope) {
    longFrequencies = builder.getDenseF32ArrayAttr(
        rope.longInverseFrequencies(config.headDim));
    longAfter = builder.getI64IntegerAttr(rope.originalMaxPositions);
  }
  return RopeTableOp::create(
      builder, builder.getUnknownLoc(),
      activations(rope.rotaryDim(config.headDim)), positions,
      rope.inverseFrequencies(config.headDim), config.maxPositions,
      APFloat(float(rope.magnitude)), longFrequencies, longAfter);
}

Value ModelBuilder::rmsNorm(Value x, const DecoderParameter &parameter) {
  return RmsNormOp::create(
      builder, locationOf(parameter.name), x, weight(parameter),
      builder.getF32FloatAttr(float(config.rmsNormEpsilon)),
      builder.getI64IntegerAttr(featuresOf(x) / parameter.shape[0]),
      config.block.unitOffset ? builder.getUnitAttr() : UnitAttr());
}

Value ModelBuilder::linear(Value x, const DecoderParameter &parameter,
                           const DecoderParameter *bias) {
  FlatSymbolRefAttr biasSymbol;
  if (bias)
    biasSymbol = weight(*bias);
  const StringRef name =
      StringRef(parameter.name).drop_back(StringRef(".weight").size());
  return LinearOp::create(builder, locationOf(name.str()),
                          activations(parameter.shape[0]), x, weight(parameter),
                          biasSymbol, UnitAttr());
}

Value ModelBuilder::head(Value x, const DecoderParameter &parameter) {
  return LinearOp::create(builder, locationOf("lm_head"),
                          activations(parameter.shape[0]), x, weight(parameter),
                          FlatSymbolRefAttr(), builder.getUnitAttr());
}

Value ModelBuilder::rope(Value x, Value table) {
  return RopeOp::create(
      builder, x.getLoc(), x.getType(), x, table,
      builder.getI64IntegerAttr(featuresOf(x) / config.headDim));
}

Value ModelBuilder::slice(Value x, int64_t begin, int64_t count) {
  return SliceOp::create(builder, x.getLoc(), activations(count), x,
                         builder.getI64IntegerAttr(begin));
}

Value ModelBuilder::attention(Value query, Value key, Value value,
                              int64_t layer) {
  IntegerAttr window;
  if (const std::optional<int64_t> positions = config.windowOf(layer))
    window = builder.getI64IntegerAttr(*positions);
  FloatAttr softCap;
  if (config.attentionSoftCap)
    softCap = builder.getF32FloatAttr(float(*config.attentionSoftCap));
  return AttentionOp::create(
      builder, locationOf("layers." + std::to_string(layer) + ".attention"),
      query.getType(), query, key, value, cache, slots, positions,
      builder.getI64IntegerAttr(layer),
      builder.getF32FloatAttr(float(config.attentionScale)), window, softCap);
}

Value ModelBuilder::gated(Value gate, Value up) {
  const GateKind kind = config.activation == Activation::Silu
                            ? GateKind::Silu
                            : GateKind::GeluTanh;
  return GatedActivationOp::create(builder, gate.getLoc(), gate.getType(), kind,
                                   gate, up);
}

Value ModelBuilder::add(Value a, Value b) {
  return arith::AddFOp::create(builder, b.getLoc(), a, b);
}

Value ModelBuilder::scale(Value x, double factor) {
  if (factor == 1)
    return x;
  return ScaleOp::create(builder, x.getLoc(), x,
                         builder.getF32FloatAttr(float(factor)));
}

Value ModelBuilder::softCap(Value x, std::optional<double> cap) {
  if (!cap)
    return x;
  return SoftCapOp::create(builder, x.getLoc(), x,
                           builder.getF32FloatAttr(float(*cap)));
}

Value ModelBuilder::wantedRows(Value x) {
  return GatherRowsOp::create(builder, x.getLoc(), x.getType(), x, rows);
}

OwningOpRef<ModuleOp> ModelBuilder::finish(Value logits) {
  func::ReturnOp::create(builder, logits.getLoc(), logits);
  requireNoOthers(checkpoint, packed ? &*packed : nullptr, config);
  return std::move(module);
}

} // namespace fairy2
