"""How far users follow the trigger, by page number: p_trigger of the models that have one."""

from dataclasses import dataclass

import numpy as np

from models.ctr_metrics import Floats
from models.segments import page_segments
from models.split_scores import SplitSamples
from models.tables import NO_PAGE


@dataclass(frozen=True)
class TriggerPage:
    """The samples of a page whose users came from an item.

    Attributes:
        page: Its number, of several pages the first; None for samples without a page.
        name: What it is called.
        n: How many samples.
        p_trigger: Mean probability of following the trigger.
        p_trigger_range: Where 80 % of the probabilities lie.
    """

    page: int | None
    name: str
    n: int
    p_trigger: float
    p_trigger_range: tuple[float, float]


def trigger_pages(shown: SplitSamples, p_trigger: Floats | None) -> tuple[TriggerPage, ...]:
    """Return the pages in order, those without a sample with a trigger left out.

    Args:
        shown: The samples.
        p_trigger: Of each, ``[n]``; None from a model that has none.
    """
    if p_trigger is None:
        return ()
    pages = []
    for _, name, inside in page_segments(shown.pages):
        asked = inside & shown.has_trigger
        if asked.any():
            first, found = int(shown.pages[asked].min()), p_trigger[asked]
            low, high = np.quantile(found, (0.1, 0.9)).tolist()
            page = None if first == NO_PAGE else first
            mean = float(found.mean())
            pages.append(TriggerPage(page, name, int(asked.sum()), mean, (low, high)))
    return tuple(pages)
