"""The one kind of error that a user is meant to read."""

from __future__ import annotations

from os import PathLike


class InputError(Exception):
    """Something that the user gave cannot be used.

    The message says what and where it is, what was found, what was expected, and what to do.

    Parameters
    ----------
    where
        The file (and, after a comma, the row, column, frame or key) that is at fault.
    found, expected, remedy
        One sentence or phrase each.
    """

    def __init__(self, where: str | PathLike[str], found: str, expected: str, remedy: str) -> None:
        self.where = str(where)
        self.found = found
        self.expected = expected
        self.remedy = remedy
        super().__init__(where, found, expected, remedy)

    def __str__(self) -> str:
        return (
            f"{self.where}\n  found:    {self.found}\n  expected: {self.expected}\n  remedy:   {self.remedy}"
        )


class InputErrors(Exception):
    """Several problems of one input, told together."""

    def __init__(self, problems: list[InputError]) -> None:
        self.problems = problems
        super().__init__(problems)

    def __str__(self) -> str:
        count = len(self.problems)
        head = "1 problem:" if count == 1 else f"{count} problems:"
        return "\n".join([head, *(str(problem) for problem in self.problems)])
