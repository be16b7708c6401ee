"""Parts of every HTML page: figures, tables, texts, templates."""
