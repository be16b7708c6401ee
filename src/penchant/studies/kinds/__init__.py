"""The study of several kinds of output: preferences over texts, pictures and sounds, alone and together."""
