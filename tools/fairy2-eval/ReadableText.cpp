// SPDX-License-Identifier: Apache-2.0
//
// Copies a pipe to a folder of its own in TMPDIR.
#include "tools/fairy2-eval/ReadableText.h"

#include "runtime/support/Bytes.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/StandardStreams.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <stdlib.h>

namespace fairy2 {

namespace fs = std::filesystem;

ReadableText::ReadableText(const std::string &path) : given(path), name(path) {
  std::error_code absent; // who opens it says so
  const fs::file_status status = fs::status(path, absent);
  if (!fs::is_fifo(status) && !fs::is_character_file(status) &&
      !fs::is_socket(status))
    return;
  const std::string text = readStream(path);
  std::string pattern = (fs::temp_directory_path(absent) / "fairy2-XXXXXX");
  {
    const SignalDelay together;
    if (!mkdtemp(pattern.data()))
      throw Error("TMPDIR: cannot make a temporary folder: " +
                  std::string(std::strerror(errno)));
    folder = Unfinished(pattern);
  }
  name = folder.path() / fs::path(path).filename();
  writeTextFile(name, text);
}

std::string ReadableText::asGiven(std::string text) const {
  for (size_t at = 0; name != given && (at = text.find(name, at)) != text.npos;
       at += given.size())
    text.replace(at, name.size(), given);
  return text;
}

} // namespace fairy2
