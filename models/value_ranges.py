"""Ranges of the values that a recipe sets; ``msgspec.convert`` holds values against them."""

from typing import Annotated

from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]
Size = Annotated[int, Meta(ge=0)]
Rate = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
#: Of layers, one after the other.
Widths = Annotated[tuple[Count, ...], Meta(min_length=1)]
#: What is left out must leave something.
Dropout = Annotated[float, Meta(ge=0, lt=1)]
