"""Lines on the console that commands print to."""

import io

from model.console import Console


def test_a_line_is_printed_as_it_is() -> None:
    said, line = io.StringIO(), "[red] t001 of [/tmp/a] is 3 of 20, " * 3
    Console(file=said, width=20, force_terminal=True, color_system="standard").say(line)
    assert said.getvalue() == f"{line}\n"
