"""AUROC and FPR95; score high = ID, equal scores move together."""

import numpy as np


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    scores = np.concatenate([known, unknown])
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n, m = len(known), len(unknown)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def threshold(known: np.ndarray, keep: float = 0.95) -> float:
    """The highest score that keeps at least this share."""
    return float(np.sort(known)[::-1][int(np.ceil(keep * len(known))) - 1])


def fpr95(known: np.ndarray, unknown: np.ndarray) -> float:
    """The share of OOD that is accepted at the highest threshold that keeps at least 95 % of ID."""
    return float((unknown >= threshold(known)).mean())
