"""Mistakes that type checkers find. Each line that ends in "wrong" is one."""

from datetime import timedelta

import tokenstore
from tokenstore import Actor, Policy

store = tokenstore.open_memory()
alice = Actor.user("alice")
store.validate("text")  # wrong
store.validate(b"text", "read")  # wrong
store.issue(alice)  # wrong
store.issue("alice", scopes=["read"])  # wrong
store.issue(alice, scopes=["read"], lifetime=3600)  # wrong
store.issue(alice, scopes=["read"], lifetime=timedelta(hours=1))
store.set_policy(alice, Policy(longest_lifetime=-1))  # wrong
store.validate("text", "read").owner.upper()
store.validate("text", "read").allowed  # wrong
store.list(alice).next  # wrong
store.list(alice, limit=5).next
tokenstore.open(5)  # wrong
