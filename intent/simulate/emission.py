"""What the hidden intent lets out: from a day's visits to rows of touches, taps and browsing.

Legend: V visits, E touch rows, T taps, R browse rows, S studies (three taps each).

Every visit opens a page and leaves it. In between fall ordinary taps and swipes (Poisson, growing
with the length of the visit and the user's style), and what the state gives rise to: a search, a
collected thing, a thing in the cart, and *studying* a thing, three taps on comments, sizes and
cart. How often things are studied depends on the state; the order of the three taps on the bit
`earnest`; on which of the two things it happens on the bit `focused`. So counts tell the state,
order tells one bit, and the other takes two views: the browse table knows what was searched for
and opened, the tap table what was studied.

A browse row of type "browse" is written when the page is left, with the time it was open; rows of
the other types at the moment of their tap, with the time the page had been open until then. So
every browse row belongs to a page opened `stay_ms` before it, and nothing is known too early.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intent.simulate.catalogue import ASK, STUDY, Catalogue, pick
from intent.simulate.gestures import coordinates
from intent.simulate.parameters import (
    DETAIL,
    LIST,
    OTHER,
    PAY,
    SILENT,
    Parameters,
    odds,
)  # fmt: skip
from intent.simulate.people import People
from intent.simulate.process import Visits
from intent.simulate.scenes import Scene, set_scenes

TYPES = ("browse", "search", "collect", "cart", "purchase")
BROWSE, SEARCH, COLLECT, CART, PURCHASE = range(5)


@dataclass(frozen=True)
class Taps:
    """Taps before they have a time: visit, share of the visit that has passed, button or -1."""

    visit: np.ndarray
    moment: np.ndarray
    button: np.ndarray


def _ordinary_taps(
    v: Visits,
    s: Scene,
    people: People,
    weight: np.ndarray,
    p: Parameters,
    shop: Catalogue,
    rng: np.random.Generator,
) -> Taps:
    """Taps that every page invites: some on its buttons, the others anywhere."""
    mean = p.taps_per_visit * weight * people.tap_style[v.user]
    counts = rng.poisson(np.where(s.kind == SILENT, 0.0, mean))
    visit = np.repeat(np.arange(len(counts)), counts)
    button = np.full(len(visit), -1)
    on_button = rng.random(len(visit)) < p.button_share
    u, kind = rng.random(len(visit)), s.kind[visit]
    for k, (first, _) in enumerate(shop.button_kinds[: OTHER + 1]):
        chosen = on_button & (kind == k)
        button[chosen] = first + pick(shop.button_cdf[k], u[chosen])
    likely = odds(p.ask)[v.state] * np.exp(p.ask_propensity * people.propensity[v.user])
    asks = (
        (button >= 0) & (kind == DETAIL) & (rng.random(len(visit)) < (likely / (1 + likely))[visit])
    )
    first = shop.button_kinds[DETAIL][0] + len(STUDY) + 2
    button = np.where(asks, first + rng.integers(len(ASK), size=len(visit)), button)
    return Taps(visit, rng.random(len(visit)), button)


def _telling_taps(
    v: Visits, s: Scene, keep: float, shop: Catalogue, rng: np.random.Generator
) -> list[Taps]:
    """Studies, then one set of taps for each browse type from search to purchase."""
    chosen = np.flatnonzero(s.studied & (rng.random(len(s.studied)) < keep))
    moments = np.sort(0.05 + 0.7 * rng.random((len(chosen), len(STUDY))), axis=1)
    base = shop.button_kinds[DETAIL][0]
    order = np.where(s.usual[chosen, None], np.arange(3), np.arange(3)[::-1])
    out = [Taps(np.repeat(chosen, 3), moments.ravel(), (base + order).ravel())]
    search, confirm = shop.button_kinds[LIST][0], shop.button_kinds[PAY][0]
    for where, button, early in (
        (s.searched, search, 0.1),
        (s.collected, base + 4, 0.8),
        (s.carted, base + 3, 0.8),
        (v.bought, confirm, 0.95),
    ):
        visit = np.flatnonzero(where)
        moment = early + rng.random(len(visit)) * (0.98 - early) * (0.5 if early < 0.5 else 1.0)
        out.append(Taps(visit, moment, np.full(len(visit), button)))
    return out


def emit(
    v: Visits, people: People, rate: float, p: Parameters, shop: Catalogue, rng: np.random.Generator
) -> tuple[dict, dict, dict]:
    """Rows of the touch, tap and browse tables, sorted by user and time.

    Codes stand for names (-1 for none), NaN for "does not apply", times are ms since the start of
    the logs. `rate` scales ordinary taps and swipes, and studies less; pages and browse rows stay.
    """
    s = set_scenes(v, people, p, shop, rng)
    spell = v.end - v.start
    weight = spell / (1000 * p.visit_seconds) * rate
    telling = _telling_taps(v, s, min(1.0, rate) ** p.study_thinning, shop, rng)
    taps = [_ordinary_taps(v, s, people, weight, p, shop, rng), *telling]
    swipes = rng.poisson(p.swipes_per_visit * weight * people.swipe_style[v.user])
    swipe_visit = np.repeat(np.arange(len(swipes)), swipes)

    sizes = [len(t.visit) for t in taps]
    n_taps, n_swipes, n_visits = sum(sizes), len(swipe_visit), len(v.user)
    every = np.arange(n_visits)
    visit = np.concatenate([*(t.visit for t in taps), swipe_visit, every, every])
    moment = np.concatenate(
        [
            *(t.moment for t in taps),
            rng.random(n_swipes),
            np.full(n_visits, -1.0),
            np.full(n_visits, 2.0),
        ]
    )
    action = np.repeat([3, 2, 0, 1], [n_taps, n_swipes, n_visits, n_visits])  # as in tables.ACTIONS
    button = np.full(len(visit), -1)
    button[:n_taps] = np.concatenate([t.button for t in taps])

    order = np.argsort(visit + (moment + 1) / 4, kind="stable")
    visit, action, button = visit[order], action[order], button[order]
    time = _times(v, visit, np.clip(moment[order], 0, 1))
    touch = {"user": v.user[visit], "time": time, "action": action, "page": s.page[visit]}
    touch |= coordinates(v, people, visit, action, button, time, p, shop, rng)
    tapped = action == 3
    tap = {name: touch[name][tapped] for name in ("user", "time", "page")}
    tap["button"] = button[tapped]

    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    ends = np.cumsum(sizes)
    rows = [(np.flatnonzero(s.kind == DETAIL), BROWSE, None)]
    for kind, first, last in zip(
        (SEARCH, COLLECT, CART, PURCHASE), ends[1:-1], ends[2:], strict=True
    ):
        rows.append((telling[kind].visit, kind, time[place[first:last]]))
    opened, left = np.floor(v.start), np.floor(v.end)
    which = np.concatenate([visits for visits, _, _ in rows])
    moments = np.concatenate([left[visits] if at is None else at for visits, _, at in rows])
    browse = {
        "user": v.user[which],
        "time": moments.astype(np.int64),
        "type": np.repeat([kind for _, kind, _ in rows], [len(visits) for visits, _, _ in rows]),
        "leaf": s.leaf[which],
        "page": s.page[which],
        "stay": (moments - opened[which]).astype(np.int64),
        "item": s.item[which],
        "price": s.price[which],
    }
    by_time = np.lexsort((browse["time"], browse["user"]))
    return touch, tap, {name: column[by_time] for name, column in browse.items()}


def _times(v: Visits, visit: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """[E] whole ms: the events of a visit in order, none closer than a finger can move."""
    counts = np.bincount(visit, minlength=len(v.user))
    first = np.cumsum(counts) - counts
    rank = np.arange(len(visit)) - first[visit]
    start, spell = np.floor(v.start), np.floor(v.end) - np.floor(v.start)
    least = np.minimum(40.0, spell / (2 * counts))
    slack = spell - least * (counts - 1)
    return np.floor(start[visit] + rank * least[visit] + moment * slack[visit] + 1e-6).astype(
        np.int64
    )
