// SPDX-License-Identifier: Apache-2.0
//
// One loop of reads feeds Beast's parser between requests, and shows during a
// reply that the client has left. Replies wait in one queue of bounded length.
#include "runtime/serve/Connection.h"

#include "runtime/serve/RequestReader.h"

#include <boost/asio/buffer.hpp>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <type_traits>

#include <sys/ioctl.h>

namespace fairy2::serve {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr size_t kReadBytes = 16 << 10;
constexpr size_t kHighMark = 64 << 10, kLowMark = 16 << 10;
/// How long a client that is refused in the midst of its body may go on
/// sending, so that it comes to read the reply.
constexpr milliseconds kLinger{1000};

template <typename Stream>
class Connection final
    : public ConnectionBase,
      public std::enable_shared_from_this<Connection<Stream>> {
public:
  Connection(ConnectionOwner &owner, Stream stream)
      : owner(owner), stream(std::move(stream)),
        timer(this->stream.get_executor()), stall(this->stream.get_executor()),
        reader(owner.options.maxBody) {
    error_code error;
    peer = socket().remote_endpoint(error).address().to_string();
  }

  void start() override;
  void close() override;
  bool isBusy() const override {
    return state == State::Reading || state == State::Answering;
  }
  TimePoint idleSince() const override {
    return state == State::Idle ? since : TimePoint::max();
  }

private:
  static constexpr bool kEncrypts = !std::is_same_v<Stream, tcp::socket>;
  enum class State { Handshake, Idle, Reading, Answering, Lingering, Closed };
  using Self = std::shared_ptr<Connection>;

  class ThisExchange final : public Exchange {
  public:
    explicit ThisExchange(const Self &connection) : connection(connection) {}
    void reply(HttpReply reply) override {
      if (const Self self = live())
        self->replyWhole(reply);
    }
    void begin(HttpReply head) override {
      if (const Self self = live())
        self->beginReply(head);
    }
    void send(std::string_view piece) override {
      if (const Self self = live())
        self->sendPiece(piece);
    }
    void end() override {
      if (const Self self = live())
        self->endReply();
    }

  private:
    Self live() const {
      const Self self = connection.lock();
      return self && self->exchange.get() == this ? self : nullptr;
    }
    const std::weak_ptr<Connection> connection;
  };

  auto &socket() { return stream.lowest_layer(); }
  void setTimer(milliseconds time);
  void onTimer();
  void read();
  void onRead(error_code error, size_t bytes);
  void waitForRequest();
  void parse();
  std::optional<HttpReply> judgeHead();
  void name(HttpRequest &head);
  void answer();
  void refuse(int status, const std::string &message);
  void replyWhole(const HttpReply &reply);
  void beginReply(const HttpReply &head);
  void sendPiece(std::string_view piece);
  void endReply();
  void write();
  void onWritten(error_code error, size_t bytes);
  void watchStall();
  void onReplyWritten();
  void linger();
  void tellFinished();
  void tellGone(std::string_view reason);

  ConnectionOwner &owner;
  Stream stream;
  asio::steady_timer timer, stall;
  std::string peer;
  State state = State::Handshake;
  TimePoint since;
  RequestReader reader;
  HttpRequest request; ///< that is answered, without its body
  std::shared_ptr<ThisExchange> exchange; ///< until its reply's end
  std::string outgoing, queued;           ///< is written, will be written
  size_t written = 0;                     ///< of `outgoing`
  int unsent = 0;                         ///< in the kernel, when last seen
  int status = 0;
  uint64_t bodyBytes = 0;
  bool isReading = false, isWriting = false, isSlow = false;
  bool hasRequest = false; ///< whose end is not told yet
  bool isChunked = false, stays = true, isEnding = false;
  bool clientEnded = false;
};

template <typename Stream>
void Connection<Stream>::setTimer(milliseconds time) {
  timer.expires_after(time);
  timer.async_wait([self = this->shared_from_this()](error_code error) {
    // An expiry that was already queued when the time was changed is stale.
    if (!error && self->timer.expiry() <= std::chrono::steady_clock::now())
      self->onTimer();
  });
}

template <typename Stream> void Connection<Stream>::onTimer() {
  if (state == State::Reading)
    refuse(408, "request: expected it whole within " +
                    std::to_string(owner.options.requestLimit.count() / 1000) +
                    " s");
  else if (state != State::Answering)
    close();
}

template <typename Stream> void Connection<Stream>::start() {
  setTimer(owner.options.requestLimit);
  if constexpr (kEncrypts)
    stream.async_handshake(asio::ssl::stream_base::server,
                           [self = this->shared_from_this()](error_code error) {
                             if (self->state == State::Closed)
                               return;
                             error ? self->close() : self->waitForRequest();
                           });
  else
    waitForRequest();
}

template <typename Stream> void Connection<Stream>::close() {
  if (state == State::Closed)
    return;
  const Self self = this->shared_from_this();
  state = State::Closed;
  error_code ignored;
  timer.cancel();
  stall.cancel();
  socket().close(ignored);
  tellGone("disconnected");
  owner.remove(*this);
}

/// After a client that left, to whoever still answers it, and to the log.
template <typename Stream>
void Connection<Stream>::tellGone(std::string_view reason) {
  if (const auto left = std::exchange(exchange, nullptr)) {
    if (left->onGone)
      left->onGone(reason);
    left->onGone = nullptr;
    left->onSlow = nullptr;
    if (status == 0)
      status = 499; // nobody reads it; logs know the number
  }
  tellFinished();
}

template <typename Stream> void Connection<Stream>::tellFinished() {
  if (std::exchange(hasRequest, false))
    owner.handler.finished(request, status, bodyBytes);
}

template <typename Stream> void Connection<Stream>::waitForRequest() {
  state = State::Idle;
  since = std::chrono::steady_clock::now();
  request = {};
  reader.restart();
  status = 0;
  bodyBytes = 0;
  isChunked = isEnding = false;
  setTimer(owner.options.idleLimit);
  if (reader.hasBytes())
    parse();
  else if (clientEnded)
    close();
  else
    read();
}

template <typename Stream> void Connection<Stream>::read() {
  if (isReading || clientEnded)
    return;
  isReading = true;
  stream.async_read_some(
      reader.prepare(kReadBytes),
      [self = this->shared_from_this()](error_code error, size_t bytes) {
        self->isReading = false;
        self->onRead(error, bytes);
      });
}

template <typename Stream>
void Connection<Stream>::onRead(error_code error, size_t bytes) {
  if (state == State::Closed)
    return;
  if (state == State::Lingering) {
    if (error)
      close();
    else
      read();
    return;
  }
  if (error) {
    clientEnded = true;
    // What is already written out in full may still find a reader.
    if (state != State::Answering || exchange)
      close();
    return;
  }
  reader.commit(bytes);
  // During a reply the bytes are the next request, which waits.
  if (state == State::Idle || state == State::Reading)
    parse();
}

template <typename Stream> void Connection<Stream>::parse() {
  using Step = RequestReader::Step;
  if (state == State::Idle) {
    state = State::Reading;
    setTimer(owner.options.requestLimit);
  }
  Step step = reader.next();
  if (step == Step::Head) {
    if (const auto reply = judgeHead())
      return replyWhole(*reply);
    step = reader.next();
  }
  if (step == Step::More)
    return read();
  if (step == Step::Bad)
    return refuse(reader.fault().status, reader.fault().message);
  answer();
}

/// The reply that needs no body, if there is one.
template <typename Stream>
std::optional<HttpReply> Connection<Stream>::judgeHead() {
  HttpRequest &head = reader.request();
  name(head);
  stays = reader.keepsAlive();
  auto reply = owner.handler.refuse(head);
  if (reply) {
    request = std::move(head);
    // Who is told to go on reading would first have to be heard to the end.
    stays = stays && !reader.isBodyLeft();
    state = State::Answering;
    exchange = std::make_shared<ThisExchange>(this->shared_from_this());
  } else if (reader.isBodyLeft() && head.field("expect") &&
             !reader.hasBytes()) {
    queued += "HTTP/1.1 100 Continue\r\n\r\n";
    write();
  }
  return reply;
}

/// What a request is known by, beyond what was sent.
template <typename Stream> void Connection<Stream>::name(HttpRequest &head) {
  char id[32];
  std::snprintf(id, sizeof id, "req-%012llx",
                (unsigned long long)++owner.requests);
  head.id = id;
  head.peer = peer;
  head.isEncrypted = kEncrypts;
  head.begin = std::chrono::steady_clock::now();
  hasRequest = true;
}

template <typename Stream> void Connection<Stream>::answer() {
  state = State::Answering;
  timer.cancel();
  exchange = std::make_shared<ThisExchange>(this->shared_from_this());
  const auto asked = exchange;
  // The handler gets all of it; the head is for the log.
  HttpRequest given = std::move(reader.request());
  std::string body = std::exchange(given.body, {});
  request = given;
  given.body = std::move(body);
  read();
  owner.handler.answer(std::move(given), asked);
}

/// Of bytes that are no request: nothing after them is taken for one.
template <typename Stream>
void Connection<Stream>::refuse(int code, const std::string &message) {
  state = State::Answering;
  stays = false;
  request = std::move(reader.request());
  if (!hasRequest)
    name(request);
  exchange = std::make_shared<ThisExchange>(this->shared_from_this());
  replyWhole(owner.handler.refusal(code, message));
}

template <typename Stream>
void Connection<Stream>::replyWhole(const HttpReply &reply) {
  status = reply.status;
  stays = stays && !owner.isDraining;
  queued += headOf(reply, request, reply.body.size(), false, stays);
  if (request.method != "HEAD") {
    queued += reply.body;
    bodyBytes = reply.body.size();
  }
  endReply();
}

template <typename Stream>
void Connection<Stream>::beginReply(const HttpReply &head) {
  status = head.status;
  isChunked = reader.version() == 11;
  stays = stays && isChunked && !owner.isDraining;
  queued += headOf(head, request, {}, isChunked, stays);
  write();
}

template <typename Stream>
void Connection<Stream>::sendPiece(std::string_view piece) {
  if (piece.empty()) // which would end the chunks
    return;
  bodyBytes += piece.size();
  if (isChunked) {
    char size[24];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    queued += size;
  }
  queued += piece;
  if (isChunked)
    queued += "\r\n";
  write();
  if (!isSlow && outgoing.size() - written + queued.size() > kHighMark) {
    isSlow = true;
    if (exchange && exchange->onSlow)
      exchange->onSlow(true);
  }
}

template <typename Stream> void Connection<Stream>::endReply() {
  if (isChunked)
    queued += "0\r\n\r\n";
  if (const auto ended = std::exchange(exchange, nullptr))
    ended->onGone = nullptr, ended->onSlow = nullptr;
  isEnding = true;
  write();
}

template <typename Stream> void Connection<Stream>::write() {
  if (isWriting || state == State::Closed)
    return;
  if (written == outgoing.size()) {
    outgoing = std::exchange(queued, {});
    written = 0;
  }
  if (outgoing.empty()) {
    if (isEnding)
      onReplyWritten();
    return;
  }
  isWriting = true;
  watchStall();
  stream.async_write_some(
      asio::buffer(outgoing.data() + written, outgoing.size() - written),
      [self = this->shared_from_this()](error_code error, size_t bytes) {
        self->isWriting = false;
        self->onWritten(error, bytes);
      });
}

template <typename Stream>
void Connection<Stream>::onWritten(error_code error, size_t bytes) {
  if (state == State::Closed)
    return;
  if (error)
    return close();
  stall.cancel();
  written += bytes;
  if (isSlow && outgoing.size() - written + queued.size() < kLowMark) {
    isSlow = false;
    if (exchange && exchange->onSlow)
      exchange->onSlow(false);
  }
  write();
}

/// A reader that takes its time gets it, as long as the kernel's queue shrinks.
template <typename Stream> void Connection<Stream>::watchStall() {
  const auto left = [this] {
    int bytes = 0;
    ioctl(socket().native_handle(), TIOCOUTQ, &bytes);
    return bytes;
  };
  unsent = left();
  stall.expires_after(owner.options.stallLimit);
  stall.async_wait([self = this->shared_from_this(), left](error_code error) {
    if (error || self->state == State::Closed || !self->isWriting)
      return;
    if (left() < self->unsent)
      return self->watchStall();
    self->tellGone("stalled");
    self->close();
  });
}

template <typename Stream> void Connection<Stream>::onReplyWritten() {
  isEnding = false;
  isSlow = false;
  outgoing.clear();
  written = 0;
  tellFinished();
  if (stays && !clientEnded) // as the reply said, also in a drain
    waitForRequest();
  else
    linger();
  owner.replied();
}

template <typename Stream> void Connection<Stream>::linger() {
  state = State::Lingering;
  setTimer(kLinger);
  if constexpr (kEncrypts) {
    stream.async_shutdown(
        [self = this->shared_from_this()](error_code) { self->close(); });
  } else {
    error_code ignored;
    socket().shutdown(tcp::socket::shutdown_send, ignored);
    if (clientEnded)
      return close();
    reader.dropBytes();
    read();
  }
}

} // namespace

std::shared_ptr<ConnectionBase> makeConnection(ConnectionOwner &owner,
                                               tcp::socket socket,
                                               asio::ssl::context *tls) {
  if (!tls)
    return std::make_shared<Connection<tcp::socket>>(owner, std::move(socket));
  using Encrypted = asio::ssl::stream<tcp::socket>;
  return std::make_shared<Connection<Encrypted>>(
      owner, Encrypted(std::move(socket), *tls));
}

} // namespace fairy2::serve
