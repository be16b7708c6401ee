"""Prompts grouped by the words that they share, where nobody says what they are about."""

from __future__ import annotations

from collections.abc import Sequence

WORDS = 3  # that name a cluster
MIN_SIZE = 10  # prompts per cluster, on average


def word_clusters(texts: Sequence[str], *, max_clusters: int = 6, seed: int = 0) -> tuple[list[int], list[str]] | None:
    """Group texts with similar words by k-means on TF-IDF. The groups are no topics that anybody named.

    Words of one text only and of more than half of the texts do not count, nor English stop words. Another seed may
    give other clusters.

    Args:
        texts: (texts,). max_clusters: how many at most; fewer where there are fewer than 10 texts for each.

    Returns:
        The cluster of each text, and each cluster's heaviest words; None where the texts are too few or share no words.
    """
    from sklearn.cluster import KMeans
    from sklearn.feature_extraction.text import TfidfVectorizer

    if (count := min(max_clusters, len(texts) // MIN_SIZE)) < 2:
        return None
    vectorizer = TfidfVectorizer(stop_words="english", min_df=2, max_df=0.5, sublinear_tf=True)
    try:
        weights = vectorizer.fit_transform(texts)
    except ValueError:  # no word is left
        return None
    if weights.shape[1] < count:  # fewer words than clusters
        return None
    fitted = KMeans(count, n_init=5, random_state=seed).fit(weights)
    words = vectorizer.get_feature_names_out()
    names = [", ".join(words[index] for index in centre.argsort()[::-1][:WORDS]) for centre in fitted.cluster_centers_]
    return fitted.labels_.tolist(), names
