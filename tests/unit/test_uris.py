"""URIs: what may be shown of them keeps every option and no key, however it is written."""

import pytest

from digits.uris import public, without_keys

KEYS = ("AKIAEXAMPLE", "sEcReT", "sE%2FcReT", "cReT")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://bucket/runs", "s3://bucket/runs"),
        (
            "s3://bucket/runs?endpoint_override=127.0.0.1:9000&scheme=http&region=us-east-1",
            "s3://bucket/runs?endpoint_override=127.0.0.1:9000&scheme=http&region=us-east-1",
        ),
        ("s3://AKIAEXAMPLE:sE%2FcReT@bucket/runs/", "s3://bucket/runs"),
        ("s3://AKIAEXAMPLE:s@cReT@bucket/runs?region=eu-west-1", "s3://bucket/runs?region=eu-west-1"),
        (
            "s3://bucket/runs?access_key=AKIAEXAMPLE&region=eu-west-1&secret_key=sEcReT",
            "s3://bucket/runs?region=eu-west-1",
        ),
        ("s3://bucket/x?endpoint_override=http://AKIAEXAMPLE:sEcReT@host", "s3://bucket/x"),
        ("s3://AKIAEXAMPLE:sE/cReT@bucket/runs", "s3://***"),
        ("s3://AKIAEXAMPLE:sE?cReT@bucket/runs", "s3://***"),
        ("s3://AKIAEXAMPLE:sE#cReT@bucket/runs", "s3://***"),
        ("s3://AKIAEXAMPLE:sE[cReT@bucket/runs", "s3://***"),
        ("abfss://container@account.dfs.core.windows.net/runs", "abfss://container@account.dfs.core.windows.net/runs"),
        (
            "abfss://container:sEcReT@account.dfs.core.windows.net/runs",
            "abfss://container@account.dfs.core.windows.net/runs",
        ),
        ("abfss://:sEcReT@account.dfs.core.windows.net/c/runs", "abfss://account.dfs.core.windows.net/c/runs"),
        (
            "abfss://c@account.dfs.core.windows.net/runs?sv=2024&sig=sEcReT",
            "abfss://c@account.dfs.core.windows.net/runs",
        ),
        ("gs://anonymous@bucket/runs", "gs://anonymous@bucket/runs"),
        ("gs://sEcReT@bucket/runs", "gs://bucket/runs"),
        ("hdfs://somebody:sEcReT@host:8020/runs", "hdfs://somebody@host:8020/runs"),
        ("s3://bucket/my%20runs", "s3://bucket/my%20runs"),
        ("s3://bucket/my runs", "s3://bucket/my%20runs"),
        ("runs", "runs"),
        ("/home/me@work/runs?x=1", "/home/me@work/runs?x=1"),
    ],
)
def test_what_is_shown_keeps_options_and_no_key(uri, shown):
    assert public(uri) == shown
    assert not any(key in public(uri) for key in KEYS)
    assert public(public(uri)) == public(uri)


@pytest.mark.parametrize("secret", ["sE%2FcReT", "sE/cReT", "sE?cReT", "sEcReT"])
@pytest.mark.parametrize("options", ["", "?region=x", "?region=x&token=0123456789"])
def test_a_message_is_cleared_of_keys(secret, options):
    uri = f"s3://AKIAEXAMPLE:{secret}@bucket/runs{options}"
    message = without_keys(f"cannot parse '{uri}': AKIAEXAMPLE, {secret} and 0123456789 do not open bucket", uri)
    assert message.endswith("do not open bucket")
    assert "AKIAEXAMPLE" not in message and secret not in message
    assert ("0123456789" in message) == ("token" not in options)
