"""A throw-away PostgreSQL for tests in Python: the program that THROWAWAY_POSTGRES names, told what to do by words."""
import os
import subprocess


class ThrowawayPostgres:
    """Up while the context lasts. `conninfo` is how to reach it."""

    def __enter__(self):
        self.process = subprocess.Popen([os.environ["THROWAWAY_POSTGRES"]], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.conninfo = self.process.stdout.readline().strip()
        assert self.conninfo, "PostgreSQL did not start"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(timeout=120) == 0
        self.process.stdout.close()

    def tell(self, word):
        """Returns when the program has done it."""
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n", word
