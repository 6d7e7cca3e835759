"""A canary: no piece of a secret is in any answer, message or file, whatever is asked for."""
import contextlib
import os
import pathlib
import subprocess
import time
import unittest

from support import COMMAND, USAGE, StoreCase, id_of, leaked_piece, secret_of


class Canary(StoreCase):
    def test_no_answer_message_or_file_holds_a_piece_of_a_secret(self):
        # run_command looks for pieces of each issued secret in everything that follows.
        tokens = [self.issue("alice", "--scope", "read", "--description", f"number {at}") for at in range(4)]
        ids = [id_of(token) for token in tokens]
        for token in tokens:
            for form in ((), ("--json",), ("--quiet",)):
                self.run_command("validate", "--scope", "read", *form, stdin=token)
                self.run_command("validate", "--scope", "write", *form, stdin=token)
                self.run_command("validate", "--scope", "read", *form, stdin=token + "x")
                self.run_command("validate", "--scope", "read", *form, stdin=token[:-1] + ("0" if token[-1] != "0" else "1"))
                self.run_command("validate", "--scope", "read", *form, "--prefix", "other", stdin=token)
                self.run_command("validate", "--scope", "read", *form, "--db", "/nonexistent", stdin=token)
                self.run_command("validate", *form, stdin=token)
                self.run_command("validate", "--scope", "read", *form, token, stdin=token)
        for form in ((), ("--json",), ("--quiet",)):
            for command in (["list"], ["list", "--all"], ["list", "--count"], ["list", "--text", "number"],
                            ["show", ids[0]], ["stats"], ["check"], ["owner", "show", "alice"], ["owner", "list"],
                            ["policy", "show"], ["expire", ids[0]], ["revoke", ids[1]], ["delete", ids[2], "--yes"],
                            ["owner", "suspend", "alice"], ["owner", "revoke-all", "alice", "--yes"],
                            ["purge", "--before", "1s"], ["pattern"], ["init"]):
                self.run_command(*command, *form)
        files = [path for path in self.directory.rglob("*") if path.is_file()]
        self.assertGreaterEqual(len(files), 2)
        for path in files:
            text = path.read_bytes().decode("latin-1")
            for secret in self.secrets:
                self.assertIsNone(leaked_piece(secret, text), path)

    def test_the_search_of_files_finds_a_planted_token(self):
        token = self.issue()
        planted = self.directory / "planted"
        planted.write_text("x" + token)
        self.assertIsNotNone(leaked_piece(secret_of(token), planted.read_bytes().decode("latin-1")))

    def test_a_refused_argument_leaves_the_process_list(self):
        token = self.issue()
        self.assertNotIn(secret_of(token), self.arguments_while_refusing("show", token))
        self.assertIn("frobnicate", self.arguments_while_refusing("frobnicate"))  # and the look-up can see arguments

    def arguments_while_refusing(self, *args):
        """What the process list shows while the command is held up writing its error to a full pipe."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
        running = subprocess.Popen([COMMAND, *args], stderr=writing, env=self.environment())
        os.close(writing)
        listed = pathlib.Path(f"/proc/{running.pid}")
        end = time.monotonic() + 30
        while "pipe_write" not in self.waiting_in(listed) and time.monotonic() < end:
            time.sleep(0.02)
        shown = (listed / "cmdline").read_text()
        while os.read(reading, 65536):
            pass
        os.close(reading)
        self.assertEqual(running.wait(timeout=30), USAGE)
        return shown

    @staticmethod
    def waiting_in(listed):
        return (listed / "wchan").read_text() or (listed / "syscall").read_text()

    def test_the_key_is_in_no_answer(self):
        key = (self.directory / "tokens.db.key").read_text().split()[-1]
        self.assertEqual(len(key), 64)
        for command in (["list"], ["stats"], ["check"], ["init"], ["show", "0" * 16], ["keygen", "tokens.db.key"]):
            answer = self.run_command(*command)
            self.assertIsNone(leaked_piece(key, answer.out + answer.err))


if __name__ == "__main__":
    unittest.main()
