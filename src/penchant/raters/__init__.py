"""`penchant agree`: how far people and judges agree."""
