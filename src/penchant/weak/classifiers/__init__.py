"""Classifiers, one file each; `registry` makes and loads them. What they are made of lies beside them."""
