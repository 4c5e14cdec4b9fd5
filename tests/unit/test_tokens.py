"""Which token a cluster gets that a job or the service starts on this machine."""

import pytest

from digits.tokens import use_private_token


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def token_in(environment):
    use_private_token(environment)
    return environment.get("RAY_AUTH_TOKEN")


def test_every_cluster_gets_a_token_of_its_own_and_none_is_written(home):
    first, second = token_in({}), token_in({})
    assert len(first) >= 32 and first != second
    assert list(home.iterdir()) == []


def test_what_is_in_the_home_folder_counts_only_where_the_user_asks_for_tokens(home):
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("of the user")
    assert token_in({}) is not None
    assert token_in({"RAY_AUTH_MODE": "token"}) is None


def test_a_home_without_a_token_needs_none_nor_has_it_to_be_there(home, monkeypatch):
    assert token_in({"RAY_AUTH_MODE": "token"}) is not None
    for value in ("/dev/null", "/nowhere"):
        monkeypatch.setenv("HOME", value)
        assert token_in({}) is not None
        assert token_in({"RAY_AUTH_MODE": "TOKEN"}) is not None


@pytest.mark.parametrize(
    "chosen", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "mine"}, {"RAY_AUTH_TOKEN_PATH": "/my/token"}]
)
def test_what_the_user_chose_stays(home, chosen):
    environment = dict(chosen)
    use_private_token(environment)
    assert environment == chosen
