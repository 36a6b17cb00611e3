// SPDX-License-Identifier: Apache-2.0
//
// Writes the fake model to a path, for tests that are not C++.
#include "test/unit/runtime/FakeModel.h"

#include <cstdio>

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s OUTPUT\n", argv[0]);
    return 2;
  }
  fairy2::test::writeFakeModel(argv[1]);
  return 0;
}
