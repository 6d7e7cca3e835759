"""The fixtures that pytest finds by the entry point: see ``tokenstore.testing``."""

from __future__ import annotations

from typing import Any, Callable, Iterator, Tuple

import pytest

from ._clock import ManualClock
from ._store import TokenStore
from ._values import Actor, Issued
from .testing import FaultyStorage, open_faulty

#: Issues a token in ``tokenstore_store``: ``tokenstore_token("notes:read", owner="bob")``.
IssueToken = Callable[..., Issued]


@pytest.fixture
def tokenstore_clock() -> ManualClock:
    """A clock that stands still until the test moves it: ``tokenstore_clock.advance(timedelta(days=91))``."""
    return ManualClock()


@pytest.fixture
def _tokenstore_opened(tokenstore_clock: ManualClock) -> Iterator[Tuple[TokenStore, FaultyStorage]]:
    store, storage = open_faulty(clock=tokenstore_clock)
    with store:
        yield store, storage


@pytest.fixture
def tokenstore_store(_tokenstore_opened: Tuple[TokenStore, FaultyStorage]) -> TokenStore:
    """An empty store in memory, of the test alone."""
    return _tokenstore_opened[0]


@pytest.fixture
def tokenstore_storage(_tokenstore_opened: Tuple[TokenStore, FaultyStorage]) -> FaultyStorage:
    """What the store is kept in: ``with tokenstore_storage.failing(): ...``"""
    return _tokenstore_opened[1]


@pytest.fixture
def tokenstore_token(tokenstore_store: TokenStore) -> IssueToken:
    """Issues a token with the given scopes: ``tokenstore_token("notes:read", owner="alice").text.reveal()``.

    The other arguments are those of ``TokenStore.issue``.
    """

    def issue(*scopes: str, owner: str = "alice", **options: Any) -> Issued:
        return tokenstore_store.issue(Actor.host(), owner=owner, scopes=scopes, **options)

    return issue
