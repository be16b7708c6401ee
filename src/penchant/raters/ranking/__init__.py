"""`penchant rank`: strengths from comparisons or rankings."""
