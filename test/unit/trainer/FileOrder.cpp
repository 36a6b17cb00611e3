// SPDX-License-Identifier: Apache-2.0
//
// Loaded before the C library: writes down the order in which a program makes
// files durable, renames and removes them.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <dlfcn.h>
#include <unistd.h>

namespace {

void note(const std::string &line) {
  if (FILE *file = std::fopen(std::getenv("FAIRY2_FILE_ORDER"), "a")) {
    std::fprintf(file, "%s\n", line.c_str());
    std::fclose(file);
  }
}

template <typename Function> Function *next(const char *name) {
  return reinterpret_cast<Function *>(::dlsym(RTLD_NEXT, name));
}

} // namespace

extern "C" int fsync(int descriptor) {
  char path[4096];
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t size = ::readlink(link.c_str(), path, sizeof path);
  note("fsync " + std::string(path, size > 0 ? size_t(size) : 0));
  return next<int(int)>("fsync")(descriptor);
}

extern "C" int rename(const char *from, const char *to) noexcept {
  note("rename " + std::string(from) + " " + to);
  return next<int(const char *, const char *)>("rename")(from, to);
}

extern "C" int remove(const char *path) noexcept {
  note("remove " + std::string(path));
  return next<int(const char *)>("remove")(path);
}
