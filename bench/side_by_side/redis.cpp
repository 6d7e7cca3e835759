// Redis on the loopback: SHA-256 of the token, one GET. The server is started here and stopped again.
#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "digest.hpp"
#include "lookup.hpp"

namespace bench {

namespace {

class Server {
 public:
  explicit Server(const std::filesystem::path& directory) : port_(20'000 + static_cast<int>(getpid() % 20'000)) {
    const std::string port = std::to_string(port_);
    const std::string dir = directory.string();
    child_ = fork();
    if (child_ < 0) give_up("cannot fork");
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGTERM);  // also when the run is interrupted
      execlp("redis-server", "redis-server", "--bind", "127.0.0.1", "--port", port.c_str(), "--save", "",
             "--appendonly", "no", "--dir", dir.c_str(), "--logfile", "redis.log", static_cast<char*>(nullptr));
      _exit(127);
    }
  }
  ~Server() {
    kill(child_, SIGTERM);
    waitpid(child_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  redisContext* connect() const {
    for (int attempt = 0; attempt < 100; ++attempt) {
      redisContext* context = redisConnect("127.0.0.1", port_);
      if (context != nullptr && context->err == 0) return context;
      if (context != nullptr) redisFree(context);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    give_up("redis-server does not start; install it (bench/run.sh does)");
  }

 private:
  int port_;
  pid_t child_ = -1;
};

class Redis final : public LookUp {
 public:
  Redis(const Population& population, const std::filesystem::path& directory)
      : server_(directory), context_(server_.connect()) {
    constexpr std::size_t pipelined = 1000;
    for (std::size_t i = 0; i < population.tokens; ++i) {
      const Digest digest = digest_of(population.texts[i]);
      redisAppendCommand(context_, "SET %b %s", digest.data(), digest.size(),
                         (owner_name(i) + " repo:read repo:write").c_str());
      if ((i + 1) % pipelined == 0) take(pipelined);
    }
    take(population.tokens % pipelined);
  }
  ~Redis() override { redisFree(context_); }
  Redis(const Redis&) = delete;
  Redis& operator=(const Redis&) = delete;

  std::uint64_t run(const Requests& requests) override {
    std::uint64_t sum = 0;
    for (const Request& request : requests) {
      const Digest digest = digest_of(request.text);
      auto* reply = static_cast<redisReply*>(redisCommand(context_, "GET %b", digest.data(), digest.size()));
      if (reply == nullptr) give_up("redis-server went away");
      if (reply->type == REDIS_REPLY_STRING) {
        const std::string_view value(reply->str, static_cast<std::size_t>(reply->len));
        if (value.find(scope) != std::string_view::npos) sum += mark_of(value.substr(0, value.find(' ')));
      }
      freeReplyObject(reply);
    }
    return sum;
  }

 private:
  void take(std::size_t replies) {
    for (; replies > 0; --replies) {
      void* reply = nullptr;
      if (redisGetReply(context_, &reply) != REDIS_OK) give_up("redis-server does not take the tokens");
      freeReplyObject(reply);
    }
  }

  Server server_;
  redisContext* context_;
};

}  // namespace

std::unique_ptr<LookUp> redis_look_up(const Population& population, const std::filesystem::path& directory) {
  return std::make_unique<Redis>(population, directory);
}

}  // namespace bench
