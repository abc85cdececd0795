"""The HTML of every report: self-contained pages, players and plots."""
