// SPDX-License-Identifier: Apache-2.0
//
// A group, as programs started by the work may start others; its leader gets
// SIGTERM first, as LLVM removes its temporary files on that.
#include "tools/fairy2-reduce/RunInGroup.h"

#include "runtime/support/Error.h"
#include "runtime/support/Unfinished.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fairy2 {
namespace {

std::atomic<pid_t> leader = 0;

void endGroup() {
  const pid_t group = leader.exchange(0);
  if (group == 0)
    return;
  kill(-group, SIGTERM);
  kill(-group, SIGCONT); // a stopped process gets no other signal
  siginfo_t info;
  // Unreaped, the leader keeps the group's number from being used again.
  while (waitid(P_PID, id_t(group), &info, WEXITED | WNOWAIT) < 0 &&
         errno == EINTR) {
  }
  kill(-group, SIGKILL);
}

void stopWithGroup(int) {
  const int error = errno;
  if (const pid_t group = leader) {
    kill(-group, SIGSTOP);
    raise(SIGSTOP);
    kill(-group, SIGCONT);
  }
  errno = error;
}

void startLeader() {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  // The terminal belongs to the parent's group: what reads it gets an error
  // instead of being stopped for ever.
  std::signal(SIGTTIN, SIG_IGN);
  std::signal(SIGTTOU, SIG_IGN);
  cleanUpOnSignals();
}

} // namespace

int runInGroup(const std::function<int()> &work) {
  pid_t child = 0;
  {
    const SignalDelay together;
    child = fork();
    if (child < 0)
      throw Error(std::string("cannot start a process: ") +
                  std::strerror(errno));
    if (child > 0) {
      setpgid(child, child); // whoever comes first
      leader = child;
      callOnSignal(endGroup);
      struct sigaction stop = {};
      stop.sa_handler = stopWithGroup;
      stop.sa_flags = SA_RESTART;
      sigaction(SIGTSTP, &stop, nullptr);
    }
  }
  if (child == 0) {
    startLeader();
    return work();
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  leader = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace fairy2
