"""The console that commands print to."""

from __future__ import annotations

import rich.console

from model.errors import discard


class Console(rich.console.Console):
    """rich's, but where its reader has gone: that is a BrokenPipeError as with print(), and ends the command as
    model.errors says. rich itself exits with code 1, which says other things here."""

    may_be_unread = False
    """After Ctrl-C, of which a reader such as `tee` dies too: what it doesn't read is dropped then, and no error."""

    def say(self, line: str) -> None:
        """Prints a line as it is, whatever brackets are in it and however long it is."""
        self.print(line, soft_wrap=True, highlight=False, markup=False)

    def on_broken_pipe(self) -> None:
        """rich calls it where it has caught a BrokenPipeError."""
        if not self.may_be_unread:
            raise
        self.quiet = True
        discard(self.file)
