"""Rows that are stored can be read: whoever changes their shape raises the version, so that they are rebuilt."""

from __future__ import annotations

from dataclasses import dataclass

from tests.models.shapes import committed, present, shape_of, unraised


@dataclass(frozen=True, slots=True)
class _Row:
    """One thing."""

    text: str


@dataclass(frozen=True, slots=True)
class _Same:
    """The same in other words."""

    text: str
    """Of some length."""


@dataclass(frozen=True, slots=True)
class _Other:
    text: str
    number: int = 0


def test_versions_rise_with_the_shapes() -> None:
    """Given the shapes that were committed, then a model of another shape has a higher version, and is committed, too:
    raise its `version` and run `make schemas`."""
    assert unraised(committed(), present()) == []
    assert present() == committed()


def test_a_shape_is_names_and_types() -> None:
    """Given rows, when words about them change, the shape is the same; with a field more it is another."""
    assert shape_of(_Row) == shape_of(_Same) != shape_of(_Other)


def test_what_was_not_raised_is_named() -> None:
    """Given another shape, then it needs a higher version, and no version goes back; a new model needs nothing."""
    before = {"one": {"version": 2, "shape": "a"}}
    assert unraised(before, {"one": {"version": 2, "shape": "b"}, "new": {"version": 1, "shape": "c"}}) == ["one"]
    assert unraised(before, {"one": {"version": 1, "shape": "a"}}) == ["one"]
    assert unraised(before, {"one": {"version": 3, "shape": "b"}}) == []
