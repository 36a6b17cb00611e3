// SPDX-License-Identifier: Apache-2.0
//
// Bodies in chunks, whole and byte by byte.
#include "runtime/serve/ChunkedBody.h"

#include <gtest/gtest.h>

#include <string>

using fairy2::serve::ChunkedBody;
using Step = ChunkedBody::Step;

namespace {

struct Told {
  Step step;
  std::string text, rest;
  bool operator==(const Told &) const = default;
};

/// With `piece` bytes more every time.
Told told(std::string_view all, size_t piece) {
  ChunkedBody body(100);
  size_t taken = 0;
  for (size_t end = std::min(piece, all.size());;
       end = std::min(end + piece, all.size())) {
    std::string_view bytes = all.substr(taken, end - taken);
    const Step step = body.take(bytes);
    taken = end - bytes.size();
    if (step != Step::More || end == all.size())
      return {step, step == Step::Whole ? body.text() : "",
              step == Step::Whole ? std::string(all.substr(taken)) : ""};
  }
}

TEST(ChunkedBodyTest, VerdictsDoNotDependOnPieces) {
  const std::string line(4096, 'x');
  const struct {
    std::string bytes;
    Told expected;
  } cases[] = {
      {"0\r\n\r\n", {Step::Whole, "", ""}},
      {"3\r\nabc\r\n0\r\n\r\nGET", {Step::Whole, "abc", "GET"}},
      {"3\r\na\r\n\r\n00A\r\n0123456789\r\n0\r\n\r\n",
       {Step::Whole, "a\r\n0123456789", ""}},
      {"3;a=\"\r\nabc\r\n0\r\n\r\n", {Step::Whole, "abc", ""}},
      {"3 ;a\r\nabc\r\n0;b\r\nX: y\r\nZ: w\r\n\r\n", {Step::Whole, "abc", ""}},
      {"64\r\n" + std::string(100, 'a') + "\r\n0\r\n\r\n",
       {Step::Whole, std::string(100, 'a'), ""}},
      {"65\r\n", {Step::TooLong, "", ""}},
      {"63\r\n" + std::string(99, 'a') + "\r\n2\r\n", {Step::TooLong, "", ""}},
      {"FFFFFFFFFFFFFFFF\r\n", {Step::TooLong, "", ""}},
      {"10000000000000000\r\n", {Step::Bad, "", ""}},
      {"-2\r\nab", {Step::Bad, "", ""}},
      {"0x3\r\nabc", {Step::Bad, "", ""}},
      {" 3\r\nabc", {Step::Bad, "", ""}},
      {"3 \r\nabc", {Step::Bad, "", ""}},
      {"\r\nabc", {Step::Bad, "", ""}},
      {"3\nabc\r\n", {Step::Bad, "", ""}},
      {"3\rabc\r\n", {Step::Bad, "", ""}},
      {"3\r\nabcd\r\n", {Step::Bad, "", ""}},
      {"3;" + line + "\r\nabc", {Step::Bad, "", ""}},
      {"3;" + line, {Step::Bad, "", ""}},
      {"0\r\nX: y\n\r\n", {Step::Bad, "", ""}},
      {"0\r\n" + line + "\r\n" + line + "\r\n" + line + "\r\n" + line +
           "\r\n\r\n",
       {Step::Bad, "", ""}},
      {"3\r\nabc", {Step::More, "", ""}},
      {"3\r\nabc\r\n0\r\n", {Step::More, "", ""}},
      {"3;a=\"", {Step::More, "", ""}},
  };
  for (const auto &[bytes, expected] : cases)
    for (const size_t piece : {size_t(1), size_t(2), size_t(7), bytes.size()})
      EXPECT_EQ(told(bytes, piece), expected)
          << bytes.substr(0, 40) << ", " << piece << " at a time";
}

} // namespace
