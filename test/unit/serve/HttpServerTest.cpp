// SPDX-License-Identifier: Apache-2.0
//
// Deadlines, crowds and readers that do not read, with limits of a fraction of
// a second; what else a stranger may send is test/serve/check_protocol.py.
#include "runtime/serve/HttpServer.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <atomic>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace fairy2::serve;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::seconds kPatience{60}; ///< of a busy machine
const std::string kGet = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Answers /x at once, and everything else with an endless stream.
class Handler final : public HttpHandler {
public:
  std::optional<HttpReply> refuse(const HttpRequest &) override { return {}; }
  void answer(HttpRequest request,
              const std::shared_ptr<Exchange> &exchange) override {
    if (request.target == "/x")
      return exchange->reply({200, "text/plain", "here"});
    exchange->onSlow = [this](bool slow) { slow ? ++slowed : ++resumed; };
    exchange->onGone = [this](std::string_view why) {
      reason = std::string(why);
      ++gone;
    };
    exchange->begin({200, "text/plain", ""});
    stream = exchange;
    exchange->send(std::string(4 << 20, 'a'));
  }
  HttpReply refusal(int status, const std::string &message) override {
    return {status, "text/plain", message};
  }
  void finished(const HttpRequest &, int, uint64_t) override { ++ended; }

  std::atomic<int> slowed = 0, resumed = 0, gone = 0, ended = 0;
  std::string reason;
  std::shared_ptr<Exchange> stream;
};

class Client {
public:
  explicit Client(uint16_t port) : number(socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience = {kPatience.count(), 0};
    setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(
        connect(number, reinterpret_cast<sockaddr *>(&address), sizeof address),
        0);
  }
  ~Client() { close(number); }
  Client(const Client &) = delete;
  Client &operator=(const Client &) = delete;

  void send(const std::string &bytes) {
    EXPECT_EQ(::send(number, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              ssize_t(bytes.size()));
  }
  /// What comes in one piece; "" at the end.
  std::string receive() {
    char bytes[65536];
    const ssize_t got = recv(number, bytes, sizeof bytes, 0);
    return {bytes, size_t(std::max<ssize_t>(got, 0))};
  }
  std::string receiveAll() {
    std::string all;
    for (std::string piece; !(piece = receive()).empty();)
      all += piece;
    return all;
  }

private:
  int number;
};

class HttpServerTest : public testing::Test {
protected:
  static HttpOptions options() {
    HttpOptions limits;
    limits.port = 0;
    limits.maxConnections = 4;
    limits.requestLimit = 400ms;
    limits.idleLimit = 300ms;
    limits.stallLimit = 300ms;
    return limits;
  }
  HttpServerTest()
      : server(options(), handler), thread([this] { server.run(); }) {}
  ~HttpServerTest() override {
    server.post([this] { server.stop(); });
    thread.join();
  }
  static void waitFor(const std::atomic<int> &count) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (count == 0 && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(1ms);
    EXPECT_GT(count, 0);
  }

  Handler handler;
  HttpServer server;
  std::thread thread;
};

TEST_F(HttpServerTest, SlowHeadsAndBodiesAreRefused) {
  for (const char *begin :
       {"GET /x HTTP/1.1\r\nHos",
        "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab",
        "POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        "\r\n5\r\nab"}) {
    Client client(server.port());
    client.send(begin);
    const std::string reply = client.receiveAll();
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 408 Request Timeout\r\n")) << reply;
    EXPECT_NE(reply.find("\r\nConnection: close\r\n"), reply.npos) << reply;
  }
}

TEST_F(HttpServerTest, IdleConnectionsAreClosed) {
  Client silent(server.port()), kept(server.port());
  kept.send(kGet);
  EXPECT_TRUE(kept.receive().starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(silent.receiveAll(), "");
  EXPECT_EQ(kept.receiveAll(), "");
}

TEST_F(HttpServerTest, TheLongestIdleMakesRoom) {
  Client first(server.port()), second(server.port()), third(server.port()),
      fourth(server.port()), fifth(server.port());
  fifth.send(kGet);
  EXPECT_TRUE(fifth.receive().ends_with("here"));
  EXPECT_EQ(first.receiveAll(), "");
}

TEST_F(HttpServerTest, WhoReadsNothingIsCut) {
  Client client(server.port()), other(server.port());
  client.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  waitFor(handler.slowed);
  other.send(kGet);
  EXPECT_TRUE(other.receive().ends_with("here"));
  waitFor(handler.gone);
  EXPECT_EQ(handler.reason, "stalled");
  EXPECT_EQ(handler.resumed, 0);
}

TEST_F(HttpServerTest, WhoReadsSlowlyIsWaitedFor) {
  Client client(server.port());
  client.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  waitFor(handler.slowed);
  size_t bytes = 0;
  // In pieces with pauses that are a part of the limit.
  while (bytes < size_t(4) << 20) {
    const std::string piece = client.receive();
    ASSERT_FALSE(piece.empty());
    bytes += piece.size();
    if (bytes < 200'000)
      std::this_thread::sleep_for(50ms);
  }
  waitFor(handler.resumed);
  EXPECT_EQ(handler.gone, 0);
}

TEST_F(HttpServerTest, WhoLeavesIsTold) {
  {
    Client client(server.port());
    client.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_FALSE(client.receive().empty());
  }
  waitFor(handler.gone);
  EXPECT_EQ(handler.reason, "disconnected");
  waitFor(handler.ended);
}

} // namespace
