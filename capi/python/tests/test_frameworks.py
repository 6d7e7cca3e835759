"""Every framework answers as RFC 6750 says: real servers, real requests, real applications."""

import contextlib
import json
import pathlib
import subprocess
import sys

import applications
import pytest
import serving
import tokenstore
from conftest import ALICE, HOST, TREE, leaked

REALM = 'Bearer realm="notes"'
INVALID = f'{REALM}, error="invalid_token", error_description="the token is not valid"'
HIDE = str(pathlib.Path(TREE) / "tests" / "support" / "hidden_tables.py")
FRAMEWORKS = ("fastapi", "starlette", "flask", "django", "django/async", "django/class", "django/rest")

# Of Debian's Django itself: what it imports, and a file for the request's body that its ASGI handler leaves open.
pytestmark = [
    pytest.mark.filterwarnings("ignore:'cgi' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:(?s).*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning"),
]


class Served:
    """An application that is being served, and its store."""

    def __init__(self, framework, client, store, database):
        self.framework, self.client, self.store, self.database = framework, client, store, database
        self.prefix = {"django/async": "/async", "django/class": "/class", "django/rest": "/rest"}.get(framework, "")

    def issue(self, *scopes, owner="alice"):
        issued = self.store.issue(HOST, owner=owner, scopes=scopes)
        return issued.text.reveal(), issued.id

    def who(self, *headers, **request):
        return self.client.ask(self.prefix + "/who", *headers, **request)

    def who_as(self, token, **request):
        return self.who(f"Authorization: Bearer {token}", **request)

    def both_as(self, token):
        """A request that needs notes:read and notes:write."""
        if self.framework in ("django/class", "django/rest"):
            return self.who_as(token, method="POST")
        return self.client.ask_as(token, "/both")


@pytest.fixture(params=FRAMEWORKS)
def served(request, tmp_path):
    database = tmp_path / "tokens.db"
    with contextlib.ExitStack() as stack:
        if request.param.startswith("django"):
            store = stack.enter_context(applications.django_store(database))
            client = stack.enter_context(applications.django_served(request.param[6:]))
        else:
            store = stack.enter_context(tokenstore.open(database))
            app = getattr(applications, f"{request.param}_app")(store)
            client = stack.enter_context((serving.wsgi if request.param == "flask" else serving.asgi)(app))
        yield Served(request.param, client, store, database)


def test_an_open_page_needs_no_token(served):
    answer = served.client.ask("/")
    assert (answer.status, answer.header("WWW-Authenticate")) == (200, None)


def test_a_valid_token_gets_its_owner_s_answer(served):
    for owner in ("alice", "bob"):
        token, _ = served.issue("notes:read", owner=owner)
        for scheme in ("Bearer", "bearer", "BEARER"):
            answer = served.who(f"Authorization: {scheme} {token}")
            assert (answer.status, json.loads(answer.body)["owner"]) == (200, owner)
            assert answer.header("WWW-Authenticate") is None
    assert served.store.statistics().hits > 0


def test_no_token_is_401_without_an_error_code(served):
    for headers in ((), ("Authorization: Basic YWxpY2U6c2VjcmV0",), ("Authorization: Bearerpat_1",)):
        answer = served.who(*headers)
        assert (answer.status, answer.header("WWW-Authenticate")) == (401, REALM), headers


def test_a_wrong_scope_is_403_and_names_what_is_needed(served):
    token, _ = served.issue("notes:write")
    answer = served.who_as(token)
    assert answer.status == 403
    assert answer.header("WWW-Authenticate") == f'{REALM}, error="insufficient_scope", scope="notes:read"'
    assert served.who_as(served.issue()[0]).status == 403


def test_a_route_for_two_scopes_needs_both(served):
    for scopes, status in ((("notes:read",), 403), (("notes:write",), 403), (("notes:read", "notes:write"), None)):
        answer = served.both_as(served.issue(*scopes)[0])
        if status is None:
            assert answer.status in (200, 201)
        else:
            assert answer.status == status
            assert "insufficient_scope" in answer.header("WWW-Authenticate")
            assert {'scope="notes:read notes:write"', 'scope="notes:write notes:read"'} & {
                part.strip() for part in answer.header("WWW-Authenticate").split(",")
            }


def test_every_bad_token_has_one_and_the_same_answer(served):
    good, _ = served.issue("notes:read")
    expired, expired_id = served.issue("notes:read")
    revoked, revoked_id = served.issue("notes:read")
    removed, removed_id = served.issue("notes:read")
    of_bob, _ = served.issue("notes:read", owner="bob")
    for token in (expired, revoked, removed, of_bob):
        assert served.who_as(token).status == 200
    served.store.expire(HOST, expired_id)
    served.store.revoke(HOST, revoked_id)
    served.store.remove(HOST, removed_id)
    served.store.suspend(HOST, "bob")
    last = "0" if good[-1] != "0" else "1"
    bad = [expired, revoked, removed, of_bob, good[:-1] + last, good[:-1], good + "0", good + " x", "ghp" + good[3:]]
    bad += ["secret", f'"{good}"', "p\xe4t_1", good.swapcase(), "A" * 4000]
    answers = {served.who_as(token).outward() for token in bad}
    assert len(answers) == 1, "a client could tell the reasons apart"
    status, challenge, body, _ = answers.pop()
    assert (status, challenge) == (401, INVALID)
    assert served.who_as(good).status == 200


def test_more_than_one_token_is_400(served):
    token, _ = served.issue("notes:read")
    for headers in (
        (f"Authorization: Bearer {token}", "Authorization: Bearer x"),
        ("Authorization: Bearer",),
        ("Authorization: Bearer ",),
    ):
        answer = served.who(*headers)
        assert (answer.status, answer.header("WWW-Authenticate")) == (400, f'{REALM}, error="invalid_request"')


def test_a_token_in_the_url_is_not_taken(served):
    token, _ = served.issue("notes:read")
    assert served.client.ask(f"{served.prefix}/who?access_token={token}").status == 401


def test_storage_that_cannot_be_read_is_503_and_not_401(served):
    token, _ = served.issue("notes:read")
    assert served.who_as(token).status == 200
    subprocess.run([sys.executable, HIDE, "hide", served.database], check=True)
    answer = served.who_as(token)
    subprocess.run([sys.executable, HIDE, "show", served.database], check=True)
    assert (answer.status, answer.header("Retry-After"), answer.header("WWW-Authenticate")) == (503, "1", None)
    assert served.who_as(token).status == 200, "and it works again afterwards"


def test_the_log_says_why_and_neither_it_nor_an_answer_holds_a_piece_of_the_token(served, caplog):
    caplog.set_level("INFO", logger="tokenstore")
    token, token_id = served.issue("notes:write")
    texts = [served.who_as(token).body.decode()]
    served.store.revoke(ALICE, token_id)
    texts.append(served.who_as(token).body.decode())
    log = [record.getMessage() for record in caplog.records if record.name == "tokenstore"]
    assert log == [f"a token was refused: insufficient_scope, token {token_id}", "a token was refused: revoked"]
    assert not any(leaked(token, text) for text in [*texts, caplog.text])


def test_the_last_use_is_noted_with_the_client_s_address(served):
    token, token_id = served.issue("notes:read")
    assert served.who_as(token).status == 200
    used = served.store.get(HOST, token_id)
    assert used.last_used_at is not None and used.last_used_from == "127.0.0.1"
