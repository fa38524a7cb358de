"""Reports of runs: what the end of a run prints, and its page. ``python -m sevenfold.report RUN...``"""

from sevenfold.report.content import Report, Section, Table
from sevenfold.report.text import aligned, format_value

__all__ = ["Report", "Section", "Table", "aligned", "format_value"]
