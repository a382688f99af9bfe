"""The ledger of a study: every observation, in one file that damage cannot alter unseen."""

from mixwise.ledger.ledger import Ledger, check_ledger

__all__ = ["Ledger", "check_ledger"]
