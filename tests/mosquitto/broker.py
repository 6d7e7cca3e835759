"""A throw-away mosquitto with the plugin, on a unix socket, and real clients for it."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

PLUGIN = os.environ.get("MOSQUITTO_PLUGIN", "")
COMMAND = os.environ["TOKENSTORE"]
PATIENCE = 30  # seconds until something that should happen at once counts as not happening


def require():
    """What is missing fails the test."""
    if not PLUGIN:
        raise AssertionError("the plugin was not built: install mosquitto-dev and libmosquitto-dev, configure again")
    os.environ["PATH"] += ":/usr/sbin"
    for program, package in (("mosquitto", "mosquitto"), ("mosquitto_pub", "mosquitto-clients"),
                             ("mosquitto_sub", "mosquitto-clients")):
        if shutil.which(program) is None:
            raise AssertionError(f"{program} is missing: install {package}")


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"this did not happen: {what()}")
        time.sleep(0.02)


class Tokens:
    """A database, and the command line that issues and ends tokens in it."""

    def __init__(self, folder):
        self.database = folder / "tokens.db"
        self.issued = []
        self.command("init")

    def command(self, *arguments):
        done = subprocess.run([COMMAND, "--db", self.database, "--quiet", *arguments], text=True, capture_output=True,
                              timeout=PATIENCE)
        if done.returncode != 0:
            raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    def issue(self, *scopes, owner="alice", connect=True):
        arguments = [part for scope in (("mqtt",) if connect else ()) + scopes for part in ("--scope", scope)]
        token = self.command("issue", owner, *arguments)
        self.issued.append(token)
        return token

    @staticmethod
    def id_of(token):
        return token.rsplit("_", 2)[1][3:]

    def pieces_in(self, text):
        """Pieces of eight characters of any secret that was issued."""
        secrets = [token.rsplit("_", 1)[1] for token in self.issued]
        return [secret[start:start + 8] for secret in secrets for start in range(len(secret) - 7)
                if secret[start:start + 8] in text]


class Broker:
    def __init__(self, database, daemon=False, anonymous=False, **options):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tokenstore-mosquitto-", dir="/tmp"))
        self.socket = self.folder / "socket"
        self.log_file = self.folder / "log"
        self.daemon = daemon
        self.configuration = self.folder / "mosquitto.conf"
        options = {"check_interval_ms": 100, **options}
        lines = ["user root"] if os.geteuid() == 0 else []
        lines += [f"listener 0 {self.socket}", f"allow_anonymous {str(anonymous).lower()}", "check_retain_source false",
                  f"pid_file {self.folder / 'pid'}", "log_type all", f"log_dest file {self.log_file}",
                  f"plugin {PLUGIN}"]
        lines += [f"plugin_opt_{name} {value}" for name, value in {"database": database, **options}.items()
                  if value is not None]
        self.configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def start(self):
        arguments = ["mosquitto", "-c", self.configuration, *(["-d"] if self.daemon else [])]
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.wait_for_log(" running\n")
        except AssertionError:
            self.stop()
            raise
        return self

    def fails_to_start(self):
        """The log of a broker that ends by itself."""
        process = subprocess.run(["mosquitto", "-c", self.configuration], timeout=PATIENCE, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        log = self.log()
        shutil.rmtree(self.folder)
        assert process.returncode != 0, f"it started: {log}"
        return log

    def stop(self):
        if self.daemon:
            process_id = int((self.folder / "pid").read_text(encoding="utf-8"))
            os.kill(process_id, signal.SIGTERM)
            wait_until(lambda: not pathlib.Path(f"/proc/{process_id}/exe").exists(), lambda: "the broker ends")
        else:
            self.process.terminate()
        outcome = self.process.wait(timeout=PATIENCE)
        log = self.log()
        shutil.rmtree(self.folder)
        assert outcome == 0, f"the broker ended with {outcome}: {log}"
        return log

    def rotate_log(self):
        """As logrotate does: the file is moved away, and the broker told by SIGHUP to begin a new one."""
        moved = self.log_file.rename(self.folder / f"log.{time.monotonic_ns()}")
        self.process.send_signal(signal.SIGHUP)
        wait_until(self.log_file.exists, lambda: f"a new log after {moved}")
        return moved

    def log(self):
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def wait_for_log(self, text, times=1):
        wait_until(lambda: self.log().count(text) >= times, lambda: f"{text!r} {times} times in {self.log()}")

    def arguments(self, program, client, token, username="", version="311"):
        return [program, "--unix", self.socket, "-V", version, "-i", client,
                *([] if username is None else ["-u", username]), *([] if token is None else ["-P", token])]

    def publish(self, client, token, topic, payload, *more, **how):
        """The finished mosquitto_pub."""
        return subprocess.run([*self.arguments("mosquitto_pub", client, token, **how), "-q", "1", "-t", topic,
                               "-m", payload, *more], text=True, capture_output=True, timeout=PATIENCE)

    def subscribe(self, client, token, *filters, more=(), **how):
        """A running mosquitto_sub whose subscriptions the broker has answered."""
        answer = f"Sending SUBACK to {client}\n"
        before = self.log().count(answer)
        subscriber = Subscriber(self, client, token, filters, more, how)
        self.wait_for_log(answer, before + 1)
        return subscriber


class Subscriber:
    def __init__(self, broker, client, token, filters, more, how):
        self.file = broker.folder / f"output.{time.monotonic_ns()}"
        arguments = [*broker.arguments("mosquitto_sub", client, token, **how), "-q", "1", "-F", "%t %p", *more]
        for wanted in filters:
            arguments += ["-t", wanted]
        with open(self.file, "wb") as output:
            self.process = subprocess.Popen(arguments, stdout=output, stderr=output)

    def output(self):
        return self.file.read_text(encoding="utf-8")

    def wait_for(self, line):
        wait_until(lambda: line in self.output().splitlines(), lambda: f"{line!r} in {self.output()!r}")

    def wait_for_end(self):
        return self.process.wait(timeout=PATIENCE)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(timeout=PATIENCE)
        return self.output()
