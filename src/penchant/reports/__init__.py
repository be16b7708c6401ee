"""Reports: run directories in, one self-contained HTML page and PNG figures out. Imports no torch."""

from penchant.reports.run.page import report

__all__ = ["report"]
