"""A study whose process, disk, memory or clock fails: see `trials.faults.__main__`."""
