"""Every number that the simulated shop depends on, in one frozen place with a hash.

Rates of the hidden process are per minute spent in the app. Tables are indexed by state in the
order of `STATES` or by page kind in the order of `KINDS`. The numbers were set with
`benchmarks/shop_probe.py`; docs/simulated-shop.md shows what they lead to.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

import numpy as np

STATES = ("idle", "browsing", "comparing", "deciding", "paying")
IDLE, BROWSING, COMPARING, DECIDING, PAYING = range(5)

KINDS = ("home", "list", "detail", "cart", "pay", "other", "silent")
HOME, LIST, DETAIL, CART, PAY, OTHER, SILENT = range(7)


@dataclass(frozen=True)
class Dirt:
    """What `--dirt` adds. Shares of rows, or of users where the name says so."""

    duplicates: float = 0.005
    broken: float = 0.008
    bot_actions: int = 400  # per bot and day; one bot for each cell of users
    bot_gap_ms: int = 120
    skewed_users: float = 0.01
    skew_minutes: float = 20.0  # largest clock error, either way
    viewless_users: float = 0.02  # users of whom one view was never collected


@dataclass(frozen=True)
class Parameters:
    """The shop. Change one number and `hash()` changes with it."""

    version: int = 1  # raise it when the code changes what the same numbers lead to

    # Dictionaries (Table 3). Pages per kind: the first 181 occur in the browse table (list, detail
    # and pay pages), the first 200 in the tap table, all 224 in the touch table.
    detail_pages: int = 130
    list_pages: int = 40
    pay_pages: int = 11
    home_pages: int = 3
    cart_pages: int = 2
    other_pages: int = 14
    silent_pages: int = 24
    buttons: tuple[int, ...] = (60, 110, 200, 30, 20, 80)  # per kind, home to other
    leaf_categories: int = 19011
    top_categories: int = 102
    zipf: float = 1.05
    catalogue_seed: int = 20190804

    # Users.
    active_days: tuple[float, float] = (5.0, 2.2)  # Beta: share of days with any action
    visits_per_day: float = 76.0
    activity_sigma: float = 0.50  # lognormal over users: the heavy tail
    day_sigma: float = 0.30  # lognormal over days of one user
    activity_propensity: float = 0.15  # correlation of activity with the propensity to buy
    sessions_per_day: float = 5.5  # besides the first
    style_sigma: float = 0.30  # lognormal over users: taps and swipes per visit
    screens: tuple[tuple[int, int], ...] = (
        (1080, 1920), (1080, 2340), (1440, 2960), (720, 1280), (750, 1334), (1125, 2436),
        (1242, 2208),
    )  # fmt: skip
    screen_weights: tuple[float, ...] = (0.26, 0.22, 0.08, 0.14, 0.14, 0.10, 0.06)
    favourite_leaves: int = 6
    favourite_share: float = 0.5  # of categories that come up: one of the user's favourites
    haste_sigma: float = 0.5  # of users' log odds of slow swipes
    late_hours: float = 1.5  # standard deviation over users of the hour at which the day begins
    price_spread: float = 0.35  # of log prices within a category
    hours: tuple[float, ...] = (
        2.2, 1.2, 0.6, 0.4, 0.4, 0.7, 1.6, 3.0, 3.8, 4.4, 5.0, 5.0,
        5.8, 5.4, 4.6, 4.6, 4.6, 4.6, 5.0, 6.2, 7.6, 8.6, 8.0, 5.0,
    )  # fmt: skip

    # The hidden process: a birth-death chain browsing <-> comparing <-> deciding <-> paying -> buy.
    up: tuple[float, ...] = (0.0, 0.058, 0.08, 0.16, 1.3)
    down: tuple[float, ...] = (0.0, 0.0, 0.025, 0.05, 0.35)
    memory_minutes: float = 900.0  # an idle user forgets at rate 1 / memory
    start_propensity: float = 0.7  # log rate browsing -> comparing per unit of propensity
    pay_propensity: float = 0.7  # log rate deciding -> paying per unit of propensity
    pay_price: float = 0.35  # log rate deciding -> paying per unit of sensitivity x dearness
    earnest: float = 0.4  # share of missions in earnest (shows in the order of actions)
    earnest_propensity: float = 0.85  # log odds of being in earnest per unit of propensity
    earnest_factor: tuple[float, float] = (0.03, 2.4)  # on deciding -> paying
    focused: float = 0.5  # share of missions on target (shows across views)
    focused_factor: tuple[float, float] = (0.06, 1.9)
    sated: float = 0.85  # share of the wish to start anew that a purchase takes away ...
    sated_minutes: float = 1800.0  # ... and the time in which it comes back
    hour_purchase: float = 0.35  # amplitude of the daily wave (peak 21 h) on starting and paying

    # Visits to pages.
    visit_seconds: float = 40.0
    visit_sigma: float = 0.75
    visit_factor: tuple[float, ...] = (1.0, 1.0, 1.1, 1.1, 0.9)
    kinds: tuple[tuple[float, ...], ...] = (
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        (0.12, 0.22, 0.46, 0.03, 0.00, 0.11, 0.06),
        (0.08, 0.24, 0.50, 0.05, 0.00, 0.08, 0.05),
        (0.07, 0.21, 0.50, 0.10, 0.01, 0.07, 0.04),
        (0.00, 0.00, 0.05, 0.10, 0.85, 0.00, 0.00),
    )
    pair_share: tuple[float, ...] = (0.0, 0.60, 0.75, 0.80, 0.8)  # of details: one of the pair
    pair_refresh: float = 0.08  # per visit while browsing
    switch: tuple[float, float, float] = (0.15, 0.50, 0.85)  # in play, no mission, in earnest

    # What a visit emits.
    taps_per_visit: float = 4.85  # ordinary ones, at rate 1
    swipes_per_visit: float = 13.25
    button_share: float = 0.62  # of the ordinary taps; the others hit the page
    study: tuple[float, ...] = (0.0, 0.07, 0.50, 0.53, 0.2)  # P(comments, sizes, cart looked at)
    study_thinning: float = 0.5  # at a rate below 1, a study is kept with probability rate ** this
    study_order: float = 0.92  # P(usual order | in earnest) = P(reverse order | in play)
    study_focus: float = 0.95  # tilt of studying towards the wanted (or the other) thing
    orders: float = 0.35  # odds that another page is the one with one's orders ...
    orders_propensity: float = 1.2  # ... and their logs per unit of propensity
    ask: tuple[float, ...] = (0.0, 0.05, 0.15, 0.21, 0.1)  # of button taps on details: questions
    ask_propensity: float = 0.6  # log odds of asking per unit of propensity
    search_wanted: float = 0.85  # share of searches that are for the wanted thing
    search: tuple[float, ...] = (0.0, 0.18, 0.16, 0.10, 0.0)  # per list visit
    collect: tuple[float, ...] = (0.0, 0.024, 0.030, 0.028, 0.0)  # per detail visit
    cart: tuple[float, ...] = (0.0, 0.030, 0.037, 0.050, 0.0)
    reading: tuple[float, ...] = (0.0, 0.30, 0.52, 0.58, 0.40)  # share of slow, short swipes
    swipe_length: tuple[float, float] = (0.42, 0.16)  # of the screen: flicks, reading
    swipe_ms: tuple[float, float] = (95.0, 330.0)
    swipe_back: tuple[float, float] = (0.15, 0.32)  # share that goes backwards
    gallery: tuple[float, ...] = (0.0, 0.08, 0.10, 0.10, 0.04)  # share of sideways swipes

    # What was known before.
    history_rates: tuple[float, float, float] = (0.90, 1.30, 0.24)  # collect, cart, purchase a day
    history_slopes: tuple[float, float, float] = (0.45, 0.70, 1.00)  # log rate per propensity
    history_noise: float = 0.45  # lognormal, of each user's rates
    profile_slope: float = 0.20

    dirt: Dirt = field(default_factory=Dirt)

    def hash(self) -> str:
        """16 hex digits that change with any number of the shop."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def odds(shares: tuple[float, ...]) -> np.ndarray:
    """Odds of a table of shares, one for each state."""
    share = np.array(shares)
    return share / (1 - share)


SHOP = Parameters()
