"""`penchant judge`: whose responses win, by a judge."""
