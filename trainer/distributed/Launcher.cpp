// SPDX-License-Identifier: Apache-2.0
//
// Starts one process per rank and waits for them; each hears a pulse, so that a
// launcher that stands still is noticed as any rank is.
#include "trainer/distributed/Launcher.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "trainer/distributed/Heartbeat.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fairy2::trainer {
namespace {

/// Seconds between asking the other processes to end and ending them.
constexpr unsigned kGrace = 5;

volatile std::sig_atomic_t signalToPass = 0;

void remember(int signal) { signalToPass = signal; }
void wake(int) {}

/// A TCP port that nobody listens on now.
int freePort() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (socket < 0 ||
      ::bind(socket, reinterpret_cast<sockaddr *>(&address), size) != 0 ||
      ::getsockname(socket, reinterpret_cast<sockaddr *>(&address), &size) != 0)
    throw Error(std::string("cannot find a free port: ") +
                std::strerror(errno));
  ::close(socket);
  return ntohs(address.sin_port);
}

/// The program's own file: started by that name, it is listed by it too.
std::string ownFile() {
  constexpr const char *kLink = "/proc/self/exe";
  std::error_code error;
  const auto file = std::filesystem::read_symlink(kLink, error);
  return !error && std::filesystem::exists(file, error) ? file.string() : kLink;
}

/// A pipe whose writing end waits for nobody.
struct Pulse {
  FileDescriptor read, write;

  Pulse() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
      throw Error(std::string("cannot make a pipe: ") + std::strerror(errno));
    read = FileDescriptor(ends[0]);
    write = FileDescriptor(ends[1]);
  }
};

/// Writes to all pipes once a second, from its making to its end.
class Pulses {
public:
  explicit Pulses(const std::vector<Pulse> &pipes) : pipes(pipes) {
    // A rank that is gone reads no more.
    std::signal(SIGPIPE, SIG_IGN);
    thread = std::thread([this] { beat(); });
  }
  ~Pulses() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    thread.join();
  }

private:
  void beat() {
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, std::chrono::seconds(1),
                          [this] { return stopping; }))
      for (const Pulse &pipe : pipes)
        // A full pipe has enough of it.
        (void)!::write(pipe.write.get(), "", 1);
  }

  const std::vector<Pulse> &pipes;
  std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;
  std::thread thread;
};

pid_t start(int rank, int processes, int port, const Pulse &pulse,
            char **argv) {
  const std::string program = ownFile();
  const pid_t launcher = ::getpid();
  const pid_t child = ::fork();
  if (child < 0)
    throw Error(std::string("cannot start a process: ") + std::strerror(errno));
  if (child != 0)
    return child;
  // A launcher that is killed leaves nobody who could be told to stop.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != launcher)
    std::_Exit(127);
  ::fcntl(pulse.read.get(), F_SETFD, 0);
  ::setenv(kLauncherPulse, std::to_string(pulse.read.get()).c_str(), 1);
  ::setenv("RANK", std::to_string(rank).c_str(), 1);
  ::setenv("LOCAL_RANK", std::to_string(rank).c_str(), 1);
  ::setenv("WORLD_SIZE", std::to_string(processes).c_str(), 1);
  ::setenv("MASTER_ADDR", "127.0.0.1", 1);
  // Ranks share the cores, unless somebody has decided otherwise.
  const unsigned cores = std::thread::hardware_concurrency();
  ::setenv("OMP_NUM_THREADS",
           std::to_string(std::max(1u, cores / unsigned(processes))).c_str(),
           0);
  ::setenv("MASTER_PORT", std::to_string(port).c_str(), 1);
  ::execv(program.c_str(), argv);
  std::_Exit(127);
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler; // and no SA_RESTART: waitpid() must wake up
  ::sigaction(signal, &action, nullptr);
}

void tellAll(const std::vector<pid_t> &children, int signal) {
  for (const pid_t child : children)
    if (child > 0)
      ::kill(child, signal);
}

std::string describeStatus(int status) {
  return WIFSIGNALED(status)
             ? "was ended by signal " + std::to_string(WTERMSIG(status))
             : "failed with exit status " + std::to_string(WEXITSTATUS(status));
}

} // namespace

int launch(int processes, char **argv) {
  const int port = freePort();
  handle(SIGTERM, remember);
  handle(SIGINT, remember);
  if (std::signal(SIGHUP, SIG_IGN) != SIG_IGN) // nohup's, which stays
    handle(SIGHUP, remember);
  handle(SIGALRM, wake);
  const std::vector<Pulse> pipes(static_cast<size_t>(processes));
  std::vector<pid_t> children;
  for (int rank = 0; rank < processes; ++rank)
    children.push_back(start(rank, processes, port, pipes[size_t(rank)], argv));
  const Pulses pulses(pipes);
  int result = 0;
  bool stopping = false; // on a signal, and then not zero is no failure
  for (int running = processes; running > 0;) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, 0);
    if (ended < 0) {
      if (signalToPass) {
        tellAll(children, signalToPass);
        stopping = true;
      } else if (result != 0)
        tellAll(children, SIGKILL); // the grace is over
      signalToPass = 0;
      continue;
    }
    --running;
    for (size_t rank = 0; rank < children.size(); ++rank) {
      if (children[rank] != ended)
        continue;
      children[rank] = 0;
      if (status == 0 || result != 0)
        continue;
      result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
      if (stopping)
        continue;
      // One that failed with 1 has said why; one that stopped, as well.
      if (WIFSIGNALED(status) || (result != 1 && result != kStoppedExit))
        std::fprintf(stderr, "\nrank %zu %s\n", rank,
                     describeStatus(status).c_str());
      tellAll(children, SIGTERM);
      ::alarm(kGrace);
    }
  }
  return result;
}

} // namespace fairy2::trainer
