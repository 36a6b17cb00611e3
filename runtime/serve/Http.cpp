// SPDX-License-Identifier: Apache-2.0
//
// Fields of a request, names of statuses.
#include "runtime/serve/Http.h"

#include <algorithm>

namespace fairy2::serve {

const std::string *HttpRequest::field(std::string_view name) const {
  const auto found = std::ranges::find(
      fields, name, &std::pair<std::string, std::string>::first);
  return found == fields.end() ? nullptr : &found->second;
}

size_t HttpRequest::count(std::string_view name) const {
  return size_t(std::ranges::count(
      fields, name, &std::pair<std::string, std::string>::first));
}

std::string_view statusName(int status) {
  switch (status) {
  case 200:
    return "OK";
  case 204:
    return "No Content";
  case 400:
    return "Bad Request";
  case 401:
    return "Unauthorized";
  case 403:
    return "Forbidden";
  case 404:
    return "Not Found";
  case 405:
    return "Method Not Allowed";
  case 408:
    return "Request Timeout";
  case 411:
    return "Length Required";
  case 413:
    return "Content Too Large";
  case 415:
    return "Unsupported Media Type";
  case 417:
    return "Expectation Failed";
  case 431:
    return "Request Header Fields Too Large";
  case 501:
    return "Not Implemented";
  case 503:
    return "Service Unavailable";
  default:
    return "Internal Server Error";
  }
}

} // namespace fairy2::serve
