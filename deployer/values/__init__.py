"""The vocabulary: frozen values that know their own invariants and do no I/O."""
