from tests.families import families

__all__ = ["families"]
