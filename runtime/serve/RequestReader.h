// SPDX-License-Identifier: Apache-2.0
//
// Bytes to requests, by Beast's parser, the checks of Head.h and, for chunks,
// ChunkedBody.h.
#pragma once

#include "runtime/serve/ChunkedBody.h"
#include "runtime/serve/Head.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace fairy2::serve {

class RequestReader {
public:
  explicit RequestReader(uint64_t maxBody) : maxBody(maxBody) {}

  /// Where the next bytes go; commit() tells how many came.
  boost::asio::mutable_buffer prepare(size_t bytes) {
    return buffer.prepare(bytes);
  }
  void commit(size_t bytes) { buffer.commit(bytes); }
  bool hasBytes() const { return buffer.size() > 0; }
  void dropBytes() { buffer.consume(buffer.size()); }

  enum class Step {
    More,  ///< the bytes do not suffice
    Head,  ///< method, target and fields are there, once per request
    Whole, ///< and the body
    Bad    ///< fault() says why; nothing after it is a request
  };
  /// Goes on with the bytes that are there.
  Step next();
  /// Before the next request.
  void restart();

  const HeadFault &fault() const { return *found; }
  /// Filled by Step::Head, its body by Step::Whole.
  HttpRequest &request() { return held; }
  int version() const { return int(parser->get().version()); }
  bool keepsAlive() const { return parser->keep_alive(); }
  bool isBodyLeft() const { return !parser || !parser->is_done(); }

private:
  std::string_view bytes() const;
  Step fail(int status, std::string message);
  Step failOnBody();
  Step readHead();
  Step readBody();
  Step readChunks();

  const uint64_t maxBody;
  boost::beast::flat_buffer buffer;
  std::optional<
      boost::beast::http::request_parser<boost::beast::http::string_body>>
      parser;                        ///< since the head is whole
  std::optional<ChunkedBody> chunks; ///< of a request that has them
  HttpRequest held;
  std::optional<HeadFault> found;
};

} // namespace fairy2::serve
