"""The annotator who was left out."""
