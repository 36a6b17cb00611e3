// SPDX-License-Identifier: Apache-2.0
//
// Files that are part of the program: the page, and the description of the API.
#pragma once

#include <span>
#include <string_view>

namespace fairy2::serve {

struct PageFile {
  std::string_view path; ///< as a request names it
  std::string_view contentType, content;
};

std::span<const PageFile> pageFiles();
/// nullptr when there is none.
const PageFile *pageFileAt(std::string_view path);

} // namespace fairy2::serve
