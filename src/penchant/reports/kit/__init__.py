"""What every page is made of: figures, tables, texts, templates."""
