"""Whatever is passed to whatever is public: an answer, or an exception of those that are documented. Never another one,
never a crash; and the store goes on working."""

import inspect
import os
from datetime import datetime, timedelta, timezone

import tokenstore
from conftest import ALICE, HOST, ROOT, leaked, times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenstore import Actor, KeyFileTrust, KeyUse, Lifetime, ManualClock, Policy, Request, State

settings.register_profile(
    "tokenstore",
    max_examples=times("TOKENSTORE_PYTHON_EXAMPLES", 300),
    deadline=None,
    database=None,
    derandomize="TOKENSTORE_PYTHON_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("tokenstore")

STORE = tokenstore.open_memory(clock=ManualClock(datetime(2030, 1, 1, tzinfo=timezone.utc)))
ISSUED = STORE.issue(ALICE, scopes=["read"])
TEXT = ISSUED.text.reveal()

texts = st.one_of(
    st.text(),
    st.text(alphabet=st.characters(), max_size=300),  # surrogates as well
    st.sampled_from(["", "read", "alice", TEXT, ISSUED.id, "\0", "\ud800", "pat_" + "0" * 80, "a" * 9000]),
)
numbers = st.one_of(st.integers(), st.sampled_from([0, -1, 1, 2**31, 2**32, 2**63 - 1, 2**63, -(2**63) - 1, 10**30]))
times_of_day = st.one_of(st.datetimes(), st.datetimes(timezones=st.just(timezone.utc)), st.none())
durations = st.one_of(st.timedeltas(), st.sampled_from(list(Lifetime)), st.just(timedelta(0)))
actors = st.one_of(
    st.sampled_from([ALICE, HOST, ROOT]),
    st.builds(Actor, numbers, texts),
    st.builds(Actor.user, st.text()),
)
requests = st.builds(
    Request,
    st.one_of(texts, st.none()),
    st.one_of(st.lists(texts, max_size=70), texts, st.none()),
    st.one_of(texts, st.none()),
    st.one_of(st.binary(max_size=5000), texts),
    durations,
    times_of_day,
)
policies = st.builds(
    Policy,
    durations,
    durations,
    st.one_of(st.none(), numbers),
    st.booleans(),
    st.booleans(),
    st.sampled_from([True, 1]),
)
anything = st.one_of(
    texts,
    numbers,
    durations,
    times_of_day,
    actors,
    st.lists(texts, max_size=5),
    st.lists(requests, max_size=4),
    st.binary(max_size=200),
    st.booleans(),
    st.floats(),
    policies,
    st.sampled_from([*State, *KeyUse, *KeyFileTrust, object(), ISSUED, ISSUED.text, ISSUED.token, STORE, len, type]),
)
EXPECTED = (tokenstore.Error, TypeError, ValueError)
# Closing ends the test; backup and copy make files, of any name; check runs a function of ours as often as it likes, which test_surface looks at.
METHODS = sorted(
    name
    for name, value in inspect.getmembers(tokenstore.TokenStore, callable)
    if not name.startswith("_") and name not in ("close", "backup", "copy")
)


def call(function, *positional, **named):
    try:
        result = function(*positional, **named)
        # A list is fetched as it is walked.
        return list(result) if inspect.isgenerator(result) else result
    except EXPECTED as error:
        assert not leaked(TEXT, str(error)) or TEXT in repr((positional, named))
        return None


def still_working():
    STORE.set_policy(HOST, Policy())
    STORE.resume(HOST, "alice")
    STORE.set_owner(HOST, "alice")
    issued = STORE.issue(ALICE, scopes=["read"])
    assert STORE.validate(issued.text, "read").valid
    STORE.remove(ALICE, issued.id)


@given(
    st.sampled_from(METHODS), st.lists(anything, max_size=4), st.dictionaries(st.text(max_size=8), anything, max_size=2)
)
def test_any_arguments_to_any_method(name, positional, named):
    call(getattr(STORE, name), *positional, **named)
    still_working()


# The right kinds of arguments with odd values get further than the wrong kinds do.
@given(st.data())
def test_odd_values_of_the_right_kind_to_any_method(data):
    kinds = {
        "actor": actors,
        "text": texts,
        "scope": texts,
        "scopes": st.lists(texts, max_size=70),
        "owner": texts,
        "description": texts,
        "metadata": st.binary(max_size=5000),
        "lifetime": durations,
        "not_before": times_of_day,
        "requests": st.lists(requests, max_size=6),
        "id": texts,
        "at": times_of_day,
        "reason": texts,
        "state": st.one_of(st.none(), st.sampled_from(list(State))),
        "cursor": texts,
        "limit": numbers,
        "may_issue": st.booleans(),
        "may_use": st.booleans(),
        "policy": policies,
        "ended_before": times_of_day,
        "budget": st.one_of(st.none(), st.timedeltas(max_value=timedelta(seconds=1))),
        "progress": st.just(lambda done, total: None),
        "client_address": texts,
    }
    name = data.draw(st.sampled_from(METHODS))
    parameters = list(inspect.signature(getattr(STORE, name)).parameters.values())
    assert {parameter.name for parameter in parameters} <= set(kinds), "a new argument needs its kind here"
    named = {
        parameter.name: data.draw(kinds[parameter.name])
        for parameter in parameters
        if parameter.default is parameter.empty or data.draw(st.booleans())
    }
    call(getattr(STORE, name), **named)
    still_working()


@given(texts, texts, st.one_of(st.none(), texts))
def test_validate_never_lets_anything_else_in(text, scope, address):
    verdict = call(STORE.validate, text, scope, client_address=address)
    if verdict is not None:
        assert verdict.valid == (text == TEXT and scope == "read")
        assert verdict.valid or verdict.http_status in (401, 403)


@given(st.lists(anything, max_size=3), st.dictionaries(st.text(max_size=8), anything, max_size=2))
def test_any_arguments_to_what_makes_things(positional, named):
    for function in (
        tokenstore.open_memory,
        tokenstore.Keyring.from_bytes,
        tokenstore.Keyring.from_text,
        tokenstore.Keyring.from_credential,
        tokenstore.Keyring.generate().add,
        Actor.user,
        Actor.administrator,
        ManualClock,
    ):
        made = call(function, *positional, **named)
        if isinstance(made, tokenstore.TokenStore):
            made.close()


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "key": st.one_of(st.binary(max_size=40), st.just(bytes(32)), st.none(), texts),
            "workspace": texts,
            "prefix": texts,
            "cache_bytes": st.one_of(st.none(), st.integers(max_value=1 << 24), st.just(1 << 80)),
            "use_interval": st.one_of(st.none(), st.timedeltas()),
            "clock": st.one_of(st.none(), st.just(ManualClock())),
        },
    )
)
def test_odd_options_of_opening(options):
    made = call(tokenstore.open_memory, **options)
    if made is not None:
        made.close()
    still_working()


@given(st.one_of(numbers, st.datetimes(timezones=st.just(timezone.utc))))
def test_every_number_of_milliseconds_is_some_time(when):
    from tokenstore import _times

    if isinstance(when, int):
        assert _times.from_ms(when).tzinfo is timezone.utc
    else:
        assert timedelta(0) <= when - _times.from_ms(_times.to_ms("when", when)) < timedelta(milliseconds=1)
