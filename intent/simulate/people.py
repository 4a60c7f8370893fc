"""Who shops: traits that last, what the shop knows of a user, and the year before the logs start.

Legend: U users of a cell.

Every user has a propensity to buy b and a price sensitivity s, both standard normal, and an
activity a (lognormal, mean 1). None of them is ever written down: profile levels lean on b and s
a little, the yearly counts are Poisson with rates that grow with b, and the behaviour in the app
follows b, s and a through the hidden process (`intent.simulate.process`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intent.simulate.catalogue import Catalogue, pick
from intent.simulate.parameters import Parameters

HISTORY_DAYS = 365


@dataclass(frozen=True)
class People:
    """Lasting traits of one cell's users, each an array [U].

    Attributes:
        index: number of the user in the shop.
        propensity, sensitivity: b and s above.
        activity: a above; active: probability of any action on a day.
        tap_style, swipe_style: factor on taps and on swipes per visit.
        haste: shift of the share of slow swipes (logits).
        late: hours by which the user's day is shifted.
        screen: [U, 2] width and height in pixels.
        favourites: [U, favourite_leaves] leaf categories that the user likes.
    """

    index: np.ndarray
    propensity: np.ndarray
    sensitivity: np.ndarray
    activity: np.ndarray
    active: np.ndarray
    tap_style: np.ndarray
    swipe_style: np.ndarray
    haste: np.ndarray
    late: np.ndarray
    screen: np.ndarray
    favourites: np.ndarray


def unit_lognormal(z: np.ndarray, sigma: float) -> np.ndarray:
    """Lognormal factors of mean 1 from standard normal `z`."""
    return np.exp(sigma * z - sigma**2 / 2)


def draw_people(
    index: np.ndarray, p: Parameters, shop: Catalogue, rng: np.random.Generator
) -> People:
    """The users with numbers `index` [U]."""
    n = len(index)
    b, s = rng.normal(size=n), rng.normal(size=n)
    r = p.activity_propensity
    screens = np.array(p.screens)
    return People(
        index=index,
        propensity=b,
        sensitivity=s,
        activity=unit_lognormal(r * b + np.sqrt(1 - r * r) * rng.normal(size=n), p.activity_sigma),
        active=rng.beta(*p.active_days, size=n),
        tap_style=unit_lognormal(rng.normal(size=n), p.style_sigma),
        swipe_style=unit_lognormal(rng.normal(size=n), p.style_sigma),
        haste=rng.normal(scale=p.haste_sigma, size=n),
        late=rng.normal(scale=p.late_hours, size=n),
        screen=screens[pick(np.cumsum(p.screen_weights), rng.random(n))],
        favourites=pick(shop.leaf_cdf, rng.random((n, p.favourite_leaves))),
    )


def draw_profile(people: People, p: Parameters, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Profile levels, each [U] int, weakly informed by the traits.

    The levels crowd on few values, as real ones do: the rarer a combination, the more it would
    serve to recognise single users instead of kinds of users.
    """
    n = len(people.index)
    k = p.profile_slope

    def level(top: int, centre: float, spread: float, lean: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(centre + spread * (rng.normal(size=n) + k * lean)), 0, top).astype(
            int
        )

    b, s = people.propensity, people.sensitivity
    return {
        "age_level": level(8, 3.2, 1.3, -0.5 * s),
        "gender": pick(np.array([0.04, 0.56, 1.0]), rng.random(n) - 0.03 * k * b),
        "buyer_star": level(16, 5.0, 1.5, b),
        "tm_level": level(5, 1.0, 0.9, b),
        "vip_level": level(7, 1.2, 1.0, b),
        "phone_price": level(10, 4.0, 1.5, -s),
    }


def draw_history(people: People, p: Parameters, rng: np.random.Generator) -> np.ndarray:
    """Daily counts [U, 365, 3] int of collecting, carting and purchasing before the logs start."""
    n = len(people.index)
    rate = np.array(p.history_rates) * np.exp(
        np.outer(people.propensity, p.history_slopes)
        - np.square(p.history_slopes) / 2
        + p.history_noise * rng.normal(size=(n, 1))
        - p.history_noise**2 / 2
    )
    rate *= (people.activity / people.activity.mean())[:, None] ** 0.5
    active = rng.random((n, HISTORY_DAYS)) < people.active[:, None]
    counts = rng.poisson(rate[:, None, :], size=(n, HISTORY_DAYS, 3))
    return np.where(active[:, :, None], counts, 0)
