"""API keys: the command, the key file, and what a presented key allows."""

import json
import stat
import time

import pytest

from lightning_app.__main__ import main
from lightning_app.errors import UsageError
from lightning_app.serving.security.access_error import AccessError
from lightning_app.serving.security.api_keys import Keys

_KEY = "{id: a, sha256: '{hash}', scopes: [predict]}"


@pytest.fixture
def add(capsys, tmp_path):
    """Makes a key by the command and returns it."""

    def make(*options, file="keys.yaml"):
        assert main(["keys", "add", str(tmp_path / file), *options]) == 0
        return capsys.readouterr().out.strip()

    return make


@pytest.mark.parametrize("file", ["keys.yaml", "keys.json"])
def test_a_key_is_printed_once_stored_hashed_and_found_again(add, tmp_path, capsys, file):
    key = add("--id", "web", "--scopes", "predict,feedback", "--rate", "5", "--rows-per-day", "100", file=file)
    path = tmp_path / file
    assert key.startswith("web.")
    assert len(key) == len("web.") + 43
    assert key.split(".")[1] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    entry = Keys.load(path).check(key, "feedback")
    assert (entry.id, entry.rate, entry.rows_per_day) == ("web", 5.0, 100)
    assert main(["keys", "list", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "web" in shown
    assert entry.sha256 not in shown
    assert main(["keys", "list", str(path), "--json"]) == 0
    assert "sha256" not in json.loads(capsys.readouterr().out)[0]


@pytest.mark.parametrize(
    ("presented", "scope", "model", "status", "code"),
    [
        (None, "predict", None, 401, "key_missing"),
        ("", "predict", None, 401, "key_invalid"),
        ("web", "predict", None, 401, "key_invalid"),
        ("web.", "predict", None, 401, "key_invalid"),
        ("other.{secret}", "predict", None, 401, "key_invalid"),
        ("web.{secret}x", "predict", None, 401, "key_invalid"),
        ("web.\udcff", "predict", None, 401, "key_invalid"),
        ("web." + "x" * 100_000, "predict", None, 401, "key_invalid"),
        ("old.{old}", "predict", None, 401, "key_expired"),
        ("web.{secret}", "admin", None, 403, "scope_missing"),
        ("web.{secret}", "predict", "other", 403, "model_not_allowed"),
    ],
)
def test_requests_without_permission_are_refused(add, tmp_path, presented, scope, model, status, code):
    secret = add("--id", "web", "--models", "co2,bikes").split(".")[1]
    old = add("--id", "old", "--days", "-1").split(".")[1]
    keys = Keys.load(tmp_path / "keys.yaml")
    assert keys.check(f"web.{secret}", "predict", "bikes").id == "web"
    if presented:
        presented = presented.replace("{secret}", secret).replace("{old}", old)
    with pytest.raises(AccessError) as refused:
        keys.check(presented, scope, model)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert secret not in refused.value.message


def test_keys_rotate_without_restart_and_a_bad_file_keeps_the_old_ones(add, tmp_path, capsys):
    path = tmp_path / "keys.yaml"
    first = add("--id", "first")
    keys = Keys.load(path)
    assert not keys.reload_if_changed()
    second = add("--id", "second")
    assert main(["keys", "revoke", str(path), "first"]) == 0
    assert keys.reload_if_changed()
    assert keys.check(second, "predict").id == "second"
    with pytest.raises(AccessError):
        keys.check(first, "predict")
    good = path.read_text()
    path.write_text("keys: [{id: second, sha: abc}]")
    assert not keys.reload_if_changed()
    assert "sha" in keys.problem
    assert keys.check(second, "predict").id == "second"
    path.write_text(good)
    assert keys.reload_if_changed()
    assert keys.problem is None
    assert main(["keys", "revoke", str(path), "second"]) == 0
    assert "refuse every request" in capsys.readouterr().out
    assert keys.reload_if_changed()  # no keys: nobody is let in
    with pytest.raises(AccessError):
        keys.check(second, "predict")


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("keys: [", 0o600, "no YAML"),
        ("keys: []", 0o600, "holds no key; make one"),
        ("keys: [{id: a b, sha256: '{hash}', scopes: [predict]}]", 0o600, "keys\\[0\\].id"),
        ("keys: [{id: a, sha256: secret}]", 0o600, "sha256"),
        ("keys: [{id: a, sha256: '{hash}', scopes: [predict], scope: [predict]}]", 0o600, "did you mean 'scopes'"),
        ("keys: [{id: a, sha256: '{hash}', scopes: [root]}]", 0o600, "root"),
        ("keys: [{id: a, sha256: '{hash}', scopes: [predict], expires: soon}]", 0o600, "a.expires: 'soon'"),
        ("keys: [{id: a, sha256: '{hash}', scopes: [predict], burst: 3}]", 0o600, "burst is given without rate"),
        (
            "keys: [{id: a, sha256: '{hash}', scopes: [predict]}, {id: a, sha256: '{hash}', scopes: [predict]}]",
            0o600,
            "two keys have the id 'a'",
        ),
        ("keys: [{id: a, sha256: '{hash}', scopes: [predict]}]", 0o644, "mode 0644.*chmod 600"),
        ("keys: [{id: a, sha256: '{hash}', scopes: [predict]}]", 0o660, "mode 0660.*chmod 600"),
    ],
)
def test_invalid_key_files_are_refused_in_one_line(tmp_path, text, mode, message):
    path = tmp_path / "keys.yaml"
    path.write_text(text.replace("{key}", _KEY).replace("{hash}", "0" * 64))
    path.chmod(mode)
    with pytest.raises(UsageError, match=message) as refused:
        Keys.load(path)
    assert "\n" not in str(refused.value)


def test_dates_of_yaml_and_times_with_a_zone_end_a_key(tmp_path):
    path = tmp_path / "keys.yaml"
    path.write_text(f"keys:\n- {{id: a, sha256: {'a' * 64}, scopes: [predict], expires: 2020-01-01}}\n")
    path.chmod(0o600)
    assert Keys.load(path).entries["a"].expires == "2020-01-01"


def test_the_command_refuses_what_it_cannot_do(add, tmp_path, capsys):
    path = tmp_path / "keys.yaml"
    add("--id", "web")
    for words, message in (
        (["add", str(path), "--id", "web"], "has a key 'web'"),
        (["add", str(path), "--id", "w b"], "id"),
        (["add", str(path), "--id", "x", "--scopes", "predikt"], "predikt"),
        (["add", str(path), "--id", "x", "--burst", "3"], "--rate"),
        (["revoke", str(path), "wep"], "did you mean 'web'"),
        (["list", str(tmp_path / "none.yaml")], "cannot be read"),
        (["ad", str(path)], "did you mean 'add'"),
    ):
        assert main(["keys", *words]) == 2
        assert message in capsys.readouterr().err


def test_a_lookup_costs_about_a_microsecond(add, tmp_path):
    key = add("--id", "web")
    keys = Keys.load(tmp_path / "keys.yaml")
    fastest = min(_seconds(keys, key) for _ in range(20))
    assert fastest < 20e-6  # 0.9 us on an idle core; the bound only catches a slow hash or a file read


def _seconds(keys, key):
    start = time.perf_counter()
    for _ in range(100):
        keys.check(key, "predict", "m")
    return (time.perf_counter() - start) / 100
