"""Raw media to scored, filtered, captioned clips."""
