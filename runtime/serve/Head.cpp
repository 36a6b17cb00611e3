// SPDX-License-Identifier: Apache-2.0
//
// Heads of requests, checked, and of replies, written.
#include "runtime/serve/Head.h"

#include <algorithm>
#include <ctime>

namespace fairy2::serve {
namespace {

bool isEqualIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string dateNow() {
  const std::time_t now = std::time(nullptr);
  std::tm time;
  char text[32];
  gmtime_r(&now, &time);
  return {text,
          std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &time)};
}

} // namespace

size_t headSize(std::string_view bytes) {
  const size_t end = bytes.find("\r\n\r\n");
  return end == bytes.npos ? 0 : end + 4;
}

std::optional<HeadFault> faultOfBytes(std::string_view head) {
  size_t lines = 0;
  if (!head.empty() && !(head[0] >= 'A' && head[0] <= 'Z') &&
      !(head[0] >= 'a' && head[0] <= 'z'))
    return HeadFault{400, "request: expected HTTP/1.1, found other bytes"};
  for (size_t begin = 0, end; (end = head.find('\n', begin)) != head.npos;
       begin = end + 1) {
    if (end == begin || head[end - 1] != '\r')
      return HeadFault{400, "head: expected lines that end in CR LF"};
    if (begin > 0 && (head[begin] == ' ' || head[begin] == '\t'))
      return HeadFault{400, "head: expected each field in one line"};
    ++lines;
  }
  if (head.size() > kMostHeadBytes)
    return HeadFault{431, "head: expected at most " +
                              std::to_string(kMostHeadBytes) + " bytes"};
  // The first line and the empty one are no fields.
  if (lines > kMostFields + 2)
    return HeadFault{431, "head: expected at most " +
                              std::to_string(kMostFields) + " fields"};
  return {};
}

std::optional<HeadFault> faultOfFields(const HttpRequest &head, int version) {
  const auto bad = [](int status, const char *message) {
    return HeadFault{status, message};
  };
  if (head.count("host") > 1 || (version == 11 && head.count("host") == 0))
    return bad(400, "host: expected the field once");
  if (!head.target.starts_with('/') &&
      !(head.method == "OPTIONS" && head.target == "*"))
    return bad(400, "target: expected a path");
  const size_t codings = head.count("transfer-encoding");
  const size_t lengths = head.count("content-length");
  if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0))
    return bad(400, "content-length, transfer-encoding: expected one of them, "
                    "once");
  if (codings > 0 && version != 11)
    return bad(400, "transfer-encoding: expected none in HTTP/1.0");
  if (codings > 0 &&
      !isEqualIgnoringCase(*head.field("transfer-encoding"), "chunked"))
    return bad(501, "transfer-encoding: expected chunked");
  if (head.method == "POST" && codings + lengths == 0)
    return bad(411, "content-length: expected the field in a POST");
  if (const std::string *coding = head.field("content-encoding");
      coding && !isEqualIgnoringCase(*coding, "identity"))
    return bad(415, "content-encoding: expected none");
  if (const std::string *wish = head.field("expect");
      wish && !isEqualIgnoringCase(*wish, "100-continue"))
    return bad(417, "expect: expected 100-continue");
  return {};
}

std::string headOf(const HttpReply &reply, const HttpRequest &request,
                   std::optional<size_t> bodyBytes, bool isChunked,
                   bool stays) {
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + ' ';
  head += statusName(reply.status);
  const auto add = [&](std::string_view name, std::string_view value) {
    head.append("\r\n").append(name).append(": ").append(value);
  };
  add("Date", dateNow());
  add("x-request-id", request.id);
  add("X-Content-Type-Options", "nosniff");
  if (!reply.contentType.empty())
    add("Content-Type", reply.contentType);
  if (bodyBytes && reply.status != 204)
    add("Content-Length", std::to_string(*bodyBytes));
  if (isChunked)
    add("Transfer-Encoding", "chunked");
  bool hasCaching = false;
  for (const auto &[name, value] : reply.fields) {
    add(name, value);
    hasCaching = hasCaching || name == "Cache-Control";
  }
  if (!hasCaching)
    add("Cache-Control", "no-store");
  add("Connection", stays ? "keep-alive" : "close");
  return head += "\r\n\r\n";
}

} // namespace fairy2::serve
