"""The study of hallucinations: what second steps do to captions that name what is not there."""
