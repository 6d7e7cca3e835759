/// A cpp-httplib server that bounds what one client can take: octets of a request's head and body, the
/// time in which a whole request has to arrive, and connections. cpp-httplib itself bounds a line and the
/// body, but neither the number of header lines, nor the time of a slow sender, nor the connections that wait.
///
/// It reads each request itself and gives cpp-httplib what can be read in one way only: see request_head.hpp.
///
/// Thread use: set limits and routes first, then start it once (serve() in serving.hpp).
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include <httplib.h>

namespace hosting {

class BoundedPool;
class BoundedStream;
class KeptConnections;

struct Limits {
  std::size_t head = std::size_t{16} << 10;   ///< octets; more is answered by 431
  std::size_t body = std::size_t{64} << 10;   ///< octets; more is answered by 413
  std::chrono::milliseconds request{10'000};  ///< from the first octet of a request to its last
  std::chrono::milliseconds idle{5'000};      ///< how long a kept connection may be silent
  std::chrono::milliseconds write{5'000};     ///< how long a client may let an answer wait
  std::size_t requests_per_connection = 1000;
  std::size_t threads = 16;
  std::size_t waiting = 256;  ///< connections that no thread serves yet; more are not accepted
  std::size_t kept = 256;     ///< connections that are silent; of more, the one that has been so for longest is closed
};

class BoundedServer : public httplib::Server {
 public:
  explicit BoundedServer(const Limits& limits = {});
  ~BoundedServer() override;

 private:
  bool process_and_close_socket(socket_t socket) override;
  void serve(std::unique_ptr<BoundedStream> connection);
  bool serve_one(BoundedStream& connection);

  Limits limits_;
  std::unique_ptr<KeptConnections> kept_;
  BoundedPool* pool_ = nullptr;  ///< cpp-httplib's, while it listens
};

}  // namespace hosting
