"""Help, manual page, documentation and completions: they agree with the command, and they work."""
import pathlib
import re
import shutil
import subprocess
import unittest

from support import COMMAND, OK, SOURCE, CommandCase

ROOM = SOURCE / "src" / "cli"
COMMANDS = ["init", "issue", "list", "show", "validate", "expire", "revoke", "delete", "purge", "owner", "policy", "key",
            "check", "pattern", "stats", "backup", "restore", "copy", "journal", "keygen", "completion"]
GROUPS = {"owner": ["show", "list", "suspend", "resume", "allow", "revoke-all"], "policy": ["show", "set"],
          "key": ["list", "status", "add", "activate", "retire", "remove", "reseal"],
          "journal": ["show", "verify", "accept", "heal"]}
LEAVES = [[command] for command in COMMANDS if command not in GROUPS] + [
    [group, command] for group, commands in GROUPS.items() for command in commands]


class Help(CommandCase):
    def options_of(self, command):
        text = self.succeed(*command, "--help").out
        return set(re.findall(r"(?m)^  (?:-\w,)?(--[a-z-]+)", text)) - {"--help"}

    def test_help_names_every_command_and_the_commands_are_no_others(self):
        listed = re.findall(r"(?m)^  ([a-z-]+)  ", self.succeed("--help").out.split("Subcommands:")[1])
        self.assertEqual(sorted(listed), sorted(COMMANDS))
        for group, commands in GROUPS.items():
            listed = re.findall(r"(?m)^  ([a-z-]+)  ", self.succeed(group, "--help").out.split("Subcommands:")[1])
            self.assertEqual(sorted(listed), sorted(commands))

    def test_help_goes_to_standard_output_and_the_version_too(self):
        for args in (["-h"], ["list", "-h"], ["--version"]):
            answer = self.succeed(*args)
            self.assertEqual((answer.code, answer.err), (OK, ""))
        self.assertRegex(self.succeed("--version").out, r"\Atokenstore \d+\.\d+\.\d+\n\Z")

    def test_every_exit_status_is_in_help_manual_and_documentation(self):
        header = (ROOM / "exit_code.hpp").read_text()
        codes = re.findall(r"(?m)^  \w+ = (\d+),", header)
        self.assertGreaterEqual(len(codes), 13)
        shown = self.succeed("--help").out
        manual = (ROOM / "tokenstore.1").read_text()
        documented = (SOURCE / "docs" / "cli.md").read_text()
        for code in codes:
            self.assertRegex(shown, rf"(?m)(^|  )\s*{code} \w")
            self.assertRegex(manual, rf"(?m)^\.It {code}$")
            self.assertRegex(documented, rf"(?m)^\| {code} \|")

    def test_every_command_and_option_is_in_manual_documentation_and_completions(self):
        manual = (ROOM / "tokenstore.1").read_text()
        documented = (SOURCE / "docs" / "cli.md").read_text()
        bash = (ROOM / "completions" / "tokenstore.bash").read_text()
        zsh = (ROOM / "completions" / "_tokenstore").read_text()
        rendered = re.sub(".\b", "", subprocess.run(["mandoc", "-T", "ascii", ROOM / "tokenstore.1"], check=True,
                                                     capture_output=True, text=True).stdout)
        for command in LEAVES:
            self.assertRegex(manual, r"(?m)^\.It Cm " + " ".join(command) + r"\b")
            self.assertIn(f"`{' '.join(command)}", documented)
        for command in [[], *LEAVES]:
            for option in self.options_of(command):
                self.assertRegex(rendered, rf"{option}\b", command)
                self.assertIn(option, documented, command)
                self.assertRegex(bash, rf"{option}\b", command)
                self.assertRegex(zsh, rf"{option}\b", command)

    def test_the_manual_is_clean(self):
        done = subprocess.run(["mandoc", "-T", "lint", ROOM / "tokenstore.1"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_the_command_sees_public_headers_alone(self):
        allowed = re.compile(r'#include "(cli|tokenstore)/')
        for path in [*ROOM.glob("*.cpp"), *ROOM.glob("*.hpp")]:
            for line in path.read_text().splitlines():
                if line.startswith('#include "'):
                    self.assertRegex(line, allowed, path)


class Completion(CommandCase):
    def complete_in_bash(self, *words):
        """What bash offers for the last word, by way of the function that `complete` registered."""
        script = ('eval "$("$1" completion bash)"; shift; complete -p tokenstore >/dev/null || exit 9\n'
                  'function_name=$(complete -p tokenstore | sed -n "s/.*-F \\([^ ]*\\) .*/\\1/p")\n'
                  'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}\n'
                  '"$function_name" tokenstore "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"\n'
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "--norc", "-c", script, "bash", COMMAND, "tokenstore", *words],
                              capture_output=True, text=True, timeout=60, cwd=self.directory)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_bash_completes_commands_options_and_values(self):
        self.assertEqual(sorted(self.complete_in_bash("")), sorted(COMMANDS))
        self.assertEqual(self.complete_in_bash("rev"), ["revoke"])
        self.assertEqual(self.complete_in_bash("owner", "re"), ["resume", "revoke-all"])
        self.assertEqual(self.complete_in_bash("--json", "policy", ""), ["show", "set"])
        self.assertEqual(self.complete_in_bash("--db", "x.db", "owner", "sus"), ["suspend"])
        self.assertEqual(self.complete_in_bash("issue", "alice", "--sco"), ["--scope"])
        self.assertEqual(self.complete_in_bash("list", "--state", "re"), ["revoked"])
        self.assertEqual(self.complete_in_bash("policy", "set", "--never-allowed", ""), ["yes", "no"])
        self.assertEqual(self.complete_in_bash("completion", ""), ["bash", "zsh"])
        self.assertEqual(self.complete_in_bash("list", "--work"), ["--workspace"])
        self.assertEqual(self.complete_in_bash("list", "--owner", ""), [])
        (self.directory / "tokens.db").write_text("")
        self.assertEqual(self.complete_in_bash("--db", "tok"), ["tokens.db"])

    def test_bash_offers_every_option_of_every_command(self):
        for command in LEAVES:
            offered = set(self.complete_in_bash(*command, "--"))
            self.assertLessEqual(Help.options_of(self, command) | {"--db", "--json"}, offered, command)

    def test_zsh_reads_its_script_and_completes_commands(self):
        script = self.directory / "_tokenstore"
        script.write_text(self.succeed("completion", "zsh").out)
        self.assertIsNotNone(shutil.which("zsh"))
        done = subprocess.run(["zsh", "-n", script], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        loaded = subprocess.run(["zsh", "-f", "-c", f"fpath=({self.directory} $fpath); autoload -Uz compinit; "
                                 "compinit -u -D; whence -w _tokenstore; print $_comps[tokenstore]"],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(loaded.stdout.split(), ["_tokenstore:", "function", "_tokenstore"], loaded.stderr)

    def test_zsh_script_that_is_broken_is_noticed(self):
        script = self.directory / "broken"
        script.write_text(self.succeed("completion", "zsh").out.replace("esac ;;", "", 1))
        self.assertNotEqual(subprocess.run(["zsh", "-n", script], capture_output=True).returncode, 0)

    def test_the_scripts_are_those_of_the_tree(self):
        for shell, name in (("bash", "tokenstore.bash"), ("zsh", "_tokenstore")):
            self.assertEqual(self.succeed("completion", shell).out, (ROOM / "completions" / name).read_text())

    def test_no_database_is_needed(self):
        for args in (["completion", "bash"], ["completion", "zsh"], ["pattern"], ["--version"], ["--help"]):
            self.succeed(*args)
        self.assertEqual(list(pathlib.Path(self.directory).iterdir()), [])


if __name__ == "__main__":
    unittest.main()
