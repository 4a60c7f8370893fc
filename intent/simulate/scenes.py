"""What a visit is about: its page, the thing that is looked at, and what happens to it.

Legend: V visits.

How often a thing is studied depends on the hidden state; the order of studying on the bit
`earnest`; which of the two things of a mission is studied on the bit `focused`. Neither bit moves
a count: with as many missions of either kind, what is gained here is lost there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intent.simulate.catalogue import Catalogue, pick
from intent.simulate.parameters import COMPARING, DETAIL, LIST, OTHER, PAY, SILENT, Parameters
from intent.simulate.people import People
from intent.simulate.process import Visits


@dataclass(frozen=True)
class Scene:
    """What a visit [V] is about: arrays [V].

    Attributes:
        kind, page: kind and id of the page; leaf, item, price: the thing on it.
        searched, collected, carted, studied: whether that happens.
        usual: whether studying goes in the usual order, comments first.
    """

    kind: np.ndarray
    page: np.ndarray
    leaf: np.ndarray
    item: np.ndarray
    price: np.ndarray
    searched: np.ndarray
    collected: np.ndarray
    carted: np.ndarray
    studied: np.ndarray
    usual: np.ndarray


def set_scenes(
    v: Visits, people: People, p: Parameters, shop: Catalogue, rng: np.random.Generator
) -> Scene:
    """Draws what every visit is about from its hidden state and mission."""
    n = len(v.user)
    mission = v.state >= COMPARING
    cdf = np.cumsum(p.kinds, axis=1)[v.state]
    kind = np.minimum((rng.random((n, 1)) * cdf[:, -1:] > cdf).sum(axis=1), SILENT)
    kind = np.where(v.fresh, LIST, np.where(v.bought, PAY, kind))
    detail = kind == DETAIL

    manner = np.where(mission, np.where(v.earnest, 2, 0), 1)
    turns = detail & (rng.random(n) < np.take(p.switch, manner))
    newcomer = np.diff(v.user, prepend=-1) != 0
    turns |= newcomer & (rng.random(n) < 0.5)
    on_wanted = np.cumsum(turns) % 2 == 0
    on_pair = rng.random(n) < np.take(p.pair_share, v.state)
    about = np.where(on_wanted, v.wanted, v.other)
    leaf = np.where(detail & ~on_pair, pick(shop.leaf_cdf, rng.random(n)), about)
    known = v.fresh | (rng.random(n) < p.search_wanted)
    leaf = np.where(
        kind == LIST, np.where(known, v.wanted, pick(shop.leaf_cdf, rng.random(n))), leaf
    )

    page = np.zeros(n, np.int64)
    u = rng.random(n)
    for k, (first, _) in enumerate(shop.page_kinds):
        chosen = kind == k
        page[chosen] = first + pick(shop.page_cdf[k], u[chosen])
    page = np.where(detail, shop.leaf_page[leaf], page)
    odds = p.orders * np.exp(p.orders_propensity * people.propensity[v.user])
    looks_up = (kind == OTHER) & (rng.random(n) * (1 + odds) < odds)  # who buys awaits parcels
    page = np.where(looks_up, shop.page_kinds[OTHER][0], page)

    tilt = np.where(on_wanted == v.focused, 1 + p.study_focus, 1 - p.study_focus)
    study = np.take(p.study, v.state) * np.where(mission & on_pair, tilt, 1.0)
    usual = np.where(mission, np.where(v.earnest, p.study_order, 1 - p.study_order), 0.5)
    dear = np.where(on_pair & on_wanted, v.dearness, rng.normal(size=n))

    def happens(table: tuple[float, ...]) -> np.ndarray:
        return rng.random(n) < np.take(table, v.state)

    return Scene(
        kind=kind,
        page=page,
        leaf=leaf,
        item=np.where(on_pair, (leaf * 31 + v.user * 17) % 100, rng.integers(100, size=n)),
        price=np.round(shop.leaf_price[leaf] * np.exp(p.price_spread * dear), 2),
        searched=(kind == LIST) & (happens(p.search) | v.fresh),
        collected=detail & happens(p.collect),
        carted=detail & happens(p.cart),
        studied=detail & (rng.random(n) < study),
        usual=rng.random(n) < usual,
    )
