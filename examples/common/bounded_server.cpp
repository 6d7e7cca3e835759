#include "common/bounded_server.hpp"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "common/bounded_pool.hpp"
#include "common/bounded_stream.hpp"
#include "common/kept_connections.hpp"

namespace hosting {
namespace {

using std::chrono::milliseconds;

/// Ends the kept connections before the threads, which serve what has arrived on them.
class Pool : public BoundedPool {
 public:
  Pool(const Limits& limits, KeptConnections& kept) : BoundedPool(limits.threads, limits.waiting), kept_(kept) {}
  void shutdown() override {
    kept_.stop();
    BoundedPool::shutdown();
  }

 private:
  KeptConnections& kept_;
};

}  // namespace

BoundedServer::BoundedServer(const Limits& limits)
    : limits_(limits), kept_(std::make_unique<KeptConnections>(limits.kept, limits.idle)) {
  set_payload_max_length(limits_.body);
  set_keep_alive_max_count(limits_.requests_per_connection);  // what the Keep-Alive header says
  set_keep_alive_timeout(std::max<time_t>(1, std::chrono::duration_cast<std::chrono::seconds>(limits_.idle).count()));
  new_task_queue = [this] {
    auto pool = std::make_unique<Pool>(limits_, *kept_);
    pool_ = pool.get();
    kept_->start([this](std::unique_ptr<BoundedStream> connection) {
      // A std::function has to be one that can be copied.
      auto shared = std::make_shared<std::unique_ptr<BoundedStream>>(std::move(connection));
      pool_->enqueue([this, shared] { serve(std::move(*shared)); });
    });
    return pool.release();
  };
  // The library's default would let another process listen on the same port (SO_REUSEPORT).
  set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
}

BoundedServer::~BoundedServer() = default;

bool BoundedServer::process_and_close_socket(socket_t socket) {
  const int yes = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  serve(std::make_unique<BoundedStream>(socket, limits_));
  return true;
}

void BoundedServer::serve(std::unique_ptr<BoundedStream> connection) {
  // A client that asks again at once is served by the same thread, if nobody else waits for one.
  constexpr milliseconds at_once{1};
  while (connection->has_more(pool_->has_waiting() ? milliseconds(0) : at_once)) {
    if (!serve_one(*connection)) return;
  }
  kept_->keep(std::move(connection));
}

/// False: the connection has ended.
bool BoundedServer::serve_one(BoundedStream& connection) {
  if (!connection.receive()) return false;
  bool closed = connection.requests() >= limits_.requests_per_connection || svr_sock_ == INVALID_SOCKET;
  const bool last = closed;
  if (process_request(connection, last, closed, nullptr) && !closed) return true;
  connection.end();
  return false;
}

}  // namespace hosting
