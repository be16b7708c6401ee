"""Pictures and sounds as tokens of a vocabulary: written as text, shown and heard again, and recognised."""
