"""The one-file form with its PostgreSQL file: two stores of one host see each other's changes.

    python3 test_postgres.py HOST
"""

import subprocess
import sys

from throwaway_postgres import ThrowawayPostgres

with ThrowawayPostgres() as postgres:
    done = subprocess.run([sys.argv[1], postgres.conninfo], stdout=subprocess.PIPE, text=True, timeout=60)
print(done.stdout, end="")
sys.exit(done.returncode != 0 or done.stdout != "one: valid\ntwo: valid\none: invalid\ntwo: invalid\n")
