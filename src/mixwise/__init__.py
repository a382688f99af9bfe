"""mixwise: which mixture of my datasets should I train on?"""

__version__ = "0.1.0"
