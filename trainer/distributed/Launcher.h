// SPDX-License-Identifier: Apache-2.0
//
// Several processes of one run on this machine, without torchrun: --nproc N.
#pragma once

namespace fairy2::trainer {

/// The exit status of a process that was told to stop and saved its state.
inline constexpr int kStoppedExit = 3;

/// Starts `processes` copies of the running program with the same arguments and
/// the environment that Communicator::fromEnvironment() reads, and waits for
/// them. When one fails, names it and ends the others. SIGTERM, SIGINT and
/// SIGHUP are passed on. Returns the exit status: the first one that is not 0.
/// Throws Error.
int launch(int processes, char **argv);

} // namespace fairy2::trainer
