#include "common/bounded_stream.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "common/chunked_body.hpp"

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

std::string_view reason_of(int status) {
  switch (status) {
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    default:
      return "Bad Request";
  }
}

/// The first line end of another form than CR LF: different servers see different lines there.
bool has_lone_line_feed(std::string_view text) {
  for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    if (at == 0 || text[at - 1] != '\r') return true;
  }
  return false;
}

}  // namespace

BoundedStream::~BoundedStream() {
  close(socket_);
}

void BoundedStream::end() {
  shutdown(socket_, SHUT_WR);
  // What the client still sends is read, within reason: a reset would take the answer away from it.
  std::array<char, 4096> rest{};
  for (int i = 0; i < 64 && wait_for(socket_, POLLIN, milliseconds(20)); ++i) {
    if (recv(socket_, rest.data(), rest.size(), 0) <= 0) break;
  }
}

bool BoundedStream::has_more(milliseconds within) const {
  return !received_.empty() || wait_for(socket_, POLLIN, within);
}

bool BoundedStream::receive() {
  deadline_ = SteadyClock::now() + limits_.request;
  request_.clear();
  at_ = 0;
  std::size_t size = 0;
  if (!receive_head(size)) return false;
  const RequestHead head = judge_head(std::string_view(received_).substr(0, size), limits_);
  if (head.refusal.status != 0) return refuse(head.refusal);
  received_.erase(0, size);
  std::string body;
  if (!receive_body(head, body)) return false;
  ++requests_;
  request_ = head.passed_on + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  return true;
}

/// Until there is an empty line; `size` is of all up to it.
bool BoundedStream::receive_head(std::size_t& size) {
  constexpr std::string_view end = "\r\n\r\n";
  for (;;) {
    const std::size_t found = received_.find(end);
    const std::string_view head = std::string_view(received_).substr(0, found);
    if (head.size() > limits_.head) return refuse({431, "The header fields are too long."});
    if (has_lone_line_feed(head)) return refuse({400, "A line of the request ends without a carriage return."});
    if (found != std::string::npos) {
      size = found + end.size();
      return true;
    }
    if (!fill()) return received_.empty() ? false : refuse({408, "The request did not arrive in time."});
  }
}

bool BoundedStream::receive_body(const RequestHead& head, std::string& body) {
  if (head.expects_continue && received_.empty() && (head.chunked || head.length > 0)) {
    constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    if (write(go_on.data(), go_on.size()) < 0) return false;
  }
  if (head.chunked) return receive_chunks(body);
  while (received_.size() < head.length) {
    if (!fill()) return refuse({408, "The request did not arrive in time."});
  }
  body = received_.substr(0, head.length);
  received_.erase(0, head.length);
  return true;
}

bool BoundedStream::receive_chunks(std::string& body) {
  ChunkedBody chunks(limits_.body);
  for (;;) {
    received_.erase(0, chunks.take(received_));
    switch (chunks.state()) {
      case ChunkedBody::State::whole:
        body = std::move(chunks.body());
        return true;
      case ChunkedBody::State::malformed:
        return refuse({400, "The chunks of the body are malformed."});
      case ChunkedBody::State::too_large:
        return refuse({413, "The body is too large."});
      default:
        if (!fill()) return refuse({408, "The request did not arrive in time."});
    }
  }
}

/// Reads on. False: the time is over, or the client has ended.
bool BoundedStream::fill() {
  std::array<char, 16384> buffer{};
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - SteadyClock::now());
    if (left <= milliseconds(0) || !wait_for(socket_, POLLIN, left)) return false;
    const ssize_t got = recv(socket_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    received_.append(buffer.data(), static_cast<std::size_t>(got));
    return true;
  }
}

bool BoundedStream::refuse(const Refusal& refusal) {
  const std::string status = std::to_string(refusal.status);
  const std::string reason(reason_of(refusal.status));
  const std::string body = R"({"type":"about:blank","title":")" + reason + R"(","status":)" + status +
                           R"(,"detail":")" + std::string(refusal.why) + R"("})";
  const std::string answer = "HTTP/1.1 " + status + ' ' + reason +
                             "\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n"
                             "X-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: " +
                             std::to_string(body.size()) + "\r\n\r\n" + body;
  if (write(answer.data(), answer.size()) >= 0) end();
  return false;
}

bool BoundedStream::is_writable() const {
  return wait_for(socket_, POLLOUT, limits_.write);
}

ssize_t BoundedStream::read(char* out, std::size_t size) {
  if (!is_readable()) return -1;
  const std::size_t count = request_.copy(out, size, at_);
  at_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t BoundedStream::write(const char* data, std::size_t size) {
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

void BoundedStream::get_remote_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getpeername(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0) read_address(address, size, ip, port);
}

void BoundedStream::get_local_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0) read_address(address, size, ip, port);
}

}  // namespace hosting
