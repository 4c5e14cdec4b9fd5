"""URIs of buckets, and what of them may be shown: options are kept, keys are not.

A URI may carry keys, before an @ (s3://KEY:SECRET@bucket/runs) or among its options (?client_secret=...). What is
shown, logged or written is made here, and keeps only what is known to be no secret.
"""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

PUBLIC_OPTIONS = frozenset(
    (
        *("region", "scheme", "endpoint_override", "allow_bucket_creation", "allow_bucket_deletion", "smart_defaults"),
        *("allow_delayed_open", "background_writes", "check_directory_existence_before_creation", "default_metadata"),
        *("force_virtual_addressing", "tls_ca_file_path", "tls_ca_dir_path", "tls_verify_certificates"),
        *("project_id", "default_bucket_location", "retry_limit_seconds", "enable_tls", "credential_kind"),
        *("blob_storage_authority", "blob_storage_scheme", "dfs_storage_authority", "dfs_storage_scheme"),
        *("tenant_id", "client_id", "use_mmap", "replication", "buffer_size", "default_block_size"),
    )
)
"""Options of pyarrow's file systems that hold no secret; any other is taken for one."""
PUBLIC_USERS = {"abfs": r".+", "abfss": r".+", "hdfs": r".+", "viewfs": r".+", "gs": "anonymous", "gcs": "anonymous"}
"""By scheme, what may stand before the @ and be shown: a container or a user's name; never what follows a colon."""
HIDDEN = "***"


@dataclass(frozen=True)
class Uri:
    """A URI without its keys."""

    root: str
    """Scheme and host, such as s3://bucket or abfss://container@account.dfs.core.windows.net."""
    path: str
    """What follows them, decoded, without a slash at its end: /runs, or nothing."""
    query: str
    """The options, with their question mark; empty where there are none."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The public part of a URI; ValueError where it cannot be divided into its parts."""
        parts = urlsplit(text)
        if is_torn(text, parts):
            raise ValueError("a key holds a character that must be written as %XX, such as %2F for /")
        user, _, host = parts.netloc.rpartition("@")
        name = user.partition(":")[0]
        shown = name if re.fullmatch(PUBLIC_USERS.get(parts.scheme.lower(), ""), name) else ""
        options = [option for option in parts.query.split("&") if option and is_public(option)]
        return cls(
            root=f"{parts.scheme}://{shown}{'@' if shown else ''}{host}",
            path=unquote(parts.path).rstrip("/"),
            query=f"?{'&'.join(options)}" if options else "",
        )

    def __str__(self) -> str:
        return self.root + quote_path(self.path) + self.query


def is_uri(path: str) -> bool:
    """Whether a path names a bucket or the like, instead of a file of this machine."""
    return "://" in path


def public(path: str) -> str:
    """A path as it may be shown: a URI without its keys, a local path as it is."""
    if not is_uri(path):
        return path
    try:
        return str(Uri.parse(path))
    except ValueError:
        return f"{path.partition('://')[0]}://{HIDDEN}"


def without_keys(message: str, uri: str) -> str:
    """A message about a URI without what the URI holds of keys."""
    message = message.replace(uri, public(uri))
    for secret in sorted(secrets_of(uri), key=len, reverse=True):
        message = message.replace(secret, HIDDEN)
    return message


def lacks_container(uri: str) -> bool:
    """Whether a URI of Azure names no container, which stands before an @; the whole account would be meant."""
    scheme, _, rest = uri.partition("://")
    user, _, _ = rest.partition("/")[0].rpartition("@")
    return scheme.lower() in ("abfs", "abfss") and not user.partition(":")[0]


def for_pyarrow(uri: str) -> str:
    """A URI, keys included, in which spaces and letters beyond ASCII of the path are written as pyarrow reads them."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}{quote_path(unquote(parts.path))}" + (f"?{parts.query}" * bool(parts.query))


def quote_path(path: str) -> str:
    """A path as it stands in a URI."""
    return quote(path, safe="/=:,")


def is_public(option: str) -> bool:
    """Whether an option of a query, key=value, holds no secret."""
    key, _, value = option.partition("=")
    return key in PUBLIC_OPTIONS and "@" not in unquote(value)


def is_torn(text: str, parts: SplitResult) -> bool:
    """Whether a key seems to end in the middle, at a / ? or # that is not written as %2F, %3F or %23."""
    return "@" not in parts.netloc and ":" in parts.netloc and "@" in text[text.index(parts.netloc) :]


def secrets_of(uri: str) -> set[str]:
    """The keys that a URI holds, as they stand there and decoded."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return set()
    user = (uri.partition("://")[2] if is_torn(uri, parts) else parts.netloc).rpartition("@")[0]
    name, _, password = user.partition(":")
    found = {password}
    if not re.fullmatch(PUBLIC_USERS.get(parts.scheme.lower(), ""), name):
        found |= {user, name}
    for option in parts.query.split("&"):
        if not is_public(option):
            found |= {option.partition("=")[2], *(value for _, value in parse_qsl(option))}
    return {secret for each in found for secret in (each, unquote(each)) if len(secret) >= 3}
