"""Where the finger goes: pixels of taps and swipes.

Legend: E touch rows.

Ordinary swipes are flicks, long and quick; who compares or decides reads: slow, short swipes, some
of them backwards. Buttons have their place on the screen, so taps on them can be told by position.
"""

from __future__ import annotations

import numpy as np

from intent.simulate.catalogue import Catalogue
from intent.simulate.parameters import Parameters, odds
from intent.simulate.people import People
from intent.simulate.process import Visits


def coordinates(
    v: Visits, people: People, visit: np.ndarray, action: np.ndarray, button: np.ndarray,
    time: np.ndarray, p: Parameters, shop: Catalogue, rng: np.random.Generator,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Where the finger went, in pixels, for taps (x, y) and swipes (start, end, duration)."""
    screen = people.screen[v.user[visit]]
    nowhere = np.full(len(visit), np.nan, np.float32)
    out = {
        name: nowhere.copy()
        for name in ("x", "y", "start_x", "start_y", "end_x", "end_y", "duration")
    }

    def pixels(share: np.ndarray, axis: int, rows: np.ndarray) -> np.ndarray:
        return np.clip(share, 0.0, 0.999) * screen[rows, axis]

    tapped = np.flatnonzero(action == 3)
    free = rng.random((len(tapped), 2)) * (0.9, 0.7) + (0.05, 0.2)
    aimed = shop.button_xy[button[tapped]] + rng.normal(size=free.shape) * (0.02, 0.012)
    spot = np.where(button[tapped, None] < 0, free, aimed)
    out["x"][tapped], out["y"][tapped] = (
        pixels(spot[:, 0], 0, tapped),
        pixels(spot[:, 1], 1, tapped),
    )

    swiped = np.flatnonzero(action == 2)
    state, n = v.state[visit[swiped]], len(swiped)
    slow = odds(p.reading)[state] * np.exp(people.haste[v.user[visit[swiped]]])
    reads = rng.random(n) * (1 + slow) < slow
    sideways = rng.random(n) < np.take(p.gallery, state)
    size, lasts, back = (
        np.where(reads, table[1], table[0]) for table in (p.swipe_length, p.swipe_ms, p.swipe_back)
    )
    length = size * np.exp(0.35 * rng.normal(size=n))
    length *= np.where(rng.random(n) < back, 1, -1)  # onwards is up or left: y or x falls
    drift = rng.normal(scale=0.04, size=n)
    start = rng.random((n, 2)) * (0.5, 0.4) + np.where(length[:, None] < 0, (0.3, 0.5), (0.3, 0.15))
    moved = (np.where(sideways, length, drift), np.where(sideways, drift, length))
    for axis, name in enumerate("xy"):
        out[f"start_{name}"][swiped] = pixels(start[:, axis], axis, swiped)
        out[f"end_{name}"][swiped] = pixels(start[:, axis] + moved[axis], axis, swiped)
    lasts = lasts * np.exp(0.45 * rng.normal(size=n))
    until_next = time[swiped + 1] - time[swiped]  # a visit's last row is never a swipe
    out["duration"][swiped] = np.floor(np.minimum(np.maximum(lasts, 8), until_next))
    return out
