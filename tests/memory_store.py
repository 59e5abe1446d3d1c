"""An object store in memory, for tests of what is done with URLs: a third implementation of `files.Files`."""

from __future__ import annotations

from pathlib import Path

from videomac.storage.checksums import sha256_of
from videomac.storage.entries import Advice, ChangedError, Damaged, Entry


class MemoryFiles:
    """Files below a `memory://` URL; `objects` holds them all by URL, and `failures` what the next calls raise."""

    remote = True
    faults: tuple[type[BaseException], ...] = (Damaged, OSError)

    def __init__(self, root: str, objects: dict[str, bytes], failures: list[BaseException]) -> None:
        self._root, self._objects, self._failures = root, objects, failures

    def local_path(self, name: str) -> str | None:
        return None

    def read(self, name: str, start: int, length: int) -> bytes:
        return self.read_whole(name)[start : start + length]

    def read_whole(self, name: str) -> bytes:
        self._fail()
        if self._url(name) not in self._objects:
            raise FileNotFoundError(self._url(name))
        return self._objects[self._url(name)]

    def entry(self, name: str) -> Entry:
        content = self.read_whole(name)
        return Entry(name, len(content), sha256_of(content))

    def is_folder(self, name: str) -> bool:
        self._fail()
        return any(url.startswith(f"{self._url(name)}/") for url in self._objects)

    def list(self, folder: str) -> list[Entry]:
        if not self.is_folder(folder):
            raise FileNotFoundError(self._url(folder))
        above = f"{self._url(folder)}/"
        return [self.entry(url[len(self._root) + 1 :]) for url in self._objects if url.startswith(above)]

    def write(self, name: str, content: bytes) -> None:
        self._fail()
        self._objects[self._url(name)] = bytes(content)

    def upload(self, name: str, local_path: str) -> None:
        self.write(name, Path(local_path).read_bytes())

    def remove(self, name: str) -> None:
        self._fail()
        self._objects.pop(self._url(name), None)

    def version(self, name: str) -> str:
        return self.entry(name).version

    def swap(self, name: str, content: bytes | None, version: str | None) -> str | None:
        found = self._objects.get(self._url(name))
        if (None if found is None else sha256_of(found)) != version:
            raise ChangedError
        if content is None:
            self.remove(name)
            return None
        self.write(name, content)
        return sha256_of(content)

    def check_copy(self, entry: Entry, path: str) -> None:
        if sha256_of(Path(path).read_bytes()) != entry.version:
            raise Damaged("not the content")

    def may_pass(self, error: BaseException) -> bool:
        return isinstance(error, Damaged | ConnectionError | PermissionError)

    def explain(self, error: BaseException, advice: Advice) -> str:
        return f"{type(error).__name__}; {advice}"

    def _fail(self) -> None:
        if self._failures:
            raise self._failures.pop(0)

    def _url(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root
