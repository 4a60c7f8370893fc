import numpy as np
import pytest
import tensorflow as tf

from intent.metrics import roc_auc
from intent.training.running_auc import BINS, auc_of_counts, count_logits


def drawn(n=3000, seed=0, levels=None):
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.2
    scores = rng.normal(labels * 0.7, 1.0)
    return (np.round(scores * levels) if levels else scores), labels


def test_the_union_is_not_the_mean_of_the_parts():
    """Two ranks that each separate perfectly, on different scales."""
    scores = [np.array([0.1, 0.2]), np.array([0.6, 0.9])]
    labels = [np.array([0, 1]), np.array([0, 1])]
    assert np.mean([roc_auc(s, y) for s, y in zip(scores, labels, strict=True)]) == 1.0
    assert roc_auc(np.concatenate(scores), np.concatenate(labels)) == 0.75
    counts = sum(_counts(s, y) for s, y in zip(scores, labels, strict=True))
    assert auc_of_counts(counts) == [0.75]


def _counts(scores, labels, real=None):
    real = np.ones(len(scores), bool) if real is None else real
    logits = np.log(scores / (1 - scores)).astype(np.float32)
    counts = count_logits(tf.constant(logits[:, None]), tf.constant(labels[:, None]), real)
    assert counts.shape == (1, 2, BINS)
    return counts.numpy()


def test_histogram_auc_is_close_to_the_exact_one_and_skips_filler():
    logits, labels = drawn()
    scores = 1 / (1 + np.exp(-logits))
    real = np.arange(len(scores)) % 3 > 0
    estimate = auc_of_counts(_counts(scores, labels, real))[0]
    assert estimate == pytest.approx(roc_auc(scores[real], labels[real]), abs=2e-3)
    assert _counts(scores, labels, real).sum() == real.sum()


def test_scores_beyond_the_span_are_in_the_outermost_bins():
    logits = tf.constant([[-1e30], [-17.0], [17.0], [np.inf]])
    counts = count_logits(logits, tf.constant([[0], [0], [1], [1]]), np.ones(4, bool)).numpy()
    assert counts[0, 0, 0] == 2 and counts[0, 1, BINS - 1] == 2 and counts.sum() == 4
