"""Reports: self-contained HTML pages and PNG figures. Imports no torch."""
