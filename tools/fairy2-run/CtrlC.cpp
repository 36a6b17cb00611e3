// SPDX-License-Identifier: Apache-2.0
//
// The handler writes to an eventfd, on which whoever waits for input polls.
#include "tools/fairy2-run/CtrlC.h"

#include "runtime/support/Error.h"

#include <cerrno>
#include <csignal>

#include <sys/eventfd.h>
#include <unistd.h>

namespace fairy2 {
namespace {

std::atomic<bool> isPressed = false;
std::atomic<int> event = -1;
struct sigaction previous;
static_assert(std::atomic<bool>::is_always_lock_free &&
              std::atomic<int>::is_always_lock_free);

void onSignal(int) {
  const int error = errno;
  isPressed = true;
  eventfd_write(event, 1);
  errno = error;
}

} // namespace

CtrlC::CtrlC() {
  event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0)
    throw Error("Ctrl-C: cannot get a descriptor to wait for it");
  isPressed = false;
  struct sigaction action = {};
  action.sa_handler = onSignal;
  // A write of the answer goes on; poll is never restarted, so waiting ends.
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &previous);
}

CtrlC::~CtrlC() {
  sigaction(SIGINT, &previous, nullptr);
  close(event.exchange(-1));
}

const std::atomic<bool> &CtrlC::pressed() const { return isPressed; }

int CtrlC::descriptor() const { return event; }

void CtrlC::clear() {
  eventfd_t count;
  eventfd_read(event, &count);
  isPressed = false;
}

} // namespace fairy2
