"""The setting TOKENSTORE, and the store that it describes: one a process, opened at first use."""

from __future__ import annotations

import inspect
import os
import threading
from typing import Any, Dict, List, Optional

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

import tokenstore

from .._bearer import Challenges
from .._store import TokenStore
from ..aio import AsyncTokenStore

_KEYS = ("OPTIONS", "PATH", "POSTGRES", "REALM")


class Configuration:
    """What the setting says, and in ``problems`` what is wrong with it."""

    def __init__(self, given: object) -> None:
        self.problems: List[str] = []
        self._given: Dict[str, Any] = given if isinstance(given, dict) else {}
        if not isinstance(given, dict):
            self.problems.append('set TOKENSTORE to a dict, such as {"PATH": BASE_DIR / "tokens.db"}')
            return
        for key in sorted(set(map(str, given)) - set(_KEYS)):
            self.problems.append(f"TOKENSTORE has no {key}: it takes {', '.join(_KEYS)}")
        if ("PATH" in given) == ("POSTGRES" in given):
            self.problems.append("TOKENSTORE needs one of PATH and POSTGRES")
        for key, kinds in (("PATH", (str, os.PathLike)), ("POSTGRES", (str,))):
            if key in given and not isinstance(given[key], kinds):
                self.problems.append(f"TOKENSTORE[{key!r}] must be a str, not {type(given[key]).__name__}")
        self._check_realm()
        self._check_options()

    def _check_realm(self) -> None:
        try:
            Challenges(self.realm)
        except (TypeError, ValueError) as error:
            self.problems.append(f"TOKENSTORE['REALM']: {error}")

    def _check_options(self) -> None:
        options = self._given.get("OPTIONS", {})
        if not isinstance(options, dict):
            self.problems.append("TOKENSTORE['OPTIONS'] must be a dict of the options of tokenstore.open")
            return
        name = "open_postgres" if "POSTGRES" in self._given else "open"
        known = set(inspect.signature(getattr(tokenstore, name)).parameters) - {"path", "conninfo"}
        for option in sorted(set(map(str, options)) - known):
            self.problems.append(f"TOKENSTORE['OPTIONS']: tokenstore.{name} has no option {option}")

    @property
    def realm(self) -> str:
        realm: str = self._given.get("REALM", "api")
        return realm

    @property
    def path(self) -> Optional[str]:
        path = self._given.get("PATH")
        return os.fspath(path) if isinstance(path, (str, os.PathLike)) else None

    def open(self) -> TokenStore:
        if self.problems:
            raise ImproperlyConfigured(self.problems[0])
        options = self._given.get("OPTIONS", {})
        if "POSTGRES" in self._given:
            return tokenstore.open_postgres(self._given["POSTGRES"], **options)
        return tokenstore.open(self._given["PATH"], **options)


def current_configuration() -> Configuration:
    return Configuration(getattr(settings, "TOKENSTORE", None))


class _Opened:
    def __init__(self, configuration: Configuration) -> None:
        self.store = configuration.open()
        self.asynchronous = AsyncTokenStore(self.store)
        self.challenges = Challenges(configuration.realm)


_lock = threading.Lock()
_opened: Optional[_Opened] = None


def opened() -> _Opened:
    global _opened
    found = _opened
    if found is None:
        with _lock:
            found = _opened = _opened or _Opened(current_configuration())
    return found


def get_store() -> TokenStore:
    """The store of the setting TOKENSTORE. It is open until the process ends."""
    return opened().store


def _forget(*, setting: str, **_: Any) -> None:
    """For tests that change the setting."""
    global _opened
    if setting == "TOKENSTORE":
        with _lock:
            before, _opened = _opened, None
        if before is not None:
            before.store.close()


setting_changed.connect(_forget)
if hasattr(os, "register_at_fork"):
    # A child that was forked while another thread was opening the store would wait for ever.
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))
