"""Weak supervisors and strong students: classifiers with one contract, `fit` and `predict_proba`."""
