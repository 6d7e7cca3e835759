import tokenstore
from tokenstore import Actor

alice = Actor.user("alice")
with tokenstore.open("tokens.db") as store:  # made at first use, with its key beside it: tokens.db.key
    issued = store.issue(alice, scopes=["notes:read"], description="laptop")
    text = issued.text.reveal()  # hand it to alice now: it is kept nowhere

    verdict = store.validate(text, "notes:read")
    if verdict.valid:
        print("read:   ", verdict.outcome, "for", verdict.owner)
    print("write:  ", store.validate(text, "notes:write").reason)

    store.revoke(alice, issued.id, reason="lost my laptop")
    print("revoked:", store.validate(text, "notes:read").outcome)
