"""People and pipes: questions on a terminal, tokens typed unseen, readers that go away."""
import os
import pty
import select
import signal
import subprocess
import time
import unittest

from support import CANCELLED, CLOSED, COMMAND, INVALID, OK, UNAVAILABLE, StoreCase, id_of, leaked_piece, secret_of


class Terminal(StoreCase):
    def at_terminal(self, *args, typed=b"", when=b"", kill=None):
        """Runs the command on a terminal of its own; types once `when` has been shown."""
        master, slave = pty.openpty()
        running = subprocess.Popen([COMMAND, *args], stdin=slave, stdout=slave, stderr=slave, close_fds=True,
                                   env=self.environment(), start_new_session=True)
        os.close(slave)
        shown, sent, end = b"", False, time.monotonic() + 60
        while time.monotonic() < end:
            if not sent and when in shown:
                sent = True
                os.write(master, typed)
                if kill:
                    time.sleep(0.3)
                    running.send_signal(kill)
            if select.select([master], [], [], 0.1)[0]:
                try:
                    part = os.read(master, 65536)
                except OSError:
                    break  # the terminal's other end is closed
                if not part:
                    break
                shown += part
        code = running.wait(timeout=60)
        os.close(master)
        return code, shown.decode()

    def test_delete_asks_and_only_yes_deletes(self):
        token = self.issue("alice", "--scope", "read")
        for typed in (b"n\n", b"\n", b"x\n", b"yesterday\n", b"\x04"):
            code, shown = self.at_terminal("delete", id_of(token), typed=typed, when=b"[y/N]")
            self.assertEqual(code, CANCELLED, shown)
            self.assertIn("nothing was changed", shown)
        self.assertEqual(self.validate(token).code, OK)
        code, shown = self.at_terminal("delete", id_of(token), typed=b"y\n", when=b"[y/N]")
        self.assertEqual(code, OK, shown)
        self.assertEqual(self.validate(token).code, INVALID)

    def test_revoke_all_and_purge_ask_too_and_yes_silences_them(self):
        token = self.issue("alice", "--scope", "read")
        for command in (["owner", "revoke-all", "alice"], ["purge", "--before", "1d"]):
            self.assertEqual(self.at_terminal(*command, typed=b"no\n", when=b"[y/N]")[0], CANCELLED)
            if command[0] == "owner":
                self.assertEqual(self.validate(token).code, OK)
            code, shown = self.at_terminal(*command, "--yes")
            self.assertEqual(code, OK)
            self.assertNotIn("[y/N]", shown)
        self.assertEqual(self.validate(token).code, INVALID)

    def test_a_typed_token_is_not_echoed(self):
        token = self.issue("alice", "--scope", "read")
        code, shown = self.at_terminal("validate", "--scope", "read", typed=token.encode() + b"\n", when=b"not shown): ")
        self.assertEqual(code, OK, shown)
        self.assertIsNone(leaked_piece(secret_of(token), shown))
        self.assertIn("valid", shown)

    def test_an_interrupt_while_typing_ends_the_command(self):
        code, _ = self.at_terminal("validate", "--scope", "read", when=b"not shown): ", kill=signal.SIGINT)
        self.assertEqual(code, -signal.SIGINT)

    def test_check_and_list_on_a_terminal(self):
        for at in range(3):
            self.issue("alice", "--description", "x" * 200)
        self.assertEqual(self.at_terminal("check")[0], OK)
        code, shown = self.at_terminal("list")
        self.assertEqual(code, OK)
        self.assertEqual(len([line for line in shown.splitlines() if "active" in line]), 3)


class Pipes(StoreCase):
    def into_closed_pipe(self, *args):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([COMMAND, *args], stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE,
                              env=self.environment(), timeout=60)
        os.close(writing)
        return done.returncode, done.stderr.decode()

    def test_a_reader_that_goes_away_ends_a_list_quietly(self):
        self.issue()
        for command in (["list"], ["list", "--json"], ["stats"], ["--help"], ["completion", "bash"]):
            self.assertEqual(self.into_closed_pipe(*command), (CLOSED, ""), command)

    def test_a_token_that_nobody_could_read_is_deleted_again(self):
        before = self.succeed("list", "--all", "--json").out
        for form in ((), ("--json",), ("--quiet",)):
            code, told = self.into_closed_pipe("issue", "alice", *form)
            self.assertEqual(code, UNAVAILABLE)
            self.assertIn("deleted again", told)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([COMMAND, "issue", "alice"], stdout=full, stderr=subprocess.PIPE,
                                  env=self.environment(), timeout=60)
        self.assertEqual(done.returncode, UNAVAILABLE)
        done = subprocess.run(["sh", "-c", '"$0" issue alice >&-', COMMAND], stderr=subprocess.PIPE,
                              env=self.environment(), timeout=60)
        self.assertEqual(done.returncode, UNAVAILABLE)
        self.assertEqual(self.succeed("list", "--all", "--json").out, before)

    def test_a_full_disk_behind_standard_output_is_an_error(self):
        self.issue()
        with open("/dev/full", "wb") as full:
            done = subprocess.run([COMMAND, "list"], stdout=full, stderr=subprocess.PIPE, env=self.environment(),
                                  timeout=60)
        self.assertEqual(done.returncode, UNAVAILABLE)
        self.assertIn(b"standard output cannot be written", done.stderr)

    def test_closed_descriptors_do_not_reach_the_database(self):
        token = self.issue("alice", "--scope", "read")
        for closed in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
            for command in ("list", "revoke 0000000000000000", "nonsense", "check"):
                subprocess.run(["sh", "-c", f'"$0" {command} {closed}', COMMAND], capture_output=True,
                               env=self.environment(), timeout=60)
        self.succeed("check")
        self.assertEqual(self.validate(token).code, OK)


if __name__ == "__main__":
    unittest.main()
