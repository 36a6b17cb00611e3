// SPDX-License-Identifier: Apache-2.0
//
// The head is looked at before Beast gets it, since its parser hides folded
// lines, and waits where a line ends in LF alone.
#include "runtime/serve/RequestReader.h"

#include <algorithm>
#include <utility>

namespace fairy2::serve {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

std::string_view RequestReader::bytes() const {
  return {static_cast<const char *>(buffer.data().data()), buffer.size()};
}

RequestReader::Step RequestReader::fail(int status, std::string message) {
  found = HeadFault{status, std::move(message)};
  return Step::Bad;
}

RequestReader::Step RequestReader::failOnBody() {
  return fail(413,
              "body: expected at most " + std::to_string(maxBody) + " bytes");
}

void RequestReader::restart() {
  parser.reset();
  chunks.reset();
  held = {};
}

RequestReader::Step RequestReader::next() {
  if (parser)
    return chunks ? readChunks() : readBody();
  while (bytes().starts_with("\r\n")) // which some send after a body
    buffer.consume(2);
  const size_t size = headSize(bytes());
  if (bytes() != "\r")
    if (auto fault =
            faultOfBytes(bytes().substr(0, size ? size : bytes().npos)))
      return fail(fault->status, std::move(fault->message));
  return size > 0 ? readHead() : Step::More;
}

RequestReader::Step RequestReader::readHead() {
  parser.emplace();
  parser->header_limit(uint32_t(kMostHeadBytes));
  parser->body_limit(maxBody);
  error_code error;
  const size_t size = headSize(bytes());
  buffer.consume(parser->put(asio::buffer(buffer.data(), size), error));
  const auto &head = parser->get();
  held.method = std::string(head.method_string());
  held.target = std::string(head.target());
  if (error == http::error::body_limit)
    return failOnBody();
  if (error || !parser->is_header_done())
    return fail(400, "head: expected a request of HTTP/1.1");
  for (const auto &field : head) {
    std::string name(field.name_string());
    std::ranges::transform(name, name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
    });
    held.fields.emplace_back(std::move(name), std::string(field.value()));
  }
  if (auto fault = faultOfFields(held, version()))
    return fail(fault->status, std::move(fault->message));
  parser->eager(true);
  if (parser->chunked())
    chunks.emplace(maxBody);
  return Step::Head;
}

RequestReader::Step RequestReader::readBody() {
  error_code error;
  while (!parser->is_done() && buffer.size() > 0 && !error) {
    const size_t used = parser->put(buffer.data(), error);
    buffer.consume(used);
    if (used == 0)
      break;
  }
  if (error == http::error::body_limit)
    return failOnBody();
  if (error && error != http::error::need_more)
    return fail(400, "body: expected what the head tells");
  if (!parser->is_done())
    return Step::More;
  held.body = std::move(parser->get().body());
  return Step::Whole;
}

RequestReader::Step RequestReader::readChunks() {
  std::string_view rest = bytes();
  const size_t size = rest.size();
  const ChunkedBody::Step step = chunks->take(rest);
  buffer.consume(size - rest.size());
  switch (step) {
  case ChunkedBody::Step::More:
    return Step::More;
  case ChunkedBody::Step::TooLong:
    return failOnBody();
  case ChunkedBody::Step::Bad:
    return fail(400, "body: expected chunks of HTTP/1.1");
  case ChunkedBody::Step::Whole:
    break;
  }
  held.body = std::move(chunks->text());
  return Step::Whole;
}

} // namespace fairy2::serve
