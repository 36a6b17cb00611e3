// SPDX-License-Identifier: Apache-2.0
//
// Masked CRC-32C around each frame, and varints by hand.
#include "trainer/run/TensorBoard.h"

#include "runtime/support/Error.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include <unistd.h>

namespace fairy2::trainer {
namespace {

constexpr std::array<uint32_t, 256> makeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit)
      value = value >> 1 ^ (value & 1 ? 0x82f63b78u : 0);
    table[i] = value;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = makeTable();

/// TFRecord's checksum of a checksum's own bytes would be weak; so it rotates.
uint32_t maskedCrc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

template <typename T> std::string raw(T value) {
  return {reinterpret_cast<const char *>(&value), sizeof value};
}

std::string varint(uint64_t value) {
  std::string text;
  for (; value >= 128; value >>= 7)
    text += char(value | 128);
  return text + char(value);
}

// Fields of a protobuf message, by wire type.
std::string doubleField(int number, double value) {
  return char(number << 3 | 1) + raw(value);
}
std::string integerField(int number, int64_t value) {
  return char(number << 3) + varint(uint64_t(value));
}
std::string bytesField(int number, const std::string &bytes) {
  return char(number << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string floatField(int number, float value) {
  return char(number << 3 | 5) + raw(value);
}

double now() {
  return std::chrono::duration<double>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Tells a run's files from those of other programs.
constexpr const char *kSuffix = ".fairy2";

std::string fileName() {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  return "events.out.tfevents." + std::to_string(int64_t(now())) + "." + host +
         "." + std::to_string(::getpid()) + kSuffix;
}

} // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char byte : bytes)
    crc = crc >> 8 ^ kTable[(crc ^ uint8_t(byte)) & 255];
  return ~crc;
}

TensorBoard::TensorBoard(const std::filesystem::path &folder, int64_t firstStep)
    : path((folder / fileName()).string()),
      out(std::fopen(path.c_str(), "wb"), &std::fclose) {
  if (!out)
    throw Error(path + ": cannot open to write: " + std::strerror(errno));
  // Event { wall_time = 1, file_version = 3 }
  record(doubleField(1, now()) + bytesField(3, "brain.Event:2"));
  // Event { wall_time = 1, step = 2, session_log = 7 { status = 1: START } }
  record(doubleField(1, now()) + integerField(2, firstStep) +
         bytesField(7, integerField(1, 1)));
}

void TensorBoard::removeEvents(const std::filesystem::path &folder) {
  std::error_code kept;
  std::vector<std::filesystem::path> own;
  for (const auto &entry : std::filesystem::directory_iterator(folder, kept))
    if (entry.path().extension() == kSuffix)
      own.push_back(entry.path());
  for (const std::filesystem::path &file : own)
    std::filesystem::remove(file, kept);
  std::filesystem::remove(folder, kept); // when it is empty
}

void TensorBoard::scalar(const std::string &tag, int64_t step, float value) {
  // Event { wall_time = 1, step = 2, summary = 5 { value = 1 { tag = 1,
  // simple_value = 2 } } }
  record(
      doubleField(1, now()) + integerField(2, step) +
      bytesField(5, bytesField(1, bytesField(1, tag) + floatField(2, value))));
}

void TensorBoard::record(const std::string &event) {
  const std::string size = raw(uint64_t(event.size()));
  const std::string frame =
      size + raw(maskedCrc(size)) + event + raw(maskedCrc(event));
  if (std::fwrite(frame.data(), 1, frame.size(), out.get()) != frame.size() ||
      std::fflush(out.get()) != 0)
    throw Error(path + ": cannot write: " + std::strerror(errno));
}

} // namespace fairy2::trainer
