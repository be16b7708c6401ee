"""What wrong labels do."""
