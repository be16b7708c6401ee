"""The study of few and wrong labels."""
