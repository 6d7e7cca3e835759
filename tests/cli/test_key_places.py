"""Keys from elsewhere than a file of mode 0600: descriptors, credentials, secrets of a container."""
import os
import pathlib
import shutil
import subprocess
import unittest

from support import CANNOT_OPEN, COMMAND, OK, USAGE, StoreCase

TRUST = "--key-file-trust"


class KeyPlaces(StoreCase):
    def setUp(self):
        super().setUp()
        self.token = self.issue("alice", "--scope", "read")
        self.key = self.directory / "elsewhere.key"
        os.rename(f"{self.db}.key", self.key)

    def validate_with(self, *args, **more):
        return self.run_command("validate", "--scope", "read", *args, stdin=self.token, env=self.environment(**more))

    def test_a_key_file_behind_links_is_taken(self):
        link = self.directory / "link.key"
        link.symlink_to("elsewhere.key")
        self.assertEqual(self.validate_with("--key-file", link).code, OK)
        self.key.chmod(0o644)
        self.assertEqual(self.validate_with("--key-file", link).code, CANNOT_OPEN)

    def test_the_variable_names_the_key_file_and_the_option_goes_before_it(self):
        self.assertEqual(self.validate_with(TOKENSTORE_KEY_FILE=str(self.key)).code, OK)
        self.assertEqual(self.validate_with(TOKENSTORE_KEY_FILE="").code, CANNOT_OPEN)
        self.assertEqual(self.validate_with("--key-file", self.key, TOKENSTORE_KEY_FILE="nowhere").code, OK)
        self.assertEqual(self.validate_with("--key-file", self.key, TOKENSTORE_KEY_CREDENTIAL="nowhere").code, OK)

    def test_a_credential_is_found_by_its_name(self):
        credentials = self.directory / "credentials"
        credentials.mkdir()
        shutil.copy(self.key, credentials / "tokens.key")
        (credentials / "tokens.key").chmod(0o400)
        there = {"CREDENTIALS_DIRECTORY": str(credentials)}
        self.assertEqual(self.validate_with("--key-credential", "tokens.key", **there).code, OK)
        self.assertEqual(self.validate_with(TOKENSTORE_KEY_CREDENTIAL="tokens.key", **there).code, OK)
        self.succeed("init", "--workspace", "acme", "--key-credential", "tokens.key", env=self.environment(**there))
        refused = self.validate_with("--key-credential", "tokens.key")
        self.assertEqual(refused.code, CANNOT_OPEN)
        self.assertIn("LoadCredential=tokens.key:", refused.err)

    def test_two_places_at_once_and_unknown_trust_are_wrong_usage(self):
        self.fail_with(USAGE, "list", "--key-file", self.key, "--key-credential", "x")
        self.fail_with(USAGE, "list", env=self.environment(TOKENSTORE_KEY_FILE="a", TOKENSTORE_KEY_CREDENTIAL="b"))
        for wrong in ("everything", "group-readable-of-root,", ",", "inherited-descriptor,,world-readable-of-root"):
            self.fail_with(USAGE, "list", "--key-file", self.key, TRUST, wrong)
            self.fail_with(USAGE, "list", env=self.environment(TOKENSTORE_KEY_FILE_TRUST=wrong))

    def test_a_file_of_root_that_others_may_read_is_taken_by_its_name_alone(self):
        self.assertEqual(os.geteuid(), 0, "run this test as root: it needs a file of root's")
        for mode, name in ((0o440, "group-readable-of-root"), (0o444, "world-readable-of-root")):
            self.key.chmod(mode)
            refused = self.validate_with("--key-file", self.key)
            self.assertEqual(refused.code, CANNOT_OPEN)
            self.assertIn(f"allow {name}", refused.err)
            self.assertEqual(self.validate_with("--key-file", self.key, TRUST, name).code, OK)
            self.assertEqual(self.validate_with(TOKENSTORE_KEY_FILE=str(self.key), TOKENSTORE_KEY_FILE_TRUST=name).code,
                             OK)
            self.assertEqual(self.validate_with("--key-file", self.key, TRUST, "inherited-descriptor").code, CANNOT_OPEN)

    def test_a_pipe_gives_the_key_to_every_command(self):
        """Also to `init` and `copy`, which need it more than once."""
        script = '"$@" --key-file /dev/fd/7 --key-file-trust inherited-descriptor 7< <(cat elsewhere.key)'
        for command in (["list"], ["init", "--workspace", "acme"], ["copy", "--to", "copy.db"],
                        ["--db", "fresh.db", "init"]):
            done = subprocess.run(["bash", "-c", script, "bash", COMMAND, *command], capture_output=True, text=True,
                                  timeout=60, cwd=self.directory, env=self.environment())
            self.assertEqual(done.returncode, OK, (command, done.stderr))
        self.assertFalse(pathlib.Path(self.directory / "fresh.db.key").exists())
        done = subprocess.run(["bash", "-c", script.replace(" --key-file-trust inherited-descriptor", ""), "bash",
                               COMMAND, "list"], capture_output=True, text=True, timeout=60, cwd=self.directory,
                              env=self.environment())
        self.assertEqual(done.returncode, CANNOT_OPEN)
        self.assertIn("allow inherited-descriptor", done.stderr)


if __name__ == "__main__":
    unittest.main()
