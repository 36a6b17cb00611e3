// SPDX-License-Identifier: Apache-2.0
//
// Work that starts programs which this one does not know: they must not outlive
// it.
#pragma once

#include <functional>

namespace fairy2 {

/// Does the work in a child process that leads a process group of its own,
/// and returns its exit code (128 and the number of a signal that ended it). A
/// signal that ends this process ends the group, Ctrl-Z stops it. Needs
/// cleanUpOnSignals and a process without other threads; throws Error where no
/// process can be made.
int runInGroup(const std::function<int()> &work);

} // namespace fairy2
