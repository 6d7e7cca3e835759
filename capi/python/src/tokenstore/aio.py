"""The store for asyncio: what memory decides is answered at once, and what may wait for storage goes to a few threads.

>>> import asyncio, tokenstore
>>> from tokenstore import Actor
>>> async def main():
...     async with tokenstore.aio.open_memory() as store:
...         issued = await store.issue(Actor.user("alice"), scopes=["notes:read"])
...         verdict = await store.validate(issued.text, "notes:read")
...         print(verdict.valid, [token.id == issued.id async for token in store.list(Actor.host())])
>>> asyncio.run(main())
True [True]

Cancelling a call that has a thread does not stop it: storage goes on to the end, and what it was to do may be done.
Read to find out, as after ``tokenstore.Unknown``. A call that still waits for a thread has done nothing when it is
cancelled.
"""

from __future__ import annotations

import asyncio
import functools
import os
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import (
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    Dict,
    Generator,
    Iterable,
    Iterator,
    List,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
    overload,
)

from . import _open
from ._core import SecretText, Verdict
from ._enums import Lifetime, State
from ._store import TokenStore
from ._values import (
    Actor,
    BackupInfo,
    CheckReport,
    Copied,
    Counts,
    Healed,
    Issued,
    KeyState,
    Owner,
    Page,
    Policy,
    Purged,
    Request,
    Resealed,
    Statistics,
    Token,
    Unavailability,
)

__all__ = ["AsyncTokenStore", "Opening", "open", "open_memory", "open_postgres"]

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")
_END: Any = object()


class _Pool:
    """A few threads for one process, and for each event loop as many places: whoever finds none waits in the loop,
    where it can be cancelled, instead of in a queue of the threads."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._executor: Optional[ThreadPoolExecutor] = None
        self._process = 0
        self._ended = False
        self._places: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]
        self._places = weakref.WeakKeyDictionary()

    async def run(self, call: Callable[[], _Result]) -> _Result:
        loop = asyncio.get_running_loop()
        places = self._places.get(loop)
        if places is None:
            places = self._places.setdefault(loop, asyncio.Semaphore(self.threads))
        await places.acquire()
        if self._ended:
            places.release()
            return call()  # Of a closed store, which says so at once.
        try:
            work = self._threads().submit(call)
        except BaseException:
            places.release()
            raise
        # When the call has ended, not when its caller has gone: a cancelled call still has its thread.
        work.add_done_callback(functools.partial(_release, loop, places))
        return await asyncio.wrap_future(work)

    def _threads(self) -> ThreadPoolExecutor:
        # A forked child has none of its parent's threads.
        process = os.getpid()
        if self._executor is None or self._process != process:
            self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix="tokenstore")
            self._process = process
        return self._executor

    def end(self) -> None:
        """Lets the threads go, now that the store is closed."""
        self._ended = True
        if self._executor is not None and self._process == os.getpid():
            self._executor.shutdown(wait=False)
        self._executor = None


def _release(loop: asyncio.AbstractEventLoop, places: asyncio.Semaphore, work: Future[Any]) -> None:
    try:
        loop.call_soon_threadsafe(places.release)
    except RuntimeError:
        pass  # The loop has ended, and nobody waits in it.


class AsyncTokenStore:
    """An open store for coroutines of any event loop. Made by ``tokenstore.aio.open()``, or of a store that is open.

    ``threads``: the most calls that wait for storage at once; more of them wait for their turn.
    """

    __slots__ = ("_pool", "_store")

    def __init__(self, store: TokenStore, *, threads: int = 4) -> None:
        if not isinstance(store, TokenStore):
            raise TypeError(f"store must be a TokenStore, not {type(store).__name__}")
        self._store = store
        self._pool = _Pool(_thread_count(threads))

    @property
    def store(self) -> TokenStore:
        """The same store for code that may wait."""
        return self._store

    # ---- Validation

    async def validate(
        self, text: Union[str, SecretText], scope: str, *, client_address: Optional[str] = None
    ) -> Verdict:
        """May the bearer of this text do what the scope names, now? Answered at once if memory can."""
        verdict = self._store.try_validate(text, scope, client_address=client_address)
        if verdict is not None:
            return verdict
        return await self._run(self._store.validate, text, scope, client_address=client_address)

    def try_validate(
        self, text: Union[str, SecretText], scope: str, *, client_address: Optional[str] = None
    ) -> Optional[Verdict]:
        """The same if memory alone can answer; else None."""
        return self._store.try_validate(text, scope, client_address=client_address)

    # ---- Tokens

    async def issue(
        self,
        actor: Actor,
        *,
        scopes: Iterable[str],
        owner: Optional[str] = None,
        description: str = "",
        metadata: bytes = b"",
        lifetime: Union[timedelta, Lifetime] = Lifetime.DEFAULT,
        not_before: Optional[datetime] = None,
    ) -> Issued:
        """Issues a token: see ``TokenStore.issue``."""
        return await self._run(
            self._store.issue,
            actor,
            scopes=scopes,
            owner=owner,
            description=description,
            metadata=metadata,
            lifetime=lifetime,
            not_before=not_before,
        )

    async def issue_many(self, actor: Actor, requests: Iterable[Request]) -> Tuple[Issued, ...]:
        """Issues several tokens, all or none, in one transaction."""
        return await self._run(self._store.issue_many, actor, requests)

    async def get(self, actor: Actor, id: str) -> Token:
        """Looks up a token by its id. Raises NotFound; a user gets that for another's too."""
        return await self._run(self._store.get, actor, id)

    async def expire(self, actor: Actor, id: str, at: Optional[datetime] = None) -> Token:
        """Brings the end of a token forward, to now or to a time before its end."""
        return await self._run(self._store.expire, actor, id, at)

    async def revoke(self, actor: Actor, id: str, reason: str = "") -> Token:
        """Ends a token for good; its record stays. Repeating it changes nothing."""
        return await self._run(self._store.revoke, actor, id, reason)

    async def revoke_all(self, actor: Actor, owner: str, reason: str = "") -> int:
        """Revokes every token of an owner that has not ended, and says how many. After an error call it again."""
        return await self._run(self._store.revoke_all, actor, owner, reason)

    async def remove(self, actor: Actor, id: str) -> None:
        """Deletes a token's record. It cannot be undone; NotFound the second time."""
        await self._run(self._store.remove, actor, id)

    # ---- Lists

    @overload
    def list(
        self, actor: Actor, *, owner: str = ..., text: str = ..., state: Optional[State] = ..., cursor: str = ...
    ) -> AsyncIterator[Token]: ...
    @overload
    def list(
        self,
        actor: Actor,
        *,
        owner: str = ...,
        text: str = ...,
        state: Optional[State] = ...,
        cursor: str = ...,
        limit: int,
    ) -> Awaitable[Page[Token]]: ...
    def list(
        self,
        actor: Actor,
        *,
        owner: str = "",
        text: str = "",
        state: Optional[State] = None,
        cursor: str = "",
        limit: Optional[int] = None,
    ) -> Union[AsyncIterator[Token], Awaitable[Page[Token]]]:
        """Lists tokens, newest first: ``async for`` all of them, or with ``limit`` ``await`` one page."""
        if limit is None:
            return self._each(self._store.list(actor, owner=owner, text=text, state=state, cursor=cursor))
        return self._run(self._store.list, actor, owner=owner, text=text, state=state, cursor=cursor, limit=limit)

    async def count(self, actor: Actor, owner: str = "") -> Counts:
        """Counts tokens by state, of one owner or of everyone."""
        return await self._run(self._store.count, actor, owner)

    # ---- Owners and policy

    async def owner(self, actor: Actor, owner: str) -> Owner:
        """Looks up an owner's settings. Raises NotFound."""
        return await self._run(self._store.owner, actor, owner)

    async def set_owner(self, actor: Actor, owner: str, *, may_issue: bool = True, may_use: bool = True) -> Owner:
        """Sets what an owner may do, whatever their tokens say."""
        return await self._run(self._store.set_owner, actor, owner, may_issue=may_issue, may_use=may_use)

    async def suspend(self, actor: Actor, owner: str, reason: str = "") -> Owner:
        """Stops every token of an owner at once. Repeating it changes nothing."""
        return await self._run(self._store.suspend, actor, owner, reason)

    async def resume(self, actor: Actor, owner: str) -> Owner:
        """Lets an owner's tokens work again, at once."""
        return await self._run(self._store.resume, actor, owner)

    @overload
    def list_owners(self, actor: Actor, *, cursor: str = ...) -> AsyncIterator[Owner]: ...
    @overload
    def list_owners(self, actor: Actor, *, cursor: str = ..., limit: int) -> Awaitable[Page[Owner]]: ...
    def list_owners(
        self, actor: Actor, *, cursor: str = "", limit: Optional[int] = None
    ) -> Union[AsyncIterator[Owner], Awaitable[Page[Owner]]]:
        """Lists owners by name: ``async for`` all of them, or with ``limit`` ``await`` one page."""
        if limit is None:
            return self._each(self._store.list_owners(actor, cursor=cursor))
        return self._run(self._store.list_owners, actor, cursor=cursor, limit=limit)

    async def policy(self, actor: Actor) -> Policy:
        """Reads the workspace's policy."""
        return await self._run(self._store.policy, actor)

    async def set_policy(self, actor: Actor, policy: Policy) -> None:
        """Replaces the policy, for tokens to come; a token's own end stays."""
        await self._run(self._store.set_policy, actor, policy)

    # ---- Upkeep

    async def purge(self, actor: Actor, ended_before: datetime, budget: Optional[timedelta] = None) -> Purged:
        """Deletes the records of tokens that ended before a time, in slices, for about the budget (default 1 s)."""
        return await self._run(self._store.purge, actor, ended_before, budget)

    async def maintain(self, budget: Optional[timedelta] = None) -> bool:
        """Housekeeping for about the budget (default 50 ms). True: there is more to do."""
        return await self._run(self._store.maintain, budget)

    async def reseal(self, actor: Actor, cursor: str = "", budget: Optional[timedelta] = None) -> Resealed:
        """Seals records anew under the active key, for about the budget (default 1 s)."""
        return await self._run(self._store.reseal, actor, cursor, budget)

    async def heal(self, actor: Actor, progress: Optional[Callable[[int, Optional[int]], object]] = None) -> Healed:
        """Puts forward again what went back behind the journal. ``progress`` is called in the thread that does it."""
        return await self._run(self._store.heal, actor, progress)

    async def add_key(self, actor: Actor) -> str:
        """Adds a new key to the key file, verify-only, and returns its id."""
        return await self._run(self._store.add_key, actor)

    async def activate_key(self, actor: Actor, id: str) -> None:
        """Has a key make what is new, in place of the active one."""
        await self._run(self._store.activate_key, actor, id)

    async def retire_key(self, actor: Actor, id: str) -> None:
        """Ends a key and its tokens."""
        await self._run(self._store.retire_key, actor, id)

    async def remove_key(self, actor: Actor, id: str) -> None:
        """Takes a key out that nothing hangs on."""
        await self._run(self._store.remove_key, actor, id)

    async def key_status(self, actor: Actor) -> Tuple[KeyState, ...]:
        """What hangs on each key of the whole store. Reads every record."""
        return await self._run(self._store.key_status, actor)

    async def reload_keys(self) -> bool:
        """Looks for other keys at once. True: there were."""
        return await self._run(self._store.reload_keys)

    async def check(
        self, actor: Actor, progress: Optional[Callable[[int, Optional[int]], object]] = None
    ) -> CheckReport:
        """Verifies every seal of the workspace. ``progress`` is called in the thread that does it."""
        return await self._run(self._store.check, actor, progress)

    async def backup(
        self,
        actor: Actor,
        path: Union[str, os.PathLike[str]],
        overwrite: bool = False,
        progress: Optional[Callable[[int, Optional[int]], object]] = None,
    ) -> BackupInfo:
        """Writes every workspace of the storage into one sealed file. ``progress`` is called in the thread that does it."""
        return await self._run(self._store.backup, actor, path, overwrite, progress)

    async def copy(
        self,
        actor: Actor,
        path: Union[str, os.PathLike[str]],
        delete_extra: bool = False,
        progress: Optional[Callable[[int, Optional[int]], object]] = None,
    ) -> Copied:
        """Makes a SQLite database hold what this storage holds. ``progress`` is called in the thread that does it."""
        return await self._run(self._store.copy, actor, path, delete_extra, progress)

    async def statistics(self) -> Statistics:
        """Counters since the store was opened, in this process."""
        return await self._run(self._store.statistics)

    async def why_unavailable(self) -> Optional[Unavailability]:
        """Why the latest validation that was UNAVAILABLE was so, for the log; None if none has been."""
        return await self._run(self._store.why_unavailable)

    # ---- About the store

    async def now(self) -> datetime:
        """The store's own now, which never goes back while it is open."""
        return await self._run(self._store.now)

    async def scanner_pattern(self) -> str:
        """A regular expression that finds this store's tokens in any text."""
        return await self._run(self._store.scanner_pattern)

    @property
    def workspace(self) -> str:
        """The tenant that the store was opened for."""
        return self._store.workspace

    @property
    def prefix(self) -> str:
        """The first letters of its tokens' texts."""
        return self._store.prefix

    @property
    def created_key_file(self) -> Optional[Path]:
        """The key file, if opening the store created it. Tell the operator: without it the tokens are lost."""
        return self._store.created_key_file

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._store.closed

    async def close(self) -> None:
        """Writes out last uses and closes the store, after the calls that are under way."""
        if not self._store.closed:
            # Not in a place of the pool: calls that wait for storage may hold all of them.
            closing = ThreadPoolExecutor(1, thread_name_prefix="tokenstore-close")
            try:
                await asyncio.get_running_loop().run_in_executor(closing, self._store.close)
            finally:
                closing.shutdown(wait=False)
        self._pool.end()

    async def __aenter__(self) -> AsyncTokenStore:
        self._store.__enter__()
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncTokenStore of {self._store!r}>"

    def _run(self, call: Callable[..., _Result], *arguments: Any, **named: Any) -> Awaitable[_Result]:
        return self._pool.run(functools.partial(call, *arguments, **named))

    async def _each(self, items: Iterator[_Item]) -> AsyncIterator[_Item]:
        # A thread for each batch, not for each token: a batch is what one page holds, or less at the end.
        while True:
            batch: List[_Item] = await self._run(_batch, items)
            for item in batch:
                yield item
            if len(batch) < _BATCH:
                return


_BATCH = 100


def _batch(items: Iterator[_Item]) -> List[_Item]:
    found: List[_Item] = []
    for item in items:
        found.append(item)
        if len(found) == _BATCH:
            break
    return found


def _thread_count(threads: int) -> int:
    if not isinstance(threads, int) or isinstance(threads, bool):
        raise TypeError(f"threads must be an int, not {type(threads).__name__}")
    if not 1 <= threads <= 1000:
        raise ValueError("threads must be between 1 and 1000")
    return threads


class Opening:
    """A store to be opened: ``async with`` opens and closes it, ``await`` opens it."""

    __slots__ = ("_arguments", "_call", "_opened", "_threads")

    def __init__(self, call: Callable[..., TokenStore], arguments: Dict[str, Any], threads: int) -> None:
        self._call = call
        self._arguments = arguments
        self._threads = _thread_count(threads)
        self._opened: Optional[AsyncTokenStore] = None

    async def _open(self) -> AsyncTokenStore:
        opening = ThreadPoolExecutor(1, thread_name_prefix="tokenstore-open")
        try:
            store = await asyncio.get_running_loop().run_in_executor(
                opening, functools.partial(self._call, **self._arguments)
            )
        finally:
            opening.shutdown(wait=False)
        return AsyncTokenStore(store, threads=self._threads)

    def __await__(self) -> Generator[Any, None, AsyncTokenStore]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncTokenStore:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self._opened is not None:
            await self._opened.close()


def open(path: Union[str, os.PathLike[str]], *, threads: int = 4, **options: Any) -> Opening:
    """Opens the store in a file, or creates it: ``async with tokenstore.aio.open("tokens.db") as store``.

    The options are those of ``tokenstore.open``. ``threads``: the most calls that wait for storage at once.
    """
    return Opening(_open.open, {"path": path, **options}, threads)


def open_memory(*, threads: int = 4, **options: Any) -> Opening:
    """Opens a store that lives in memory and ends with it. The options are those of ``tokenstore.open_memory``."""
    return Opening(_open.open_memory, options, threads)


def open_postgres(conninfo: str, *, threads: int = 4, **options: Any) -> Opening:
    """Opens a store in a PostgreSQL. The options are those of ``tokenstore.open_postgres``."""
    return Opening(_open.open_postgres, {"conninfo": conninfo, **options}, threads)
