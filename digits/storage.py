"""A folder or a bucket behind one interface: runs, checkpoints and data are read from and written to it.

A path is a local folder, which needs no pyarrow, or a URI that pyarrow's filesystems open (s3://bucket/runs, gs://...),
options included (?endpoint_override=...). Keys in a URI open the filesystem, which carries them to the workers; they
are kept nowhere else, so that no text that is made from a storage can show them.
"""

import os
import secrets
import shutil
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from digits.errors import ConfigurationError, needs
from digits.uris import Uri, for_pyarrow, is_uri, lacks_container, public, quote_path, without_keys

if TYPE_CHECKING:
    from pyarrow import fs


@dataclass(frozen=True)
class Storage:
    """A folder or file, local or of a bucket; `/` leads to one inside it."""

    remote: "fs.FileSystem | None"
    """What opens a bucket; None for a folder of this machine."""
    path: str
    """Absolute for a local folder, bucket/key for a bucket."""
    root: str = ""
    """Scheme and host of a URI, without keys, such as s3://bucket; empty for a local folder."""
    depth: int = 0
    """How many characters of `path` `root` stands for: those of bucket or container."""
    query: str = ""
    """The options of a URI, without keys, such as ?region=eu-west-1."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """The storage at a local path (made absolute) or a URI; creates nothing."""
        text = os.fspath(path)
        if not is_uri(text):
            return cls(None, str(Path(text).expanduser().absolute()))
        if lacks_container(text):
            raise ConfigurationError(
                f"{public(text)} names no container",
                "container@account, such as abfss://container@account.dfs.core.windows.net/runs",
                "write the container before the account, with an @ between them",
            )
        with needs("serve", f"{public(text)} is a URI, and reading those"):
            import pyarrow as pa
            from pyarrow import fs
        try:
            uri, text = Uri.parse(text), for_pyarrow(text)
            filesystem, inner = fs.FileSystem.from_uri(text)
        except (ValueError, pa.ArrowNotImplementedError, OSError) as error:
            # Without its cause: pyarrow's message may hold the URI, and a traceback would show it.
            raise ConfigurationError(
                f"cannot open {public(text)}: {without_keys(str(error), text)}",
                "a folder, or a URI that pyarrow opens, such as s3://bucket/runs",
                "check the spelling and the credentials of the bucket; in a key, write / as %2F and + as %2B",
            ) from None
        inner = inner.rstrip("/") or "/"
        if isinstance(filesystem, fs.LocalFileSystem):
            return cls(None, inner)
        if not inner.endswith(uri.path):
            raise ConfigurationError(
                f"cannot open {uri}: its path is read as {inner}",
                "a URI whose path is that of a folder, such as s3://bucket/runs",
                "write the path without . and .. in it",
            )
        return cls(filesystem, inner, uri.root, len(inner) - len(uri.path), uri.query)

    def __truediv__(self, name: str) -> Self:
        return replace(self, path=f"{self.path}/{name}")

    def __str__(self) -> str:
        return self.root + (quote_path(self.path[self.depth :]) if self.root else self.path) + self.query

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def parent(self) -> Self:
        """The folder that holds this one."""
        return replace(self, path=self.path.rsplit("/", 1)[0])

    @property
    def is_local(self) -> bool:
        """Whether this is a folder of this machine, or one mounted on it."""
        return self.remote is None

    @property
    def filesystem(self) -> "fs.FileSystem":
        """The same as pyarrow's, for Ray and for Parquet files."""
        from pyarrow import fs

        return self.remote or fs.LocalFileSystem()

    def is_file(self) -> bool:
        """Whether there is a file here."""
        return Path(self.path).is_file() if self.remote is None else self._type(self.remote) == "File"

    def exists(self) -> bool:
        """Whether there is a file or folder here."""
        return Path(self.path).exists() if self.remote is None else self._type(self.remote) != "NotFound"

    def files(self) -> list[str]:
        """Names of the files directly inside, sorted; empty where there is no folder."""
        return self._names(files=True)

    def folders(self) -> list[str]:
        """Names of the folders directly inside, sorted; empty where there is no folder."""
        return self._names(files=False)

    def _type(self, remote: "fs.FileSystem") -> str:
        """File, Directory or NotFound."""
        return remote.get_file_info(self.path).type.name

    def _names(self, *, files: bool) -> list[str]:
        """Names of what lies directly inside."""
        if self.remote is None:
            folder = Path(self.path)
            inside = list(folder.iterdir()) if folder.is_dir() else []
            return sorted(path.name for path in inside if (path.is_file() if files else path.is_dir()))
        from pyarrow import fs

        kind = fs.FileType.File if files else fs.FileType.Directory
        selector = fs.FileSelector(self.path, allow_not_found=True)
        return sorted(info.base_name for info in self.remote.get_file_info(selector) if info.type == kind)

    def new_folder(self, kind: str) -> Self:
        """A folder inside for a job of some kind, named after it and the time, that no other job has.

        On a file system it is made, which only one of several jobs can do: who comes second, in the same second or
        after a clock was set back, gets a number behind the name. A bucket knows no such step, so there the name ends
        with six random digits, and nothing is made.
        """
        name = f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}"
        if not self.is_local:
            return self / f"{name}-{secrets.token_hex(3)}"
        Path(self.path).mkdir(parents=True, exist_ok=True)
        folder, number = self / name, 1
        while True:
            try:
                Path(folder.path).mkdir()
                return folder
            except FileExistsError:
                number += 1
                folder = self / f"{name}-{number}"

    def read_bytes(self) -> bytes:
        """The whole content of this file; OSError if it cannot be read."""
        if self.remote is None:
            return Path(self.path).read_bytes()
        with self.remote.open_input_stream(self.path) as stream:
            return stream.read()

    def delete(self) -> None:
        """Remove this file, or this folder with all that is in it; OSError if it is not there."""
        if self.remote is None:
            path = Path(self.path)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif self.is_file():
            self.remote.delete_file(self.path)
        else:
            self.remote.delete_dir(self.path)

    def write_bytes(self, data: bytes) -> None:
        """Replace this file's content in one step: a reader sees either the old content or the new.

        A local file is written next to its place, synced and renamed; a bucket replaces objects in one step by itself.
        """
        if self.remote is not None:
            self.remote.create_dir(self.parent.path, recursive=True)
            with self.remote.open_output_stream(self.path) as stream:
                stream.write(data)
            return
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(f"{self.path}.{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def check_writable(self) -> None:
        """Raise ConfigurationError unless a small file can be written and removed here."""
        probe = self / f".write-test-{uuid.uuid4().hex}"
        try:
            probe.write_bytes(b"digits")
            probe.delete()
        except OSError as error:
            raise ConfigurationError(
                f"cannot write to {self}: {error}",
                "a folder or bucket that has room and that this user may write to",
                "free space or change its permissions, or name another with --storage-path",
            ) from error
