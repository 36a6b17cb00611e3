// SPDX-License-Identifier: Apache-2.0
//
// Listening, and the list of connections. Without room for another one, the
// connection that has been idle longest makes room.
#include "runtime/serve/HttpServer.h"

#include "runtime/serve/Connection.h"
#include "runtime/support/Error.h"
#include "runtime/support/Words.h"

#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>

#include <algorithm>
#include <list>
#include <optional>

namespace fairy2::serve {

namespace asio = boost::asio;
namespace ssl = asio::ssl;
using tcp = asio::ip::tcp;
using boost::system::error_code;

struct HttpServer::Core : ConnectionOwner, std::enable_shared_from_this<Core> {
  Core(HttpOptions theOptions, HttpHandler &handler)
      : ConnectionOwner(std::move(theOptions), handler), acceptor(context),
        retry(context), finishLimit(context) {}

  void listen();
  void readCertificate();
  void accept();
  void add(tcp::socket socket);
  void closeIdle();
  void remove(const ConnectionBase &connection) override;
  void replied() override { stopIfWritten(); }
  void stopIfWritten();
  void waitForSignal();

  asio::io_context context{1};
  tcp::acceptor acceptor;
  asio::steady_timer retry, finishLimit;
  asio::signal_set signals{context};
  std::function<void()> onSignal;
  std::optional<ssl::context> tls;
  std::list<std::shared_ptr<ConnectionBase>> connections;
  bool isFull = false, stopsWhenWritten = false;
};

void HttpServer::Core::readCertificate() {
  if (options.certificate.empty())
    return;
  tls.emplace(ssl::context::tls_server);
  tls->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 |
                   ssl::context::no_tlsv1_1);
  error_code error;
  if (tls->use_certificate_chain_file(options.certificate, error))
    throw Error(options.certificate +
                ": expected a PEM file with a certificate: " + error.message());
  if (tls->use_private_key_file(options.privateKey, ssl::context::pem, error) ||
      SSL_CTX_check_private_key(tls->native_handle()) != 1)
    throw Error(options.privateKey +
                ": expected a PEM file with the private "
                "key of " +
                options.certificate);
}

void HttpServer::Core::listen() {
  const std::string place = options.host + ":" + std::to_string(options.port);
  error_code error;
  const auto address = asio::ip::make_address(
      options.host == "localhost" ? "127.0.0.1" : options.host, error);
  if (error)
    throw Error("host: expected an address, such as 127.0.0.1, found " +
                quoteName(options.host));
  const tcp::endpoint endpoint(address, options.port);
  if (acceptor.open(endpoint.protocol(), error) ||
      acceptor.set_option(asio::socket_base::reuse_address(true), error) ||
      acceptor.bind(endpoint, error) || acceptor.listen(1024, error))
    throw Error(place + ": cannot listen: " + error.message());
}

void HttpServer::Core::accept() {
  isFull = connections.size() >= options.maxConnections;
  if (isFull)
    closeIdle();
  if (isFull || isDraining)
    return;
  acceptor.async_accept(
      [self = shared_from_this()](error_code error, tcp::socket socket) {
        if (self->isDraining)
          return;
        if (!error) {
          self->add(std::move(socket));
          return self->accept();
        }
        // Without descriptors a new try at once would fail at once.
        self->closeIdle();
        self->retry.expires_after(std::chrono::milliseconds(100));
        self->retry.async_wait([self](error_code) { self->accept(); });
      });
}

void HttpServer::Core::closeIdle() {
  const auto oldest = std::ranges::min_element(
      connections, {}, [](const auto &one) { return one->idleSince(); });
  if (oldest == connections.end() ||
      (*oldest)->idleSince() == std::chrono::steady_clock::time_point::max())
    return;
  const auto connection = *oldest;
  connection->close();
  isFull = connections.size() >= options.maxConnections;
}

void HttpServer::Core::add(tcp::socket socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  // What a slow reader leaves is to wait here, where it is counted.
  socket.set_option(asio::socket_base::send_buffer_size(64 << 10), ignored);
  connections.push_back(
      makeConnection(*this, std::move(socket), tls ? &*tls : nullptr));
  connections.back()->start();
}

void HttpServer::Core::remove(const ConnectionBase &connection) {
  std::erase_if(connections,
                [&](const auto &one) { return one.get() == &connection; });
  if (isFull && connections.size() < options.maxConnections)
    asio::post(context, [self = shared_from_this()] {
      if (self->isFull)
        self->accept();
    });
  stopIfWritten();
}

void HttpServer::Core::stopIfWritten() {
  if (stopsWhenWritten &&
      std::ranges::none_of(connections,
                           [](const auto &one) { return one->isBusy(); }))
    context.stop();
}

void HttpServer::Core::waitForSignal() {
  signals.async_wait([self = shared_from_this()](error_code error, int) {
    if (error)
      return;
    self->onSignal();
    self->waitForSignal();
  });
}

HttpServer::HttpServer(HttpOptions options, HttpHandler &handler)
    : core(std::make_shared<Core>(std::move(options), handler)) {
  core->readCertificate();
  core->listen();
}

HttpServer::~HttpServer() {
  // They hold the core, and it them.
  for (const auto &connection : std::exchange(core->connections, {}))
    connection->close();
  core->acceptor.close();
  core->retry.cancel();
  core->signals.cancel();
  core->finishLimit.cancel();
  core->context.restart();
  core->context.poll();
}

uint16_t HttpServer::port() const {
  return core->acceptor.local_endpoint().port();
}

void HttpServer::run() {
  core->accept();
  const auto work = asio::make_work_guard(core->context);
  core->context.run();
}

void HttpServer::post(std::function<void()> work) {
  asio::post(core->context, std::move(work));
}

void HttpServer::postAfter(std::chrono::milliseconds time,
                           std::function<void()> work) {
  const auto timer = std::make_shared<asio::steady_timer>(core->context, time);
  timer->async_wait([timer, work = std::move(work)](error_code error) {
    if (!error)
      work();
  });
}

void HttpServer::onSignals(std::initializer_list<int> numbers,
                           std::function<void()> work) {
  for (const int number : numbers)
    core->signals.add(number);
  core->onSignal = std::move(work);
  core->waitForSignal();
}

void HttpServer::drain() {
  core->isDraining = true;
  core->acceptor.close();
}

void HttpServer::stop() { core->context.stop(); }

void HttpServer::stopWhenWritten(std::chrono::milliseconds limit) {
  core->stopsWhenWritten = true;
  core->finishLimit.expires_after(limit);
  core->finishLimit.async_wait([core = core](error_code error) {
    if (!error)
      core->context.stop();
  });
  core->stopIfWritten();
}

} // namespace fairy2::serve
