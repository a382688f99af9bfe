"""Networks of any kind: the user builds, trains and evaluates them by functions of his own."""
