// SPDX-License-Identifier: Apache-2.0
//
// The standard streams of a program, whatever state a caller left them in.
#pragma once

#include <string>
#include <string_view>

namespace fairy2 {

/// Opens those of the descriptors 0, 1 and 2 that are closed: reading gives the
/// end of a file, writing an error. Every main calls it first; otherwise the
/// next file a program opens gets such a number, and takes what was meant for
/// the stream. A write beyond the limit of a file's size fails from then on.
void openStandardStreams();

/// Writes out what std::cout and stdout hold. Throws Error when anything
/// written to either was lost.
void flushStandardOutput();

/// All of the text in the standard input, or in the file at `path`, which may
/// be a pipe or /dev/fd/N. Throws Error, also for more than 1 GiB; what is no
/// text (PlainText.h) is not read further than the place where that shows. Data
/// that begins with `magic`, if that is given, need be no text.
std::string readStandardInput(std::string_view magic = {});
std::string readStream(const std::string &path, std::string_view magic = {});

} // namespace fairy2
