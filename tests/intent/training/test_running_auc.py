import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from intent.metrics import roc_auc
from intent.training.running_auc import BINS, LOGIT_SPAN, auc_of_counts, count_logits
from tests.support.thread_ranks import on_ranks


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


def within_a_bin(logits, labels) -> float:
    """Half of the share of pairs (a positive, a negative) that are in one bin: the stated bound."""
    bins = np.floor((logits + LOGIT_SPAN) * (BINS / (2 * LOGIT_SPAN))).astype(int)
    true, false = (np.bincount(bins[labels == y], minlength=BINS) for y in (1, 0))
    return float(true @ false) / (2 * true.sum() * false.sum())


@pytest.mark.parametrize("levels", [None, 4, 0.5])
def test_over_ranks_it_is_scikit_learn_s_of_the_union(levels):
    """Two tasks; ranks have unlike shares of unlike size, and rows that only fill up a batch."""
    drawings = [drawn(seed=seed, levels=levels) for seed in (1, 2)]
    logits = np.stack([s for s, _ in drawings], axis=1).astype(np.float32)
    if levels:
        logits /= levels
    labels = np.stack([y for _, y in drawings], axis=1).astype(np.int32)
    order = np.argsort(logits[:, 0] + np.random.default_rng(3).normal(0, 0.5, len(logits)))
    found, own = {}, {}
    for size in (1, 2, 3):
        shares = np.split(order, [700, 1900][: size - 1])

        def work(comm, shares=shares):
            rows = np.concatenate([shares[comm.rank], order[: 50 * comm.rank]])
            real = np.arange(len(rows)) < len(shares[comm.rank])
            counts = count_logits(tf.constant(logits[rows]), tf.constant(labels[rows]), real)
            (total,) = comm.allreduce([counts])
            return auc_of_counts(counts.numpy()), auc_of_counts(total.numpy().astype(np.int64))

        alone, together = zip(*on_ranks(size, work), strict=True)
        assert all(auc == together[0] for auc in together)
        found[size], own[size] = together[0], np.mean(alone, axis=0)
    assert found[1] == found[2] == found[3]  # to the last bit
    for t, auc in enumerate(found[1]):
        exact, bound = (
            roc_auc_score(labels[:, t], logits[:, t]),
            within_a_bin(logits[:, t], labels[:, t]),
        )
        # Scores that are steps of a bin or more apart tie as they do in truth, and only then.
        assert abs(auc - exact) <= (1e-12 if levels else bound) and bound > 0
        assert levels or bound < 0.006
    # Control: the mean over ranks, of which one has mostly low scores, is another figure.
    assert abs(own[3][0] - found[3][0]) > 0.03


def test_the_bound_is_reached_where_every_pair_is_in_one_bin_and_the_wrong_way_round():
    logits, labels = np.array([0.001, 0.002, 0.003, 0.004]), np.array([1, 1, 0, 0])
    auc = auc_of_counts(_counts(1 / (1 + np.exp(-logits)), labels))[0]
    assert auc == 0.5 and roc_auc_score(labels, logits) == 0.0
    assert within_a_bin(logits, labels) == 0.5


def test_the_closed_form_of_two_normal_distributions():
    """AUC = Phi(gap / sqrt(2)), from counts that are no draw: the exact mass of each bin."""
    edges = np.linspace(-LOGIT_SPAN, LOGIT_SPAN, BINS + 1)
    for gap in (0.0, 0.5, 2.0):
        mass = np.stack([np.diff(norm.cdf(edges)), np.diff(norm.cdf(edges, gap))])
        assert auc_of_counts(mass[None])[0] == pytest.approx(norm.cdf(gap / np.sqrt(2)), abs=1e-4)
