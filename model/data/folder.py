"""A folder with the files of tasks: --data FOLDER."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from model.data.delimited import read_text
from model.data.rows import BadRow, Cells, read_rows
from model.data.tasks import CS224N_SOURCES, Source, Split, format_of
from model.errors import UserError


class Folder:
    """A store of examples (`model.data.corpus.Store`)."""

    def __init__(self, data: str, sources: Sequence[Source]) -> None:
        self._path = Path(data)
        if not os.path.isdir(data):  # Path.is_dir raises where a folder above may not be entered
            of_course = "a folder with the CS224N files, 'demo' or 'hub'"
            wanted = of_course if tuple(sources) == CS224N_SOURCES else "the folder that the tasks' files lie in"
            raise UserError(f"--data {data}: no such folder; give {wanted}")
        for source in sources:
            self._check_files(source)

    def has(self, source: Source, key: Split) -> bool:
        """Whether there is a file: for an optional one this is seen here, any other one has to be there."""
        file = source.file(key)
        if file is None or key not in source.optional:
            return file is not None
        # A link to nowhere is a file that can't be read, not one that was never there.
        return os.path.lexists(self._path / file)

    def _check_files(self, source: Source) -> None:
        """Raises UserError where one file goes by two names, which the table of the task alone can't tell."""
        found: dict[str, Split] = {}
        for key in (key for key in get_args(Split) if self.has(source, key)):
            place = self.place(source, key)
            other = found.setdefault(os.path.realpath(place), key)
            if other != key:
                same = f"the same file as {other} ({self.place(source, other)})"
                raise UserError(f"{place}: as {key} of task {source.task.name!r} {same}; give it another one")

    def name(self, source: Source, key: Split) -> str:
        file = source.file(key)
        assert file is not None, "it is asked for where there is one"
        return file

    def place(self, source: Source, key: Split) -> str:
        return str(self._path / self.name(source, key))

    def rows(self, source: Source, key: Split, columns: Sequence[str]) -> Iterator[tuple[int, Cells | BadRow]]:
        path, file_format = self._path / self.name(source, key), format_of(source, key)
        text = read_text(path, needed=f"task {source.task.name!r} needs it")
        empty = True
        for row in read_rows(path, text, file_format, columns):
            empty = False
            yield row
        if empty:
            raise UserError(f"{path}: no rows{'' if file_format == 'jsonl' else ' below the header'}")
