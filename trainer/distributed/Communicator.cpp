// SPDX-License-Identifier: Apache-2.0
#include "trainer/distributed/Communicator.h"

#include "dialect/Error.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <unistd.h>

namespace fairy2 {
namespace {

/// A rank that says nothing for this long is taken for dead.
constexpr std::chrono::seconds kPatience{60};

class OneProcess : public Communicator {
public:
  OneProcess() : Communicator(0, 1) {}
  void sum(at::Tensor &) override {}
  void barrier() override {}
};

class Gloo : public Communicator {
public:
  Gloo(int rank, int size, const std::string &host, uint16_t port)
      : Communicator(rank, size) {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = rank == 0;
    options.numWorkers = size_t(size);
    options.timeout = kPatience;
    store = c10::make_intrusive<c10d::TCPStore>(host, options);
    auto glooOptions = c10d::ProcessGroupGloo::Options::create(kPatience);
    glooOptions->devices.push_back(
        c10d::ProcessGroupGloo::createDeviceForHostname(
            host == "localhost" || host == "127.0.0.1" ? "127.0.0.1"
                                                       : ownAddress()));
    group = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size,
                                                        glooOptions);
  }

  void sum(at::Tensor &tensor) override {
    std::vector<at::Tensor> tensors = {tensor};
    wait([&] { return group->allreduce(tensors); }, "sum");
    reduced += int64_t(tensor.nbytes());
  }
  void barrier() override {
    wait([&] { return group->barrier(); }, "barrier");
  }

private:
  static std::string ownAddress() {
    char name[256] = "localhost";
    ::gethostname(name, sizeof name - 1);
    return name;
  }

  void wait(const auto &start, const char *what) {
    try {
      start()->wait();
    } catch (const std::exception &error) {
      const std::string text = error.what();
      throw Error("rank " + std::to_string(rank()) + ": " + what +
                  " over all ranks failed, another rank has probably died: " +
                  text.substr(0, text.find('\n')));
    }
  }

  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
};

std::optional<int64_t> integerOf(const char *name, int64_t low, int64_t high) {
  const char *text = std::getenv(name);
  if (!text)
    return std::nullopt;
  int64_t value = 0;
  const char *end = text + std::strlen(text);
  const auto [last, error] = std::from_chars(text, end, value);
  if (error != std::errc() || last != end || value < low || value > high)
    throw Error(std::string(name) + ": expected an integer from " +
                std::to_string(low) + " to " + std::to_string(high) +
                ", found '" + text + "'");
  return value;
}

} // namespace

std::unique_ptr<Communicator> Communicator::alone() {
  return std::make_unique<OneProcess>();
}

std::unique_ptr<Communicator> Communicator::fromEnvironment() {
  constexpr int64_t kMostRanks = 1 << 16;
  auto size = integerOf("WORLD_SIZE", 1, kMostRanks);
  if (!size)
    size = integerOf("SLURM_NTASKS", 1, kMostRanks);
  if (!size || *size == 1)
    return alone();
  auto rank = integerOf("RANK", 0, *size - 1);
  if (!rank)
    rank = integerOf("SLURM_PROCID", 0, *size - 1);
  if (!rank)
    throw Error("WORLD_SIZE is " + std::to_string(*size) +
                ", but neither RANK nor SLURM_PROCID is set");
  const char *host = std::getenv("MASTER_ADDR");
  const auto port = integerOf("MASTER_PORT", 1, 65535);
  if (!host || !port)
    throw Error("WORLD_SIZE is " + std::to_string(*size) +
                ", but MASTER_ADDR or MASTER_PORT is not set");
  try {
    return std::make_unique<Gloo>(int(*rank), int(*size), host,
                                  uint16_t(*port));
  } catch (const Error &) {
    throw;
  } catch (const std::exception &error) {
    const std::string text = error.what();
    throw Error("rank " + std::to_string(*rank) +
                ": cannot meet the others at " + host + ":" +
                std::to_string(*port) + ": " + text.substr(0, text.find('\n')));
  }
}

std::vector<double> Communicator::sums(const std::vector<double> &values) {
  if (size() == 1)
    return values;
  at::Tensor tensor = at::empty({int64_t(values.size())}, at::kDouble);
  auto *data = static_cast<double *>(tensor.data_ptr());
  std::copy(values.begin(), values.end(), data);
  sum(tensor);
  return {data, data + values.size()};
}

} // namespace fairy2
