"""The truth bed: mixtures that were really trained, for proxies and searches to be judged by."""
