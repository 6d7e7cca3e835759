#include "common/serving.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <iostream>
#include <thread>

namespace hosting {
namespace {

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

}  // namespace

void block_stop_signals() {
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

int serve(httplib::Server& server, const std::string& address, int port, const std::function<void(int)>& started) {
  const int bound = port == 0 ? server.bind_to_any_port(address) : server.bind_to_port(address, port) ? port : -1;
  if (bound < 0) {
    std::cerr << "cannot listen on " << address << ", port " << port << ": choose another\n";
    return 1;
  }

  std::atomic<bool> failed = false;
  std::atomic<bool> ended = false;
  std::thread listener([&server, &failed, &ended] {
    failed = !server.listen_after_bind();
    ended = true;
    kill(getpid(), SIGTERM);  // the wait below ends, whoever ended the listening
  });
  // Before the server is running, stop() does nothing, and the listener would never be told.
  while (!server.is_running() && !ended) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  started(bound);

  const sigset_t signals = stop_signals();
  int signal = 0;
  sigwait(&signals, &signal);
  server.stop();
  listener.join();
  return failed ? 1 : 0;
}

}  // namespace hosting
