#include "common/bounded_server.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include "common/bounded_pool.hpp"

namespace hosting {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

bool wait_for(socket_t socket, short events, milliseconds time) {
  pollfd watched{socket, events, 0};
  const int count = static_cast<int>(std::clamp<milliseconds::rep>(time.count(), 0, 60'000));
  int ready = 0;
  do {
    ready = poll(&watched, 1, count);
  } while (ready < 0 && errno == EINTR);
  return ready > 0 && (watched.revents & (events | POLLHUP | POLLERR)) != 0;
}

void read_address(const sockaddr_storage& address, socklen_t size, std::string& ip, int& port) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> service{};
  const auto* raw = reinterpret_cast<const sockaddr*>(&address);
  if (getnameinfo(raw, size, host.data(), host.size(), service.data(), service.size(),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return;
  }
  ip = host.data();
  port = std::stoi(service.data());
}

constexpr std::string_view head_too_long =
    "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: application/problem+json\r\n"
    "Connection: close\r\nContent-Length: 93\r\n\r\n"
    R"({"type":"about:blank","title":"the request's header fields are too long","status":431}       )";

/// A connection that counts the octets of a request's head and watches the clock.
class BoundedStream : public httplib::Stream {
 public:
  BoundedStream(socket_t socket, const Limits& limits) : socket_(socket), limits_(limits) {}

  /// Before each request of the connection.
  void begin_request() {
    head_ = 0;
    line_ends_ = 0;
    in_head_ = true;
    deadline_ = SteadyClock::now() + limits_.request;
  }
  /// Answers a request whose head was too long. cpp-httplib's own answer to it, a 400, is held back.
  void refuse_if_too_long() {
    if (too_long_) send_all(head_too_long.data(), head_too_long.size());
  }
  /// After a read that failed, whatever comes next is no request.
  bool failed() const { return failed_ || too_long_; }
  bool has_buffered() const { return begin_ < end_; }

  bool is_readable() const override { return has_buffered() || wait_for(socket_, POLLIN, left()); }
  bool is_writable() const override { return wait_for(socket_, POLLOUT, limits_.write); }
  socket_t socket() const override { return socket_; }

  ssize_t read(char* out, std::size_t size) override {
    if (!has_buffered() && !fill()) {
      failed_ = true;
      return -1;
    }
    const std::size_t count = std::min(size, end_ - begin_);
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_), count, out);
    begin_ += count;
    if (in_head_ && !count_head(std::string_view(out, count))) return -1;
    return static_cast<ssize_t>(count);
  }

  ssize_t write(const char* data, std::size_t size) override { return too_long_ ? -1 : send_all(data, size); }

  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (getpeername(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0) read_address(address, size, ip, port);
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0) read_address(address, size, ip, port);
  }

 private:
  ssize_t send_all(const char* data, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
      if (!is_writable()) return -1;
      const ssize_t sent = send(socket_, data + done, size - done, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) return -1;
      done += static_cast<std::size_t>(sent);
    }
    return static_cast<ssize_t>(size);
  }

  milliseconds left() const {
    return std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(deadline_ - SteadyClock::now()));
  }

  bool fill() {
    for (;;) {
      if (left() == milliseconds(0) || !wait_for(socket_, POLLIN, left())) return false;
      const ssize_t got = recv(socket_, buffer_.data(), buffer_.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      begin_ = 0;
      end_ = static_cast<std::size_t>(got);
      return true;
    }
  }

  /// The head ends at an empty line. cpp-httplib reads it octet by octet, so nothing of a body is counted.
  bool count_head(std::string_view octets) {
    for (const char c : octets) {
      if (++head_ > limits_.head) {
        too_long_ = true;
        return false;
      }
      if (c == '\n') {
        if (++line_ends_ == 2) in_head_ = false;
      } else if (c != '\r') {
        line_ends_ = 0;
      }
    }
    return true;
  }

  socket_t socket_;
  const Limits& limits_;
  std::array<char, 4096> buffer_{};
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t head_ = 0;
  int line_ends_ = 0;
  bool in_head_ = true;
  bool too_long_ = false;
  bool failed_ = false;
  SteadyClock::time_point deadline_{};
};

/// Waits for the next request in short steps, so that a stop is noticed soon.
bool wait_for_request(const BoundedStream& stream, milliseconds time, const std::atomic<socket_t>& listening) {
  if (stream.has_buffered()) return true;
  constexpr milliseconds step{50};
  const auto until = SteadyClock::now() + time;
  while (listening != INVALID_SOCKET) {
    if (wait_for(stream.socket(), POLLIN, step)) return true;
    if (SteadyClock::now() >= until) return false;
  }
  return false;
}

}  // namespace

BoundedServer::BoundedServer(const Limits& limits) : limits_(limits) {
  set_payload_max_length(limits_.body);
  set_keep_alive_max_count(limits_.requests_per_connection);  // what the Keep-Alive header says
  set_keep_alive_timeout(std::max<time_t>(1, std::chrono::duration_cast<std::chrono::seconds>(limits_.idle).count()));
  new_task_queue = [threads = limits_.threads, waiting = limits_.waiting] {
    return std::make_unique<BoundedPool>(threads, waiting).release();
  };
  // The library's default would let another process listen on the same port (SO_REUSEPORT).
  set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
}

bool BoundedServer::process_and_close_socket(socket_t socket) {
  const int yes = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  BoundedStream stream(socket, limits_);
  bool fine = true;
  for (std::size_t left = limits_.requests_per_connection; left > 0; --left) {
    if (!wait_for_request(stream, limits_.idle, svr_sock_)) break;
    stream.begin_request();
    bool closed = false;
    fine = process_request(stream, left == 1, closed, nullptr);
    stream.refuse_if_too_long();
    if (!fine || closed || stream.failed()) break;
  }
  shutdown(socket, SHUT_WR);
  // What the client still sends is read, within reason: a reset would take the answer away from it.
  std::array<char, 4096> rest{};
  for (int i = 0; i < 64 && wait_for(socket, POLLIN, milliseconds(20)); ++i) {
    if (recv(socket, rest.data(), rest.size(), 0) <= 0) break;
  }
  close(socket);
  return fine;
}

}  // namespace hosting
