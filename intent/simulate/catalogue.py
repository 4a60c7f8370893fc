"""What the simulated shop sells and shows: pages, buttons and categories in the sizes of Table 3.

Ids here are positions in the lists of names, most frequent first within a kind; raw logs carry the
names. The catalogue depends on the parameters alone, so every shop of one parameter hash has the
same one, whatever its seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from intent.simulate.parameters import DETAIL, KINDS, LIST, PAY, Parameters

STUDY = ("Comments", "Sizes", "Cart")  # the usual order of studying a thing
ASK = ("Service", "Guarantee", "Delivery", "Coupons", "Similar")  # what one asks before buying
_CHANNELS = (
    "Fashion", "Shoes", "Beauty", "Phone", "Home", "Food", "Baby",
    "Sport", "Toys", "Books", "Garden", "Pets", "Travel",
)  # fmt: skip
_FIRST_BUTTONS = {
    "home": ("Banner", "Search", "Channel", "Recommend", "Scan"),
    "list": ("Search", "Item", "Filter", "Sort", "Price"),
    "detail": (*STUDY, "AddToCart", "Collect", *ASK, "Shop", "Photos", "Share"),
    "cart": ("Select", "Edit", "Delete", "Checkout"),
    "pay": ("Confirm", "Address", "Coupon", "Method"),
    "other": ("Delivery", "Message", "Settings"),
}


@dataclass(frozen=True)
class Catalogue:
    """Names and maps of the shop.

    Attributes:
        pages: page names; page_kinds[k] = (first, past the last) page of kind k.
        page_cdf: per kind, cumulative Zipf shares of its pages.
        buttons: button names; button_kinds[k] = (first, past the last) button of kind k.
        button_cdf: per kind, cumulative Zipf shares of its ordinary buttons.
        button_xy: [buttons, 2] where on the screen a button lies, as shares of width and height.
        leaves, tops: category names; leaf_top [leaves] the top category of each.
        leaf_page: [leaves] the detail page on which things of that category are shown.
        leaf_price: [leaves] median price.
        leaf_cdf: [leaves] cumulative Zipf shares.
    """

    pages: tuple[str, ...]
    page_kinds: tuple[tuple[int, int], ...]
    page_cdf: tuple[np.ndarray, ...]
    buttons: tuple[str, ...]
    button_kinds: tuple[tuple[int, int], ...]
    button_cdf: tuple[np.ndarray, ...]
    button_xy: np.ndarray
    leaves: tuple[str, ...]
    tops: tuple[str, ...]
    leaf_top: np.ndarray
    leaf_page: np.ndarray
    leaf_price: np.ndarray
    leaf_cdf: np.ndarray

    def button(self, name: str) -> int:
        """Id of the button called `name`."""
        return self.buttons.index(name)


def zipf_cdf(size: int, exponent: float) -> np.ndarray:
    """[size] cumulative shares of ranks 1..size, share proportional to rank ** -exponent."""
    weights = np.arange(1, size + 1, dtype=np.float64) ** -exponent
    return np.cumsum(weights) / weights.sum()


def pick(cdf: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Index drawn from cumulative shares with uniform numbers `u`; same shape as `u`."""
    return np.minimum(np.searchsorted(cdf, u, side="right"), len(cdf) - 1)


def _page_names(p: Parameters) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Page names and the span of each kind, browse pages first, silent ones last."""
    sizes = {
        "detail": p.detail_pages, "list": p.list_pages, "pay": p.pay_pages, "home": p.home_pages,
        "cart": p.cart_pages, "other": p.other_pages, "silent": p.silent_pages,
    }  # fmt: skip
    first = {"list": "Page_SearchItem", "other": "Page_Orders", "silent": "Page_Video"}
    names, spans = [], {}
    for kind, size in sizes.items():
        base = first.get(kind, f"Page_{kind.capitalize()}")
        spans[kind] = (len(names), len(names) + size)
        for i in range(size):
            n, channel = divmod(i - 1, len(_CHANNELS))
            names.append(base if i == 0 else f"{base}_{_CHANNELS[channel]}-{n + 1}")
    return tuple(names), tuple(spans[kind] for kind in KINDS)


def _button_names(p: Parameters, page_names: tuple[str, ...], spans) -> tuple[tuple, tuple]:
    """Button names, called after the first page of their kind as in Table 2b, and their spans."""
    names, out = [], []
    for kind, size in zip(KINDS, p.buttons, strict=False):
        base = page_names[spans[KINDS.index(kind)][0]]
        known = _FIRST_BUTTONS[kind]
        out.append((len(names), len(names) + size))
        names += [
            f"{base}_Button-{known[i]}" if i < len(known) else f"{base}_Button-{i:03d}"
            for i in range(size)
        ]
    return tuple(names), tuple(out)


def _assign(rng: np.random.Generator, cdf: np.ndarray, size: int) -> np.ndarray:
    """[size] indices: the first ones in order, so that each occurs, the others drawn from `cdf`."""
    drawn = pick(cdf, rng.random(size))
    drawn[: len(cdf)] = np.arange(len(cdf))
    return drawn


@lru_cache(maxsize=4)
def catalogue(p: Parameters) -> Catalogue:
    """The catalogue of the shop `p`."""
    rng = np.random.Generator(np.random.Philox(p.catalogue_seed))
    pages, page_kinds = _page_names(p)
    buttons, button_kinds = _button_names(p, pages, page_kinds)
    special = {KINDS.index("list"): 1, DETAIL: 10, PAY: 1}  # drawn apart from the others
    button_cdf = []
    for kind, (first, past) in enumerate(button_kinds):
        cdf = np.zeros(past - first)
        skipped = special.get(kind, 0)
        cdf[skipped:] = zipf_cdf(past - first - skipped, p.zipf)
        button_cdf.append(cdf)
    xy = np.column_stack(
        [rng.uniform(0.06, 0.94, len(buttons)), rng.uniform(0.05, 0.95, len(buttons))]
    )
    detail = button_kinds[DETAIL][0]
    xy[detail : detail + 5] = [(0.5, 0.62), (0.3, 0.78), (0.62, 0.96), (0.72, 0.96), (0.3, 0.96)]
    xy[button_kinds[PAY][0]] = (0.85, 0.96)
    xy[button_kinds[LIST][0]] = (0.88, 0.05)
    leaves = p.leaf_categories
    first, past = page_kinds[DETAIL]
    return Catalogue(
        pages=pages,
        page_kinds=page_kinds,
        page_cdf=tuple(zipf_cdf(b - a, p.zipf) for a, b in page_kinds),
        buttons=buttons,
        button_kinds=button_kinds,
        button_cdf=tuple(button_cdf),
        button_xy=xy,
        leaves=tuple(f"Leaf_{i:05d}" for i in range(leaves)),
        tops=tuple(f"Top_{i:03d}" for i in range(p.top_categories)),
        leaf_top=_assign(rng, zipf_cdf(p.top_categories, 0.7), leaves),
        leaf_page=first + _assign(rng, zipf_cdf(past - first, 0.9), leaves),
        leaf_price=np.exp(rng.normal(4.0, 1.0, leaves)),
        leaf_cdf=zipf_cdf(leaves, p.zipf),
    )
