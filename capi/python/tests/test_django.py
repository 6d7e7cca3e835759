"""Django's own: settings that are checked, routes that are checked, and the management command."""

import os
import pathlib
import subprocess
import sys

import pytest
import tokenstore
from conftest import HOST

HERE = pathlib.Path(__file__).parent


def manage(database, *arguments, urls="django_project.urls", settings="", media=""):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        "DJANGO_SETTINGS_MODULE": "django_project.settings",
        "DJANGO_PROJECT_DATABASE": str(database),
        "DJANGO_PROJECT_URLS": urls,
        "DJANGO_PROJECT_MEDIA": str(media),
    }
    run = "import sys\nfrom django.core.management import execute_from_command_line\n"
    run += "execute_from_command_line(['manage.py', *sys.argv[1:]])"
    command = [sys.executable, "-W", "ignore", "-c", f"{settings}\n{run}", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_a_project_that_names_its_scopes_passes_the_check(tmp_path):
    done = manage(tmp_path / "tokens.db", "check", "--fail-level", "WARNING")
    assert (done.returncode, done.stdout) == (0, "System check identified no issues (0 silenced).\n"), done.stderr
    assert not (tmp_path / "tokens.db").exists(), "checking opens nothing"


def test_routes_that_forget_are_errors_and_keep_the_project_from_starting(tmp_path):
    for command in (["check"], ["runserver", "--noreload", "0"]):
        done = manage(tmp_path / "tokens.db", *command, urls="django_project.urls_that_forget")
        assert done.returncode == 1
        lines = sorted(line for line in done.stderr.splitlines() if "tokenstore.E" in line)
        assert len(lines) == 3, done.stderr
        assert "(tokenstore.E003) the route in/half: the view Half: name the scope of DELETE" in lines[0]
        assert "(tokenstore.E003) the route nameless: the view Nameless: name the scope" in lines[1]
        assert "(tokenstore.E004) the route in/open: the view Open takes tokens, but does not demand one" in lines[2]


@pytest.mark.parametrize(
    "given, problem",
    [
        ("None", "set TOKENSTORE to a dict"),
        ("{}", "needs one of PATH and POSTGRES"),
        ("{'PATH': 'a', 'POSTGRES': 'b'}", "needs one of PATH and POSTGRES"),
        ("{'PATH': 7}", "TOKENSTORE['PATH'] must be a str, not int"),
        ("{'PATH': 'a', 'PAHT': 'b'}", "TOKENSTORE has no PAHT: it takes OPTIONS, PATH, POSTGRES, REALM"),
        ("{'PATH': 'a', 'REALM': 'x\"y'}", "TOKENSTORE['REALM']: realm must be"),
        ("{'PATH': 'a', 'OPTIONS': {'prefixx': 'b'}}", "tokenstore.open has no option prefixx"),
        ("{'POSTGRES': 'host=x', 'OPTIONS': {'vfs': 'b'}}", "tokenstore.open_postgres has no option vfs"),
        ("{'PATH': 'a', 'OPTIONS': 7}", "TOKENSTORE['OPTIONS'] must be a dict"),
    ],
)
def test_a_setting_that_cannot_work_is_an_error(tmp_path, given, problem):
    changed = f"import django_project.settings as settings; settings.TOKENSTORE = {given}"
    done = manage(tmp_path / "tokens.db", "check", settings=changed)
    assert done.returncode == 1
    assert f"(tokenstore.E001) {problem}" in done.stderr or problem in done.stderr, done.stderr
    assert "tokenstore.E001" in done.stderr


def test_a_database_that_is_served_is_an_error(tmp_path):
    (tmp_path / "media").mkdir()
    done = manage(tmp_path / "media" / "tokens.db", "check", media=tmp_path / "media")
    assert done.returncode == 1 and "(tokenstore.E002) TOKENSTORE['PATH'] lies inside MEDIA_ROOT" in done.stderr


def test_the_command_issues_lists_and_ends_tokens(tmp_path):
    database = tmp_path / "tokens.db"
    wanted = ("--scope", "notes:read", "--description", "laptop", "--days", "2")
    issued = manage(database, "tokenstore", "issue", "alice", *wanted)
    assert issued.returncode == 0, issued.stderr
    text = issued.stdout.strip()
    with tokenstore.open(database) as store:
        verdict = store.validate(text, "notes:read")
        assert (verdict.valid, verdict.owner) == (True, "alice")
        listed = manage(database, "tokenstore", "list", "--owner", "alice").stdout.split("\t")
        assert listed[:4] == [verdict.id, "active", "alice", "notes:read"] and listed[5] == "laptop\n"
        assert manage(database, "tokenstore", "suspend", "alice").stdout == "alice suspended\n"
        assert not store.validate(text, "notes:read").valid
        assert manage(database, "tokenstore", "resume", "alice").returncode == 0
        assert store.validate(text, "notes:read").valid
        revoked = manage(database, "tokenstore", "revoke", verdict.id, "--reason", "lost")
        assert revoked.stdout == f"{verdict.id} revoked\n"
        assert store.get(HOST, verdict.id).revoke_reason == "lost"
        assert "1 tokens, 1 owners, 0 problems" in manage(database, "tokenstore", "check").stdout


def test_the_command_says_in_one_line_what_is_wrong(tmp_path):
    database = tmp_path / "tokens.db"
    for arguments in (
        ("revoke", "0" * 16),
        ("issue", "alice", "--scope", "two words"),
        ("issue", "alice", "--days", "1e300"),
        ("issue", "alice", "--never-expires"),
        ("fly",),
    ):
        done = manage(database, "tokenstore", *arguments)
        assert done.returncode != 0 and done.stdout == "" and "Traceback" not in done.stderr, arguments
        assert done.stderr.splitlines()[-1].startswith(("CommandError: ", "manage.py tokenstore: error:")), done.stderr


REQUESTS = """
import sys, django
django.setup()
from django.conf import settings
from django.test import Client
from tokenstore import Actor
from tokenstore.django import get_store, scope_required
text = get_store().issue(Actor.user("alice"), scopes=["notes:read"]).text.reveal()
client = Client(HTTP_HOST="localhost", raise_request_exception=False, enforce_csrf_checks=True)
for path in sys.argv[1:]:
    for header in ({}, {"HTTP_AUTHORIZATION": "Bearer " + text}):
        method = client.delete if path == "/in/half" else client.get
        print(path, bool(header), method(path, **header).status_code)
for scopes in ((), ("two words",), (print,)):
    try:
        scope_required(*scopes)
    except (TypeError, ValueError) as error:
        print(type(error).__name__, error)
from tokenstore.django import ScopeRequiredMixin
from django.views import View
class Nameless(ScopeRequiredMixin, View):
    def get(self, request): pass
try:
    Nameless.as_view()
except ValueError as error:
    print("as_view:", error)
"""


def test_a_route_that_forgets_lets_nobody_in_even_if_nobody_checks(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        "DJANGO_SETTINGS_MODULE": "django_project.settings",
        "DJANGO_PROJECT_DATABASE": str(tmp_path / "tokens.db"),
        "DJANGO_PROJECT_URLS": "django_project.urls_that_forget",
    }
    command = [sys.executable, "-W", "ignore", "-c", REQUESTS, "/nameless", "/in/half"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:4] == ["/nameless False 500", "/nameless True 500", "/in/half False 500", "/in/half True 500"]
    assert lines[4] == 'ValueError name the scope that the route needs, as in @scope_required("notes:read")'
    assert lines[5].startswith("ValueError a scope is one word") and lines[6].startswith("TypeError name the scope")
    assert lines[7].startswith("as_view: name the scope that the route needs")
