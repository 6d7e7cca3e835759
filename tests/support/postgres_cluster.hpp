/// Throw-away PostgreSQL servers: Debian's own programs, a directory under /tmp, a unix socket.
///
/// Started as the user postgres when the test runs as root. A test fails if a server cannot be had. A
/// cluster stops and leaves nothing behind when it is destroyed, and dies with the test program.
/// Thread use: make and destroy clusters in the main thread; the rest from any.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace tokenstore::test {

/// The newest version that is installed.
inline std::string postgres_program(const std::string& name) {
  std::vector<std::string> versions;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
    if (std::filesystem::exists(entry.path() / "bin" / name)) versions.push_back(entry.path().filename().string());
  }
  if (versions.empty()) throw std::runtime_error(name + " is missing: install Debian's postgresql");
  std::sort(versions.begin(), versions.end(), [](const auto& a, const auto& b) { return std::stoi(a) < std::stoi(b); });
  return "/usr/lib/postgresql/" + versions.back() + "/bin/" + name;
}

/// What an SQL command on a connection of its own gave: the first value, or throws.
inline std::string sql(const std::string& conninfo, const std::string& command) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(conninfo.c_str()), &PQfinish);
  if (PQstatus(connection.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection.get()));
  PQsetNoticeProcessor(
      connection.get(), [](void*, const char*) {}, nullptr);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection.get(), command.c_str()), &PQclear);
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    throw std::runtime_error(command + ": " + PQerrorMessage(connection.get()));
  }
  return PQntuples(result.get()) > 0 && PQnfields(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

class PostgresCluster {
 public:
  using Settings = std::vector<std::string>;  ///< "name=value", as in postgresql.conf

  /// `network`: the name of a network namespace (ip netns) for the server; empty: this one.
  explicit PostgresCluster(Settings settings = {}, const std::string& encoding = "UTF8", std::string network = {})
      : settings_(std::move(settings)), network_(std::move(network)) {
    make_directory();
    run({postgres_program("initdb"), "--pgdata=" + data(), "--username=postgres", "--auth=trust", "--no-sync",
         "--locale=C", "--encoding=" + encoding});
    if (!network_.empty()) {
      std::ofstream(data() + "/pg_hba.conf", std::ios::app) << "host all all 0.0.0.0/0 trust\n";
    }
    start();
  }

  /// A streaming standby of `primary`, connecting under `name`, in sync from the start.
  PostgresCluster(PostgresCluster& primary, const std::string& name, Settings settings = {})
      : settings_(std::move(settings)) {
    make_directory();
    follow(primary, name);
  }

  ~PostgresCluster() {
    thaw();
    if (running()) stop(SIGQUIT);
    std::error_code none;
    std::filesystem::remove_all(directory_, none);
  }
  PostgresCluster(const PostgresCluster&) = delete;
  PostgresCluster& operator=(const PostgresCluster&) = delete;

  std::string conninfo(const std::string& database = "postgres", const std::string& user = "postgres") const {
    return "host=" + directory_ + " dbname=" + database + " user=" + user;
  }
  /// The directory of the unix socket.
  const std::string& directory() const noexcept { return directory_; }
  std::string sql(const std::string& command) const { return test::sql(conninfo(), command); }

  void start() {
    std::vector<std::string> command = {
        postgres_program("postgres"), "-D", data(), "-k", directory_, "-c", "listen_addresses=", "-c",
        "max_connections=60"};
    for (const std::string& setting : settings_) {
      command.push_back("-c");
      command.push_back(setting);
    }
    server_ = spawn(command, SIGQUIT);
    for (int attempt = 0; attempt < 600; ++attempt) {
      if (PQping(conninfo().c_str()) == PQPING_OK) return;
      int status = 0;
      if (waitpid(server_, &status, WNOHANG) == server_) {
        server_ = -1;
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    throw std::runtime_error("PostgreSQL did not start:\n" + log());
  }

  bool running() const noexcept { return server_ > 0; }
  /// SIGINT: as pg_ctl stop -m fast; SIGQUIT: immediate.
  void stop(int signal = SIGINT) {
    ::kill(server_, signal);
    wait();
  }
  /// As a power cut would: every process of the server at once.
  void kill() {
    for (const pid_t process : processes()) ::kill(process, SIGKILL);
    wait();
  }
  void freeze() {
    frozen_ = processes();
    for (const pid_t process : frozen_) ::kill(process, SIGSTOP);
  }
  void thaw() {
    for (const pid_t process : frozen_) ::kill(process, SIGCONT);
    frozen_.clear();
  }
  /// Starts anew where it was, as a streaming standby of `primary`. It is not running.
  void follow(const PostgresCluster& primary, const std::string& name) {
    std::filesystem::remove_all(data());
    run({postgres_program("pg_basebackup"), "--pgdata=" + data(), "--host=" + primary.directory_, "--username=postgres",
         "--checkpoint=fast", "--no-sync", "--wal-method=stream"});
    std::ofstream(data() + "/postgresql.auto.conf", std::ios::app)
        << "primary_conninfo = 'host=" << primary.directory_ << " user=postgres application_name=" << name << "'\n";
    std::ofstream(data() + "/standby.signal");
    give_to_postgres(data() + "/standby.signal");
    start();
  }
  void promote() { sql("SELECT pg_promote(true, 60)"); }

  std::string log() const {
    std::ostringstream text;
    text << std::ifstream(directory_ + "/log").rdbuf();
    return text.str();
  }
  std::string data() const { return directory_ + "/data"; }

  void run(const std::vector<std::string>& command) {
    int status = 0;
    if (waitpid(spawn(command, SIGKILL), &status, 0) < 0 || status != 0) {
      throw std::runtime_error(command[0] + " failed:\n" + log());
    }
  }

 private:
  static const passwd* postgres_user() {
    if (::geteuid() != 0) return nullptr;
    const passwd* user = ::getpwnam("postgres");
    if (user == nullptr) throw std::runtime_error("the user postgres is missing: install Debian's postgresql");
    return user;
  }
  static void give_to_postgres(const std::string& path) {
    const passwd* user = postgres_user();
    if (user != nullptr && ::chown(path.c_str(), user->pw_uid, user->pw_gid) != 0) {
      throw std::runtime_error("cannot give " + path + " to postgres");
    }
  }
  void make_directory() {
    std::string path = "/tmp/tokenstore-pg-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("cannot make a directory in /tmp");
    directory_ = path;
    give_to_postgres(directory_);
  }

  pid_t spawn(const std::vector<std::string>& command, int when_test_dies) {
    std::vector<char*> arguments;
    for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    const passwd* user = postgres_user();
    const std::string log_path = directory_ + "/log";
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("cannot fork");
    if (child > 0) return child;
    const int output = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (output >= 0) {
      ::dup2(output, STDOUT_FILENO);
      ::dup2(output, STDERR_FILENO);
    }
    if (!network_.empty()) {
      const int network = ::open(("/run/netns/" + network_).c_str(), O_RDONLY | O_CLOEXEC);
      if (network < 0 || ::setns(network, CLONE_NEWNET) != 0) ::_exit(126);
    }
    if (user != nullptr &&
        (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0)) {
      ::_exit(126);
    }
    ::prctl(PR_SET_PDEATHSIG, when_test_dies);
    if (::chdir("/") != 0) ::_exit(126);
    ::setenv("LC_ALL", "C", 1);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }

  void wait() {
    int status = 0;
    while (waitpid(server_, &status, 0) < 0 && errno == EINTR) {
    }
    server_ = -1;
  }

  /// The postmaster and its children.
  std::vector<pid_t> processes() const {
    std::vector<pid_t> found = {server_};
    std::ifstream children("/proc/" + std::to_string(server_) + "/task/" + std::to_string(server_) + "/children");
    for (pid_t child = 0; children >> child;) found.push_back(child);
    return found;
  }

  Settings settings_;
  std::string network_;
  std::string directory_;
  pid_t server_ = -1;
  std::vector<pid_t> frozen_;
};

}  // namespace tokenstore::test
