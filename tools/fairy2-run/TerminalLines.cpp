// SPDX-License-Identifier: Apache-2.0
//
// libedit with characters that we read, so that Ctrl-C wakes it.
#include "tools/fairy2-run/TerminalLines.h"

#include "runtime/support/Error.h"
#include "runtime/support/Unfinished.h"

#include <histedit.h>
#include <locale.h>

#include <atomic>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cwchar>
#include <utility>

#include <unistd.h>

namespace fairy2 {
namespace {

constexpr int kHistoryLines = 1000;

/// UTF-8, whatever the environment says: so is what the model writes.
class Utf8Scope {
public:
  Utf8Scope()
      : utf8(newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t(0))),
        before(uselocale(utf8)) {}
  ~Utf8Scope() {
    uselocale(before);
    if (utf8)
      freelocale(utf8);
  }
  Utf8Scope(const Utf8Scope &) = delete;
  Utf8Scope &operator=(const Utf8Scope &) = delete;

private:
  locale_t utf8, before;
};

/// The terminal's modes as they were found.
termios found;
void restoreModes() { tcsetattr(STDIN_FILENO, TCSANOW, &found); }

/// What is typed during an answer waits in the terminal's queue and is shown at
/// the next prompt; in the usual mode the end of a long line would be lost.
void keepWhatIsTyped() {
  termios modes;
  if (tcgetattr(STDIN_FILENO, &modes) != 0)
    return;
  modes.c_lflag &= ~tcflag_t(ICANON | ECHO);
  modes.c_cc[VMIN] = 1;
  modes.c_cc[VTIME] = 0;
  tcsetattr(STDIN_FILENO, TCSADRAIN, &modes);
}

std::atomic<bool> isResized = false, isContinued = false;

void onSignal(int signal) {
  (signal == SIGWINCH ? isResized : isContinued) = true;
}

std::string narrow(const wchar_t *text) {
  std::string narrowed;
  char bytes[MB_LEN_MAX];
  for (std::mbstate_t state = {}; *text; ++text)
    if (const size_t count = std::wcrtomb(bytes, *text, &state);
        count != size_t(-1))
      narrowed.append(bytes, count);
  return narrowed;
}

} // namespace

struct TerminalLines::Editor {
  FILE *output = stderr;
  EditLine *line = nullptr;
  HistoryW *history = nullptr;
  bool continues = false;
};

TerminalLines::TerminalLines(CtrlC &ctrlC)
    : ctrlC(ctrlC), editor(std::make_unique<Editor>()) {
  tcgetattr(STDIN_FILENO, &found);
  callOnSignal(restoreModes);
  struct sigaction action = {};
  action.sa_handler = onSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGWINCH, &action, nullptr);
  sigaction(SIGCONT, &action, nullptr);

  const Utf8Scope utf8;
  // Who redirects the standard error still sees what he types.
  if (!isatty(STDERR_FILENO))
    if (const char *name = ttyname(STDIN_FILENO))
      if (FILE *terminal = fopen(name, "we"))
        editor->output = terminal;
  editor->line = el_init("fairy2-run", stdin, editor->output, editor->output);
  if (!editor->line)
    throw Error("standard input: libedit cannot use this terminal");
  el_wset(editor->line, EL_CLIENTDATA, this);
  el_wset(editor->line, EL_EDITOR, L"emacs");
  el_wset(editor->line, EL_BIND, L"^I", L"ed-insert", nullptr); // is pasted
  el_source(editor->line, nullptr);
  el_wset(editor->line, EL_SIGNAL, 0);
  el_wset(
      editor->line, EL_PROMPT, +[](EditLine *line) {
        void *self = nullptr;
        el_wget(line, EL_CLIENTDATA, &self);
        static wchar_t first[] = L"> ", more[] = L". ";
        return static_cast<TerminalLines *>(self)->editor->continues ? more
                                                                     : first;
      });
  el_wset(
      editor->line, EL_GETCFN, +[](EditLine *line, wchar_t *character) {
        void *self = nullptr;
        el_wget(line, EL_CLIENTDATA, &self);
        return static_cast<TerminalLines *>(self)->nextCharacter(*character);
      });
  editor->history = history_winit();
  HistEventW unused;
  history_w(editor->history, &unused, H_SETSIZE, kHistoryLines);
  history_w(editor->history, &unused, H_SETUNIQUE, 1);
  el_wset(editor->line, EL_HIST, history_w, editor->history);
}

TerminalLines::~TerminalLines() {
  if (editor->history)
    history_wend(editor->history);
  if (editor->line)
    el_end(editor->line);
  if (editor->output != stderr)
    fclose(editor->output);
  std::signal(SIGWINCH, SIG_DFL);
  std::signal(SIGCONT, SIG_DFL);
  callOnSignal(nullptr);
  restoreModes();
}

/// After another size, or another program's turn at the terminal.
void TerminalLines::changeModes() {
  if (isResized.exchange(false))
    el_resize(editor->line);
  if (isContinued.exchange(false)) {
    el_wset(editor->line, EL_PREP_TERM, 0);
    el_wset(editor->line, EL_PREP_TERM, 1);
    el_wset(editor->line, EL_REFRESH);
  }
}

int TerminalLines::nextCharacter(wchar_t &character) {
  try {
    std::mbstate_t state = {};
    while (true) {
      while (at == count) {
        changeModes();
        at = count = 0;
        event = waitForInput(STDIN_FILENO, ctrlC, bytes, sizeof bytes, count);
        if (event != Event::Line)
          return -1;
      }
      const size_t used = std::mbrtowc(&character, &bytes[at++], 1, &state);
      if (used == size_t(-2))
        continue;
      if (used == size_t(-1))
        character = 0xfffd; // as who decodes UTF-8 shows what is none
      return 1;
    }
  } catch (...) { // not through libedit, which is C
    error = std::current_exception();
    return -1;
  }
}

LineSource::Event TerminalLines::next(bool continues, std::string &line) {
  const Utf8Scope utf8;
  editor->continues = continues;
  event = Event::Line;
  int length = 0;
  restoreModes(); // which libedit expects
  // Or it would change them after the prompt is seen, and what is typed between
  // the two, Ctrl-D above all, means something else.
  el_wset(editor->line, EL_PREP_TERM, 1);
  const wchar_t *typed = el_wgets(editor->line, &length);
  keepWhatIsTyped();
  if (error)
    std::rethrow_exception(std::exchange(error, nullptr));
  if (!typed) {
    std::fputc('\n', editor->output);
    std::fflush(editor->output);
    return event == Event::Interrupt ? event : Event::End; // Ctrl-D
  }
  line = narrow(typed);
  while (line.ends_with('\n') || line.ends_with('\r'))
    line.pop_back();
  if (!line.empty()) {
    HistEventW unused;
    history_w(editor->history, &unused, H_ENTER, typed);
  }
  return Event::Line;
}

} // namespace fairy2
