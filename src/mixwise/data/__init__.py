"""From files to one exact, ordered token stream: sources, corpora, blends."""
