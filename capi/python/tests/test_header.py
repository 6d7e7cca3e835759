"""The package and the C header do not drift apart: numbers, limits and fields are compared, and every function of the
header has a way in Python."""

import re

import pytest
import tokenstore
from conftest import HEADER, TREE
from tokenstore import _core, _values

TEXT = re.sub(r"/\*.*?\*/", " ", HEADER.read_text(encoding="utf-8"), flags=re.S)
SOURCES = "".join(path.read_text(encoding="utf-8") for path in (TREE / "capi/python/src/core").glob("*.[ch]pp"))
FUNCTIONS = re.findall(r"\b(tokenstore_\w+)\s*\(", re.sub(r"typedef[^;{]*;", "", TEXT))

WAYS = {
    "tokenstore_version": "__version__",
    "tokenstore_version_number": "_core.version_number",
    "tokenstore_abi_version": "_core.abi_version",
    "tokenstore_status_name": "_core.status_name",
    "tokenstore_outcome_name": "_core.outcome_name",
    "tokenstore_reason_name": "_core.reason_name",
    "tokenstore_state_name": "_core.state_name",
    "tokenstore_error_message": "Error",
    "tokenstore_keyring_generate": "Keyring.generate",
    "tokenstore_keyring_from_bytes": "Keyring.from_bytes",
    "tokenstore_keyring_from_file": "Keyring.from_file",
    "tokenstore_keyring_from_file_trusting": "Keyring.from_file",
    "tokenstore_keyring_from_credential": "Keyring.from_credential",
    "tokenstore_keyring_from_text": "Keyring.from_text",
    "tokenstore_keyring_add": "Keyring.add",
    "tokenstore_keyring_count": "Keyring.keys",
    "tokenstore_keyring_key": "Keyring.keys",
    "tokenstore_keyring_write_new_file": "Keyring.write_new_file",
    "tokenstore_keyring_reveal_text": "Keyring.reveal_text",
    "tokenstore_open": "open",
    "tokenstore_free": "TokenStore.close",
    "tokenstore_created_key_file": "TokenStore.created_key_file",
    "tokenstore_workspace": "TokenStore.workspace",
    "tokenstore_prefix": "TokenStore.prefix",
    "tokenstore_now": "TokenStore.now",
    "tokenstore_scanner_pattern": "TokenStore.scanner_pattern",
    "tokenstore_validate": "TokenStore.validate",
    "tokenstore_try_validate": "TokenStore.try_validate",
    "tokenstore_why_unavailable": "TokenStore.why_unavailable",
    "tokenstore_issue": "TokenStore.issue",
    "tokenstore_issue_many": "TokenStore.issue_many",
    "tokenstore_get": "TokenStore.get",
    "tokenstore_token_read": "Token",
    "tokenstore_expire": "TokenStore.expire",
    "tokenstore_revoke": "TokenStore.revoke",
    "tokenstore_revoke_all": "TokenStore.revoke_all",
    "tokenstore_delete": "TokenStore.remove",
    "tokenstore_list": "TokenStore.list",
    "tokenstore_page_count": "Page.__len__",
    "tokenstore_page_token": "Page.__getitem__",
    "tokenstore_page_next": "Page",
    "tokenstore_count": "TokenStore.count",
    "tokenstore_owner_get": "TokenStore.owner",
    "tokenstore_owner_set": "TokenStore.set_owner",
    "tokenstore_owner_suspend": "TokenStore.suspend",
    "tokenstore_owner_resume": "TokenStore.resume",
    "tokenstore_owner_read": "Owner",
    "tokenstore_owner_list": "TokenStore.list_owners",
    "tokenstore_owner_page_count": "Page.__len__",
    "tokenstore_owner_page_owner": "Page.__getitem__",
    "tokenstore_owner_page_next": "Page",
    "tokenstore_policy_get": "TokenStore.policy",
    "tokenstore_policy_set": "TokenStore.set_policy",
    "tokenstore_purge": "TokenStore.purge",
    "tokenstore_maintain": "TokenStore.maintain",
    "tokenstore_reseal": "TokenStore.reseal",
    "tokenstore_heal": "TokenStore.heal",
    "tokenstore_backup": "TokenStore.backup",
    "tokenstore_verify_backup": "verify_backup",
    "tokenstore_restore": "restore",
    "tokenstore_copy": "TokenStore.copy",
    "tokenstore_deed_name": "_core.deed_name",
    "tokenstore_journal_read": "read_journal",
    "tokenstore_journal_verify": "verify_journal",
    "tokenstore_journal_accept": "accept_journal",
    "tokenstore_check": "TokenStore.check",
    "tokenstore_check_report_read": "CheckReport",
    "tokenstore_check_report_problem": "CheckReport",
    "tokenstore_check_report_key": "KeyUsage",
    "tokenstore_key_add": "TokenStore.add_key",
    "tokenstore_key_activate": "TokenStore.activate_key",
    "tokenstore_key_retire": "TokenStore.retire_key",
    "tokenstore_key_remove": "TokenStore.remove_key",
    "tokenstore_keys_reload": "TokenStore.reload_keys",
    "tokenstore_key_status": "TokenStore.key_status",
    "tokenstore_key_report_count": "KeyState",
    "tokenstore_key_report_key": "KeyState",
    "tokenstore_read_statistics": "TokenStore.statistics",
    # What Python's own memory management does.
    "tokenstore_error_free": "",
    "tokenstore_keyring_free": "",
    "tokenstore_token_free": "",
    "tokenstore_page_free": "",
    "tokenstore_owner_free": "",
    "tokenstore_owner_page_free": "",
    "tokenstore_check_report_free": "",
    "tokenstore_key_report_free": "",
}


def unknown_functions(functions):
    return sorted(set(functions) - set(WAYS))


def test_every_function_of_the_header_has_a_way():
    assert len(FUNCTIONS) > 60
    assert unknown_functions(FUNCTIONS) == []
    assert set(WAYS) - set(FUNCTIONS) == set(), "these are no longer in the header"


def test_a_new_function_without_a_way_is_noticed():
    assert unknown_functions([*FUNCTIONS, "tokenstore_fly"]) == ["tokenstore_fly"]


@pytest.mark.parametrize("function", sorted(WAYS))
def test_the_way_is_there_and_the_extension_calls_the_function(function):
    found = tokenstore
    for name in filter(None, WAYS[function].split(".")):
        found = getattr(found, name)
    assert re.search(rf"\b{function}\b", SOURCES), f"nothing calls {function}"


def numbers(prefix):
    """The constants of the header whose names begin so, without the prefix."""
    found = re.findall(rf"\b{prefix}_([A-Z_0-9]+)\s*=\s*(-?\d+)", TEXT)
    return {name: int(value) for name, value in found}


def define(name):
    return int(re.search(rf"#define {name} \(?(-?\d+)\)?", TEXT)[1])


@pytest.mark.parametrize(
    "prefix, enum",
    [
        ("TOKENSTORE_OUTCOME", tokenstore.Outcome),
        ("TOKENSTORE_REASON", tokenstore.Reason),
        ("TOKENSTORE_STATE", tokenstore.State),
        ("TOKENSTORE_KEY_FILE", tokenstore.KeyFileTrust),
        ("TOKENSTORE_DURABILITY", tokenstore.Durability),
        ("TOKENSTORE_DEED", tokenstore.Deed),
        ("TOKENSTORE_JOURNALED", tokenstore.Journaled),
        ("TOKENSTORE_PROBLEM", tokenstore.Problem),
    ],
)
def test_enums_have_the_numbers_of_the_header(prefix, enum):
    assert numbers(prefix)
    assert {name: member.value for name, member in enum.__members__.items()} == numbers(prefix)


def test_the_use_of_keys_has_the_numbers_of_the_header():
    expected = {name: value for name, value in numbers("TOKENSTORE_KEY").items() if not name.startswith("FILE_")}
    assert {use.name: use.value for use in tokenstore.KeyUse} == expected


def test_names_are_those_of_the_library():
    for enum, name_of in (
        (tokenstore.Outcome, _core.outcome_name),
        (tokenstore.Reason, _core.reason_name),
        (tokenstore.State, _core.state_name),
        (tokenstore.Deed, _core.deed_name),
    ):
        assert [str(member) for member in enum] == [name_of(member.value) for member in enum]
        assert name_of(99) == "unrecognised"


def test_there_is_one_exception_for_each_status():
    statuses = re.search(r"TOKENSTORE_OK = 0.*?\}", TEXT, re.S)[0]
    found = {int(value): name for name, value in re.findall(r"TOKENSTORE_([A-Z_]+) = (\d+)", statuses)}
    assert sorted(found) == list(range(len(tokenstore.BY_STATUS)))
    for status, name in found.items():
        kind = tokenstore.BY_STATUS[status]
        assert kind.status == status
        assert issubclass(kind, tokenstore.Error)
        if status:
            assert kind.__name__.lower() == name.replace("_", "").lower()
            assert _core.status_name(status) == name.lower()
            assert getattr(tokenstore, kind.__name__) is kind


def test_numbers_with_a_meaning_are_those_of_the_header():
    assert tokenstore.Lifetime.NEVER.value == define("TOKENSTORE_NEVER")
    assert tokenstore.PAGE_MAX == define("TOKENSTORE_PAGE_MAX")
    kinds = numbers("TOKENSTORE_ACTOR")
    actor = tokenstore.Actor
    assert {
        "USER": actor.user("x").kind,
        "ADMINISTRATOR": actor.administrator("x").kind,
        "HOST": actor.host().kind,
    } == {name: kinds[name] for name in ("USER", "ADMINISTRATOR", "HOST")}
    from tokenstore import _open

    assert {"SQLITE": _open._SQLITE, "MEMORY": _open._MEMORY} == numbers("TOKENSTORE_BACKEND")


def fields(struct):
    body = re.search(rf"typedef struct {struct} \{{(.*?)\}} {struct};", TEXT, re.S)[1]
    names = re.findall(r"\b(\w+)(?:\[[^\]]*\])?;", body)
    return [name for name in names if name not in ("struct_size", "reserved") and not name.endswith("_size")]


def names(kind):
    return [field.name for field in kind.__dataclass_fields__.values()]


def test_values_have_the_fields_of_the_header():
    assert names(_values.Statistics) == fields("tokenstore_statistics")
    assert names(_values.Counts) == fields("tokenstore_counts")
    assert names(_values.Token) == fields("tokenstore_token_info")
    assert names(_values.KeyUsage) == fields("tokenstore_key_usage")
    assert names(_values.KeyState) == fields("tokenstore_key_state")
    assert names(_values.Resealed) == fields("tokenstore_reseal_summary")
    assert names(_values.Healed) == fields("tokenstore_heal_summary")
    assert names(_values.BackupInfo) == fields("tokenstore_backup_info")
    assert names(_values.Restored) == fields("tokenstore_restore_summary")
    assert names(tokenstore.JournalEntry) == fields("tokenstore_journal_entry")
    assert names(tokenstore.JournalProblem) == fields("tokenstore_journal_problem")
    assert names(tokenstore.JournalReport) == fields("tokenstore_journal_report")
    assert names(tokenstore.JournalAcceptance) == fields("tokenstore_journal_acceptance")
    assert names(_values.Copied) == fields("tokenstore_copy_summary")
    assert names(_values.KeyInfo) == fields("tokenstore_key_info")
    assert sorted(names(_values.Request)) == sorted(
        name.replace("lifetime_ms", "lifetime") for name in fields("tokenstore_issue_request")
    )
    verdict = [name for name in dir(tokenstore.Verdict) if not name.startswith("_")]
    assert sorted({*fields("tokenstore_verdict"), "valid"}) == verdict


def test_every_option_of_opening_has_an_argument():
    import inspect

    arguments = set(inspect.signature(tokenstore.open).parameters)
    # Those that are one argument here: `key` is a keyring or bytes, and the storage is the function's name.
    otherwise = {"key_bytes": "key", "keyring": "key", "backend": "path", "key_id": "key"}
    # A function that any thread may call, with or without an interpreter: a program in Python gives a key file.
    otherwise["key_source"] = "key_file"
    for option in fields("tokenstore_open_options"):
        option = otherwise.get(option, option)
        assert option.replace("_ms", "") in arguments, option


def test_the_version_is_the_header_s():
    parts = [define(f"TOKENSTORE_VERSION_{part}") for part in ("MAJOR", "MINOR", "PATCH")]
    assert tokenstore.__version__ == ".".join(map(str, parts))
    assert _core.abi_version == define("TOKENSTORE_ABI_VERSION")
