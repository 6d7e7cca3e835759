/// One connection: reads a whole request within the limits, and hands it to cpp-httplib in a form that it
/// cannot misread: no chunks, one Content-Length, nothing after the body.
///
/// Owns its socket. One thread at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include <httplib.h>

#include "common/bounded_server.hpp"
#include "common/request_head.hpp"

namespace hosting {

class BoundedStream : public httplib::Stream {
 public:
  BoundedStream(socket_t socket, const Limits& limits) : socket_(socket), limits_(limits) {}
  ~BoundedStream() override;
  BoundedStream(const BoundedStream&) = delete;
  BoundedStream& operator=(const BoundedStream&) = delete;

  /// Reads the next request. False: there is none, or it was refused and that has been answered; end the connection.
  bool receive();
  /// Has the client sent something that was not read yet, now or within a time?
  bool has_more(std::chrono::milliseconds within) const;
  std::size_t requests() const { return requests_; }  ///< received so far
  /// Ends a connection that had an answer, so that the client gets to read it.
  void end();

  bool is_readable() const override { return at_ < request_.size(); }
  bool is_writable() const override;
  socket_t socket() const override { return socket_; }
  ssize_t read(char* out, std::size_t size) override;
  ssize_t write(const char* data, std::size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;

 private:
  using Time = std::chrono::steady_clock::time_point;

  bool fill();
  bool refuse(const Refusal& refusal);
  bool receive_head(std::size_t& size);
  bool receive_body(const RequestHead& head, std::string& body);
  bool receive_chunks(std::string& body);

  socket_t socket_;
  const Limits& limits_;
  std::string received_;  ///< of the connection, and not yet part of a request
  std::string request_;   ///< as cpp-httplib reads it
  std::size_t at_ = 0;    ///< how far it has
  std::size_t requests_ = 0;
  Time deadline_{};
};

}  // namespace hosting
