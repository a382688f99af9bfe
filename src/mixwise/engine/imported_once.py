"""What the server that forks workers has imported before; none of it looks for a GPU by itself.

Method:
    The collector of cycles passes over all of it from then on (`gc.freeze`), so that a worker's
    collections take microseconds in place of a quarter of a second, and leave the pages shared.
"""

import gc

import transformers.trainer  # noqa: F401  and with it torch

import mixwise.data.examples
import mixwise.recipe  # noqa: F401

gc.collect()
gc.freeze()
