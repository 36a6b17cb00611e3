// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: bytes of a connection, in one piece and byte by byte, as routed
// requests. Both ways give the same ones, nothing follows what is none, and no
// reply's head has lines that the client wrote.
#include "runtime/serve/ApiError.h"
#include "runtime/serve/RequestReader.h"
#include "runtime/serve/Router.h"
#include "test/fuzz/Fuzzer.h"

#include <algorithm>
#include <cstring>
#include <vector>

using namespace fairy2::fuzz;
using namespace fairy2::serve;

namespace {

constexpr uint64_t kMaxBody = 2048;

/// What the bytes say: a line for each request, and the fault at their end.
std::vector<std::string> read(std::string_view input, size_t piece) {
  RequestReader reader(kMaxBody);
  std::vector<std::string> found;
  while (!input.empty()) {
    const size_t size = std::min(piece, input.size());
    std::memcpy(reader.prepare(size).data(), input.data(), size);
    reader.commit(size);
    input.remove_prefix(size);
    while (true) {
      const RequestReader::Step step = reader.next();
      if (step == RequestReader::Step::More)
        break;
      if (step == RequestReader::Step::Head)
        continue;
      if (step == RequestReader::Step::Bad) {
        REQUIRE(reader.fault().status >= 400 && reader.fault().status < 600);
        found.push_back("bad");
        return found;
      }
      const HttpRequest &request = reader.request();
      REQUIRE(request.count("host") <= 1 && request.body.size() <= kMaxBody);
      REQUIRE(request.fields.size() <= kMostFields);
      const RouteInfo &route = routeOf(request.target);
      const auto refused = refuseRoute(route, request);
      const std::string head =
          headOf(refused.value_or(HttpReply{}), request, 0, false, true);
      REQUIRE(headSize(head) == head.size());
      found.push_back(request.method + " " + request.target + " " +
                      std::to_string(int(route.route)) + " " + request.body);
      reader.restart();
      if (!reader.hasBytes())
        break;
    }
  }
  return found;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view input = textOf(data, size);
  REQUIRE(read(input, input.size()) == read(input, 1));
  return 0;
}
