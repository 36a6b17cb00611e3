// SPDX-License-Identifier: Apache-2.0
//
// The files as CMake embeds them; g++ 12 has no #embed.
#include "runtime/serve/Page.h"

#include <algorithm>

namespace fairy2::serve {
namespace {

#include "runtime/serve/PageFiles.cpp.inc"

} // namespace

std::span<const PageFile> pageFiles() { return kPageFiles; }

const PageFile *pageFileAt(std::string_view path) {
  const auto found = std::ranges::find(kPageFiles, path, &PageFile::path);
  return found == std::end(kPageFiles) ? nullptr : found;
}

} // namespace fairy2::serve
