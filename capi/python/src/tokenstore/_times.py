"""Between Python's times and the library's milliseconds."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Optional, Union

from ._enums import Lifetime

NEVER = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)
_LATEST = datetime.max.replace(tzinfo=timezone.utc)
_EARLIEST = datetime.min.replace(tzinfo=timezone.utc)


def from_ms(milliseconds: int) -> datetime:
    """What lies outside of the years 1 to 9999, which only a changed database holds, becomes the end of that range."""
    try:
        return _EPOCH + milliseconds * _MILLISECOND
    except OverflowError:
        return _LATEST if milliseconds > 0 else _EARLIEST


def to_ms(name: str, time: datetime) -> int:
    if not isinstance(time, datetime):
        raise TypeError(f"{name} must be a datetime, not {type(time).__name__}")
    if time.tzinfo is None or time.utcoffset() is None:
        raise ValueError(f"{name} must be an aware datetime, such as datetime.now(timezone.utc)")
    return (time - _EPOCH) // _MILLISECOND


def duration_ms(name: str, duration: timedelta) -> int:
    """Never zero or negative: to the library 0 means its default, and -1 never."""
    if not isinstance(duration, timedelta):
        raise TypeError(f"{name} must be a timedelta, not {type(duration).__name__}")
    milliseconds = duration // _MILLISECOND
    if milliseconds < 1:
        raise ValueError(f"{name} must be a millisecond or longer")
    return milliseconds


def default_or_ms(name: str, duration: Optional[timedelta]) -> int:
    return 0 if duration is None else duration_ms(name, duration)


def lifetime_ms(name: str, lifetime: Union[timedelta, Lifetime]) -> int:
    if isinstance(lifetime, Lifetime):
        return lifetime.value
    if not isinstance(lifetime, timedelta):
        raise TypeError(f"{name} must be a timedelta or a Lifetime, not {type(lifetime).__name__}")
    return duration_ms(name, lifetime)


def from_lifetime_ms(milliseconds: int) -> Union[timedelta, Lifetime]:
    return Lifetime.NEVER if milliseconds == NEVER else milliseconds * _MILLISECOND
