"""The two kinds of data that methods read: comparisons and demonstrations."""

from __future__ import annotations

from penchant.data import load_demonstrations, read_preferences
from penchant.data.settings import DataConfig, RowsConfig
from penchant.train.session import Source


def preferences(data: DataConfig) -> Source:
    """Comparisons, in any known layout."""
    loaded = read_preferences(
        data.path,
        ties=data.ties,
        merge=data.merge,
        contradictions=data.contradictions,
        bad_rows=data.bad_rows,
        layout=data.layout,
        split=data.split,
        limit=data.limit,
    )
    counts = {
        "layout": loaded.layout,
        "rows": loaded.rows,
        "ties": loaded.ties,
        "dropped_ties": loaded.dropped_ties,
        "contradictions": loaded.contradictions,
        "duplicates": loaded.duplicates,
    }
    return Source(loaded.groups, counts, loaded.warnings)


def demonstrations(data: RowsConfig) -> Source:
    """Prompts with responses to imitate."""
    groups = load_demonstrations(
        data.path,
        merge=data.merge,
        bad_rows=data.bad_rows,
        layout=data.layout,
        split=data.split,
        limit=data.limit,
    )
    return Source(groups, {"layout": data.layout or "demonstrations"})
