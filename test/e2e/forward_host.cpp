// SPDX-License-Identifier: Apache-2.0
//
// usage: forward_host MODEL.so IDS OUT
//
// The smallest host of a model.so: runs comma-separated ids, first all but the
// last as one batch, then the last alone, and writes the logits of every id as
// raw float32. aarch64.test builds it for that machine with the runtime's files
// that need no library of that machine.
#include "runtime/Artifact.h"
#include "runtime/CpuFeatures.h"
#include "runtime/ThreadPool.h"
#include "runtime/include/fairy2/abi.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <numeric>
#include <sstream>
#include <stdexcept>

using namespace fairy2;

namespace {

struct AlignedBytes {
  explicit AlignedBytes(uint64_t size)
      : data(static_cast<uint8_t *>(
            std::aligned_alloc(FAIRY2_ALIGNMENT, (size / FAIRY2_ALIGNMENT + 1) *
                                                     FAIRY2_ALIGNMENT))) {}
  ~AlignedBytes() { std::free(data); }
  AlignedBytes(const AlignedBytes &) = delete;
  AlignedBytes &operator=(const AlignedBytes &) = delete;

  uint8_t *data;
};

std::vector<int32_t> parseIds(const char *text) {
  std::vector<int32_t> ids;
  std::stringstream list(text);
  for (std::string id; std::getline(list, id, ',');)
    ids.push_back(std::stoi(id));
  return ids;
}

void run(const char *path, const std::vector<int32_t> &ids, const char *out) {
  const Artifact artifact = Artifact::open(path);
  artifact.verifyContent(2);
  const Manifest &manifest = artifact.manifest;
  if (manifest.machine != hostMachine())
    throw std::runtime_error("another machine: " + manifest.machine);
  const Variant &variant = manifest.variants.front();
  for (const std::string &feature : variant.features)
    if (!cpuHasFeature(feature))
      throw std::runtime_error("this CPU lacks " + feature);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw std::runtime_error(dlerror());
  const auto forward =
      reinterpret_cast<Fairy2Forward>(dlsym(library, variant.symbol.c_str()));

  const AlignedBytes weights(manifest.weights.bytes);
  artifact.file.read(manifest.weights.offset,
                     {weights.data, manifest.weights.bytes});
  const auto count = int64_t(ids.size());
  const int64_t context = (count + 15) / 16 * 16;
  const AlignedBytes cache(uint64_t(context * manifest.cacheBytesPerPosition));
  const AlignedBytes workspace(uint64_t(manifest.workspaceBytes));
  const std::vector<int32_t> slots(ids.size(), 0);
  std::vector<int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  std::vector<float> logits(size_t(count) * size_t(manifest.vocabSize));
  ThreadPool pool(2);
  auto step = [&](int64_t begin, int64_t tokens) {
    pool.run([&](int thread, int threads) {
      forward(weights.data, cache.data, workspace.data, &ids[begin],
              &slots[begin], &positions[begin], tokens, positions.data(),
              tokens, &logits[size_t(begin) * size_t(manifest.vocabSize)],
              context, /*prefetch_l1=*/1536, /*prefetch_l2=*/8192,
              variant.productsFrom ? variant.productsFrom : INT64_MAX, thread,
              threads, &ThreadPool::barrierOf, &pool);
    });
  };
  step(0, count - 1);
  step(count - 1, 1);
  std::ofstream file(out, std::ios::binary);
  file.write(reinterpret_cast<const char *>(logits.data()),
             std::streamsize(logits.size() * sizeof(float)));
  if (!file)
    throw std::runtime_error(std::string("cannot write ") + out);
}

} // namespace

int main(int argc, char **argv) {
  try {
    const std::vector<int32_t> ids = parseIds(argc == 4 ? argv[2] : "");
    if (ids.size() < 2)
      throw std::runtime_error("usage: forward_host MODEL.so IDS OUT");
    run(argv[1], ids, argv[3]);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "forward_host: error: %s\n", error.what());
    return 1;
  }
}
