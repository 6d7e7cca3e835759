"""A token's life by the client that openapi-python-client makes of openapi.yaml: life_python.py URL USER PASSWORD, with
the client's folder in PYTHONPATH. Prints "ok"."""

import base64
import sys

from access_tokens_client import AuthenticatedClient, Client
from access_tokens_client.api.default import (delete_token, expire_token, generate_token, get_session, get_token, introspect,
                                              list_tokens, revoke_token)
from access_tokens_client.models import ExpireRequest, GenerateRequest, RevokeRequest, TokenForm


def main(url, user, password):
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    person = AuthenticatedClient(url, credentials, prefix="Basic")
    made = generate_token.sync(client=person, body=GenerateRequest(lifetime_seconds=600, description="by Python"))
    token, name = made.token_value, made.token_info.token_id

    bearer = AuthenticatedClient(url, token)
    page = list_tokens.sync(client=bearer, limit=1)
    assert [(listed.token_id, listed.description, listed.last_used_from) for listed in page.data] == [(name, "by Python", "127.0.0.1")], page
    told = introspect.sync(client=person, body=TokenForm(token))
    assert (told.active, told.jti, told.username) == (True, name, user), told

    assert expire_token.sync(name, client=bearer, body=ExpireRequest()).status == "expired"
    assert get_token.sync_detailed(name, client=bearer).status_code == 401
    revoked = revoke_token.sync(name, client=person, body=RevokeRequest(reason="done"))
    assert (revoked.status, revoked.revoke_reason) == ("revoked", "done"), revoked
    told = introspect.sync(client=person, body=TokenForm(token))
    assert told.to_dict() == {"active": False}, told
    assert delete_token.sync_detailed(name, client=person).status_code == 204
    assert get_token.sync_detailed(name, client=person).status_code == 404
    assert get_session.sync(client=Client(url)).to_dict() == {"user": None}
    print("ok")


main(*sys.argv[1:])
