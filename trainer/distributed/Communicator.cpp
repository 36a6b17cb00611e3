// SPDX-License-Identifier: Apache-2.0
//
// c10d's process groups behind three kinds: alone, over Gloo, and with NCCL for
// the tensors of GPUs.
#include "trainer/distributed/Communicator.h"

#include "runtime/support/Error.h"
#include "trainer/Device.h"
#include "trainer/cuda/Plugin.h"
#include "trainer/distributed/Heartbeat.h"

#include <ATen/ops/empty.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <unistd.h>

namespace fairy2::trainer {
namespace {

/// What one operation may take. Heartbeat finds dead ranks much sooner; this is
/// for a rank that writes a large checkpoint while the others wait.
constexpr std::chrono::minutes kPatience{30};
/// What all ranks may take to start.
constexpr std::chrono::minutes kMeeting{5};

class OneProcess : public Communicator {
public:
  OneProcess() : Communicator(0, 1) {}
  Pending startSum(at::Tensor) override {
    return [] {};
  }
  Pending startScatterSum(at::Tensor whole, at::Tensor own) override {
    own.copy_(whole);
    return [] {};
  }
  Pending startGather(at::Tensor own, at::Tensor whole) override {
    whole.copy_(own);
    return [] {};
  }
  void barrier() override {}
};

/// Ranks that meet at a TCP store: Gloo between CPUs, NCCL between GPUs.
class Group : public Communicator {
public:
  Group(int rank, int size, const std::string &host, uint16_t port,
        at::Device device)
      : Communicator(rank, size), device(device) {
    c10d::TCPStoreOptions options;
    options.port = port;
    // torchrun's agent may serve the meeting point itself.
    const char *agent = std::getenv("TORCHELASTIC_USE_AGENT_STORE");
    const bool served = agent && std::string_view(agent) == "True";
    options.isServer = rank == 0 && !served;
    options.waitWorkers = !served;
    options.numWorkers = size_t(size);
    options.timeout = kMeeting;
    store = c10::make_intrusive<c10d::TCPStore>(host, options);
    if (served) {
      const char *attempt = std::getenv("TORCHELASTIC_RESTART_COUNT");
      store = c10::make_intrusive<c10d::PrefixStore>(
          std::string("fairy2/") + (attempt ? attempt : "0"), store);
    }
    // NCCL's ranks meet at their first operation, and one that waits there
    // keeps its connection busy: the heartbeat needs another.
    backend = device.is_cuda()
                  ? cudaPlugin().makeNccl(store->clone(), rank, size, kPatience)
                  : makeGloo(host);
    heartbeat = std::make_unique<Heartbeat>(store, rank, size);
  }

  Pending startSum(at::Tensor tensor) override {
    countBytes(tensor, 2);
    std::vector<at::Tensor> tensors = {std::move(tensor)};
    return started([&] { return backend->allreduce(tensors); }, "sum");
  }
  Pending startScatterSum(at::Tensor whole, at::Tensor own) override {
    countBytes(whole, 1);
    return started([&] { return backend->_reduce_scatter_base(own, whole); },
                   "scattered sum");
  }
  Pending startGather(at::Tensor own, at::Tensor whole) override {
    countBytes(whole, 1);
    return started([&] { return backend->_allgather_base(whole, own); },
                   "gather");
  }
  void barrier() override { sums({0}); }

protected:
  at::Device tensorDevice() const override { return device; }

private:
  c10::intrusive_ptr<c10d::Backend> makeGloo(const std::string &host) const {
    auto options = c10d::ProcessGroupGloo::Options::create(kPatience);
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(
        host == "localhost" || host == "127.0.0.1" ? "127.0.0.1"
                                                   : ownAddress()));
    return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank(), size(),
                                                       options);
  }

  static std::string ownAddress() {
    char name[256] = "localhost";
    ::gethostname(name, sizeof name - 1);
    return name;
  }

  Pending started(const auto &start, const char *what) {
    const auto guarded = [this, what](const auto &action) {
      try {
        return action();
      } catch (const std::exception &error) {
        const std::string text = error.what(), dead = heartbeat->findDead();
        throw Error("rank " + std::to_string(rank()) + ": " +
                    (dead.empty() ? "" : dead + ": ") + what +
                    " over all ranks failed (" +
                    text.substr(0, text.find('\n')) + ")");
      }
    };
    return [guarded, work = guarded(start)] { guarded([&] { work->wait(); }); };
  }

  const at::Device device;
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::Backend> backend;
  std::unique_ptr<Heartbeat> heartbeat;
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

int64_t Communicator::sizeFromEnvironment() {
  constexpr int64_t kMostRanks = 1 << 16;
  if (const auto size = integerOf("WORLD_SIZE", 1, kMostRanks))
    return *size;
  return integerOf("SLURM_NTASKS", 1, kMostRanks).value_or(1);
}

int64_t Communicator::localRankFromEnvironment() {
  constexpr int64_t kMostLocal = 1 << 10;
  if (const auto rank = integerOf("LOCAL_RANK", 0, kMostLocal))
    return *rank;
  return integerOf("SLURM_LOCALID", 0, kMostLocal).value_or(0);
}

std::unique_ptr<Communicator> Communicator::fromEnvironment(at::Device device) {
  const int64_t size = sizeFromEnvironment();
  if (size == 1)
    return alone();
  auto rank = integerOf("RANK", 0, size - 1);
  if (!rank)
    rank = integerOf("SLURM_PROCID", 0, size - 1);
  if (!rank)
    throw Error("WORLD_SIZE is " + std::to_string(size) +
                ", but neither RANK nor SLURM_PROCID is set");
  const char *host = std::getenv("MASTER_ADDR");
  const auto port = integerOf("MASTER_PORT", 1, 65535);
  if (!host || !port)
    throw Error("WORLD_SIZE is " + std::to_string(size) +
                ", but MASTER_ADDR or MASTER_PORT is not set");
  // Where a rank is gone, c10d's warnings are pages of stack traces.
  if (!std::getenv("TORCH_CPP_LOG_LEVEL"))
    FLAGS_caffe2_log_level = c10::GLOG_ERROR;
  try {
    return std::make_unique<Group>(int(*rank), int(size), host, uint16_t(*port),
                                   device);
  } catch (const Error &) {
    throw;
  } catch (const std::exception &error) {
    const std::string text = error.what();
    throw Error("rank " + std::to_string(*rank) +
                ": cannot meet the others at " + host + ":" +
                std::to_string(*port) + ": " + text.substr(0, text.find('\n')));
  }
}

void Communicator::together(const std::string &otherRanksFailure,
                            const std::function<void()> &action) {
  std::string failure;
  try {
    action();
  } catch (const std::exception &error) {
    failure = error.what();
  }
  if (sums({double(!failure.empty())})[0] > 0)
    throw Error(failure.empty() ? otherRanksFailure : failure);
}

std::string Communicator::ofRankZero(const std::string &text) {
  const bool gives = rank() == 0;
  const auto size = size_t(sums({gives ? double(text.size()) : 0})[0]);
  std::vector<double> letters(size);
  if (gives)
    std::transform(text.begin(), text.end(), letters.begin(),
                   [](char letter) { return double(uint8_t(letter)); });
  letters = sums(letters);
  std::string result;
  for (const double letter : letters)
    result += char(uint8_t(letter));
  return result;
}

std::vector<double> Communicator::sums(const std::vector<double> &values) {
  if (size() == 1)
    return values;
  at::Tensor tensor = at::empty({int64_t(values.size())}, at::kDouble);
  auto *data = static_cast<double *>(tensor.data_ptr());
  std::copy(values.begin(), values.end(), data);
  const at::Tensor sum = tensor.to(tensorDevice());
  startSum(sum)();
  const at::Tensor result = sum.cpu();
  data = static_cast<double *>(result.data_ptr());
  return {data, data + values.size()};
}

} // namespace fairy2::trainer
