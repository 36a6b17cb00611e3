// SPDX-License-Identifier: Apache-2.0
//
// The stages' pipelines, LLVM's code for one CPU, and dlopen of the result.
#include "test/unit/codegen/CompiledModule.h"

#include "codegen/EmitCode.h"
#include "codegen/LinkSharedLibrary.h"
#include "codegen/Pipelines.h"
#include "codegen/RegisterAll.h"
#include "codegen/WeightSection.h"
#include "dialect/Fairy2PackedOps.h"
#include "runtime/Artifact.h"
#include "runtime/CpuFeatures.h"
#include "runtime/include/fairy2/abi.h"
#include "runtime/support/Error.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/StringExtras.h"

#include <barrier>
#include <dlfcn.h>
#include <fstream>
#include <numeric>
#include <thread>
#include <unistd.h>

using namespace mlir;

namespace fairy2 {
namespace {

/// All weights hold their values; nobody may ask for a file.
class NoFiles : public WeightStore {
public:
  void readFloats(const std::string &name, int64_t, int64_t,
                  float *) const override {
    throw Error(name + ": expected a value in the module");
  }
  void readBytes(const std::string &name, int64_t, int64_t,
                 uint8_t *) const override {
    throw Error(name + ": expected a value in the module");
  }
  PhaseMatrix readPhases(const std::string &name,
                         const ParallelFor &) const override {
    throw Error(name + ": expected a value in the module");
  }
};

void run(ModuleOp module,
         llvm::function_ref<void(OpPassManager &)> buildPipeline) {
  PassManager pm(module.getContext());
  buildPipeline(pm);
  if (failed(pm.run(module)))
    throw Error("the passes failed");
}

int64_t sizeAttribute(Operation *op, StringRef name) {
  return op->getAttrOfType<IntegerAttr>(name).getInt();
}

/// The first 64-byte aligned address of a buffer that has 64 bytes to spare.
uint8_t *aligned(std::vector<uint8_t> &bytes) {
  const auto address = reinterpret_cast<uintptr_t>(bytes.data());
  return bytes.data() +
         (FAIRY2_ALIGNMENT - address % FAIRY2_ALIGNMENT) % FAIRY2_ALIGNMENT;
}

enum { Weights, Cache, Workspace };

} // namespace

//===----------------------------------------------------------------------===//
// Compiling and running
//===----------------------------------------------------------------------===//

/// A shared library that is unloaded, and its file removed, with its owner.
struct CompiledModule::Library {
  explicit Library(const std::vector<uint8_t> &image) {
    char path[] = "/tmp/fairy2-test-XXXXXX";
    const int file = ::mkstemp(path);
    if (file < 0)
      throw Error("mkstemp failed");
    ::close(file);
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char *>(image.data()),
               std::streamsize(image.size()));
    handle = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ::unlink(path);
    if (!handle)
      throw Error(::dlerror());
    forward = reinterpret_cast<Fairy2Forward>(::dlsym(handle, "forward"));
    if (!forward)
      throw Error("the library has no function 'forward'");
  }
  ~Library() { ::dlclose(handle); }

  void *handle;
  Fairy2Forward forward;
};

CompiledModule::CompiledModule(const std::string &text, const CpuTarget &target,
                               int64_t batch)
    : storage(3) {
  DialectRegistry registry;
  registerAllDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  auto module = parseSourceString<ModuleOp>(text, ParserConfig(&context));
  if (!module)
    throw Error("the module is not valid");
  fairy2::run(*module, buildPackPipeline);
  for (auto pack : module->getOps<PackOp>())
    places.push_back({pack.getSymName().str(), int64_t(pack.getOffset()),
                      int64_t(pack.getBytes())});
  std::vector<std::vector<uint8_t>> bytes;
  WeightFactsMap facts;
  for (auto pack : module->getOps<PackOp>())
    bytes.push_back(packBytes(pack, NoFiles(), serialFor, facts));

  LoopsOptions loops;
  loops.cpu = target.name.str();
  loops.batch = batch;
  fairy2::run(*module,
              [&](OpPassManager &pm) { buildLoopsPipeline(pm, loops); });
  auto entry = module->lookupSymbol<func::FuncOp>("forward");
  storage[Weights].resize(sizeAttribute(entry, "fairy2.weight_bytes") +
                          2 * FAIRY2_ALIGNMENT);
  for (size_t i = 0; i < places.size(); ++i)
    std::copy(bytes[i].begin(), bytes[i].end(), pack(places[i].name).begin());
  workspaceBytes = sizeAttribute(entry, "fairy2.workspace_bytes");
  cacheBytesPerPosition =
      sizeAttribute(entry, "fairy2.cache_bytes_per_position");
  cacheLayers = sizeAttribute(entry, "fairy2.cache_layers");
  cachePlanes = entry->getAttrOfType<DenseI64ArrayAttr>("fairy2.cache_planes")
                    .asArrayRef();
  vocabularySize =
      cast<MemRefType>(entry.getArgumentTypes()[9]).getNumElements() / batch;
  resetCache(1, 16);

  CpuOptions cpu;
  cpu.cpu = target.name.str();
  fairy2::run(*module, [&](OpPassManager &pm) { buildLlvmPipeline(pm, cpu); });
  library = std::make_unique<Library>(
      linkSharedLibrary({emitCode(*module, target, CodeKind::Object)}));
}

CompiledModule::~CompiledModule() = default;

std::span<uint8_t> CompiledModule::pack(const std::string &name) {
  for (const PackPlace &place : places)
    if (place.name == name)
      return {aligned(storage[Weights]) + place.offset, size_t(place.bytes)};
  throw Error("no pack is named " + name);
}

void CompiledModule::resetCache(int64_t slots, int64_t context) {
  cacheContext = context;
  storage[Cache].assign(
      slots * context * cacheBytesPerPosition + FAIRY2_ALIGNMENT, 0xff);
}

void CompiledModule::copySlot(int64_t from, int64_t to, int64_t positions) {
  uint8_t *cache = aligned(storage[Cache]);
  int64_t at = 0; // bytes a position before the array, in its slot
  for (int64_t layer = 0; layer < cacheLayers; ++layer)
    for (size_t i = 0; i < cachePlanes.size(); i += 2)
      for (int64_t j = 0; j < cachePlanes[i]; ++j) {
        const int64_t bytes = cachePlanes[i + 1];
        const auto place = [&](int64_t slot) {
          return cache + (slot * cacheBytesPerPosition + at) * cacheContext;
        };
        std::memcpy(place(to), place(from), size_t(positions * bytes));
        at += bytes;
      }
}

Step Step::of(std::vector<int32_t> tokens) {
  Step step{std::move(tokens), {}, {}, {}};
  for (size_t i = 0; i < step.tokens.size(); ++i) {
    step.slots.push_back(0);
    step.positions.push_back(int32_t(i));
    step.rows.push_back(int32_t(i));
  }
  return step;
}

Step Step::range(int64_t begin, int64_t end) {
  std::vector<int32_t> tokens(size_t(end - begin));
  std::iota(tokens.begin(), tokens.end(), int32_t(begin));
  return of(std::move(tokens));
}

Floats CompiledModule::run(const Step &step, int threads,
                           int64_t productsFrom) {
  // Contents of the workspace are undefined: NaNs would show.
  storage[Workspace].assign(workspaceBytes + FAIRY2_ALIGNMENT, 0xff);
  Floats logits(step.rows.size() * vocabularySize + 1, -12345.0f);
  std::barrier<> meeting(threads);
  auto share = [&](int thread) {
    library->forward(
        aligned(storage[Weights]), aligned(storage[Cache]),
        aligned(storage[Workspace]), step.tokens.data(), step.slots.data(),
        step.positions.data(), int64_t(step.tokens.size()), step.rows.data(),
        int64_t(step.rows.size()), logits.data(), cacheContext,
        /*prefetch_l1=*/1536, /*prefetch_l2=*/8192, productsFrom, thread,
        threads,
        [](void *pool) {
          static_cast<std::barrier<> *>(pool)->arrive_and_wait();
        },
        &meeting);
  };
  std::vector<std::thread> team;
  for (int t = 1; t < threads; ++t)
    team.emplace_back(share, t);
  share(0);
  for (std::thread &thread : team)
    thread.join();
  if (logits.back() != -12345.0f)
    throw Error("the code wrote behind the logits");
  logits.pop_back();
  return logits;
}

std::vector<const CpuTarget *> runnableTargets() {
  std::vector<const CpuTarget *> targets;
  for (const CpuTarget &target : cpuTargets()) {
    if (target.machine() != hostMachine())
      continue;
    SmallVector<StringRef> features;
    target.required.split(features, ',', -1, /*KeepEmpty=*/false);
    if (llvm::all_of(features, [](StringRef feature) {
          return cpuHasFeature(feature.str());
        }))
      targets.push_back(&target);
  }
  return targets;
}

//===----------------------------------------------------------------------===//
// Text of modules
//===----------------------------------------------------------------------===//

static std::string tensorType(const std::vector<int64_t> &shape,
                              const std::string &elementType) {
  std::string type = "tensor<";
  for (int64_t extent : shape)
    type += std::to_string(extent) + "x";
  return type + elementType + ">";
}

static std::string hexAttribute(const void *data, size_t bytes,
                                const std::string &type) {
  const StringRef raw(static_cast<const char *>(data), bytes);
  return "dense<\"0x" + llvm::toHex(raw) + "\"> : " + type;
}

std::string denseAttribute(const Floats &values,
                           const std::vector<int64_t> &shape) {
  return hexAttribute(values.data(), values.size() * sizeof(float),
                      tensorType(shape, "f32"));
}

std::string denseAttribute(Floats &values, const std::vector<int64_t> &shape,
                           const std::string &elementType) {
  if (elementType == "f32")
    return denseAttribute(values, shape);
  const llvm::fltSemantics &semantics =
      elementType == "f16" ? APFloat::IEEEhalf() : APFloat::BFloat();
  std::vector<uint16_t> stored;
  for (float &value : values) {
    APFloat number(value);
    bool lossy;
    number.convert(semantics, APFloat::rmNearestTiesToEven, &lossy);
    stored.push_back(uint16_t(number.bitcastToAPInt().getZExtValue()));
    number.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &lossy);
    value = number.convertToFloat();
  }
  return hexAttribute(stored.data(), stored.size() * sizeof(uint16_t),
                      tensorType(shape, elementType));
}

std::string weight(const std::string &name, const Floats &values,
                   const std::vector<int64_t> &shape) {
  return "fairy2.weight @" + name + " : " + tensorType(shape, "f32") + " = " +
         denseAttribute(values, shape) + "\n";
}

std::string moduleWithLogits(const std::string &globals,
                             const std::string &body, int64_t features,
                             const std::string &cacheType) {
  const std::string ids = "tensor<?xi32>";
  const std::string logits = "tensor<?x" + std::to_string(features) + "xf32>";
  return globals + "func.func @forward(%tokens: " + ids + ", %slots: " + ids +
         ", %positions: " + ids + ", %rows: " + ids + ", %cache: " + cacheType +
         ") -> " + logits + " {\n" + body + "return %y : " + logits + "\n}\n";
}

std::string moduleWithIdentityHead(const std::string &globals,
                                   const std::string &body, int64_t features,
                                   const std::string &cacheType,
                                   const std::string &value) {
  Floats identity(features * features, 0.0f);
  for (int64_t i = 0; i < features; ++i)
    identity[i * features + i] = 1.0f;
  const std::string type = "tensor<?x" + std::to_string(features) + "xf32>";
  return moduleWithLogits(
      globals + weight("identity", identity, {features, features}),
      body + "%y = fairy2.linear " + value + ", @identity : " + type + " -> " +
          type + "\n",
      features, cacheType);
}

} // namespace fairy2
