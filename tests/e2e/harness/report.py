"""What stories say besides passing or failing."""

from __future__ import annotations

from collections.abc import Callable

#: The fixture `report`: takes a line with what was measured or counted.
Report = Callable[[str], None]
