"""From a download to batches: sources, phantom, images, splits, loading; `pipeline` joins them."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from mcalc.data.pipeline import DataCache as DataCache
    from mcalc.data.pipeline import IndexedData as IndexedData
    from mcalc.data.pipeline import PreparedCache as PreparedCache
    from mcalc.data.pipeline import PreparedData as PreparedData
    from mcalc.data.pipeline import index_data as index_data
    from mcalc.data.pipeline import prepare_data as prepare_data
    from mcalc.data.pipeline import split_of as split_of
    from mcalc.data.records import Lesion as Lesion
    from mcalc.data.records import Pathology as Pathology
    from mcalc.data.records import Side as Side
    from mcalc.data.records import View as View

# on first use: splits and hashes need numpy
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "pipeline": [
            "DataCache",
            "IndexedData",
            "PreparedCache",
            "PreparedData",
            "index_data",
            "prepare_data",
            "split_of",
        ],
        "records": ["Lesion", "Pathology", "Side", "View"],
    },
)
